"""Which requests may reach a callback route: the request target and the method in every spelling (RFC 9112, section 3).

Servers and frameworks differ in what they take for the same path: one merges slashes, another drops the last slash, a
third reads ``post`` as ``POST``. A gate that compares texts misses requests that the framework behind the gate still
routes. So :class:`GuardedPaths` compares every form that a framework may read a request as, and a request that fits in
any form must pass the gate.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlparse

from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact, redact_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


Fit = Literal["exact", "spelled"]
"""How a request that may reach the guarded route writes the path.

``exact``: the path fits the template letter for letter. ``spelled``: the path has another spelling, which some
framework, server or proxy takes for the template's.
"""


def canonical_method(method: str) -> str:
    """The method as most frameworks read it: ``post`` is ``POST`` to Django, Flask, Quart and class-based endpoints."""
    return method.upper()


def root_path(app: Any) -> str:
    """The prefix that the wrapped app cuts off though no server names the prefix: FastAPI's ``root_path``."""
    for _ in range(_LAYERS):
        root = getattr(app, "root_path", None)
        if isinstance(root, str) and root:
            return root
        app = getattr(app, "app", None)
    return ""


_LAYERS = 32
"""The most middlewares to look through. No app has more; a mock has an ``app`` below every ``app``."""


class GuardedPaths:
    """The templates of one door, as in Starlette: ``/api/callbacks/{context_id}``, ``/{tenant}/callbacks/{rest:path}``.

    Raises :class:`ConfigurationError` for a template that no request can fit.
    """

    def __init__(self, path: str | Sequence[str]) -> None:
        if not isinstance(path, str | list | tuple):
            raise ConfigurationError(f"path {redact_repr(path)} is no text and no list of texts; give '/api/callbacks'")
        templates = (path,) if isinstance(path, str) else tuple(path)
        if not templates:
            raise ConfigurationError("path names no path; give the callback route's, such as '/api/callbacks'")
        for template in templates:
            _refuse_what_never_fits(template)
        self.templates = templates
        self._literal = frozenset(template for template in templates if "{" not in template)
        self._exact = [re.compile(_pattern(template, _NARROW)) for template in templates]
        # The patterns of Starlette's routes end in "$", which also matches before a line feed.
        self._wide = [
            re.compile(rf"/*{_pattern(_canonical(template).removeprefix('/'), _WIDE)}/?\n?", re.DOTALL)
            for template in templates
        ]
        self._near = [re.compile(pattern, re.DOTALL | re.IGNORECASE) for pattern in _near_patterns(templates)]

    def fit(self, path: str, roots: Sequence[str] = ()) -> Fit | None:
        """How ``path`` fits, if it does. ``path`` is decoded once, as in an ASGI scope.

        ``roots`` are the prefixes that a framework may cut off before its routes.
        """
        if roots and len(path) * sum(root.count("/") + 1 for root in roots) > _MOST:
            # There are too many forms. Whoever sends such a path must be verified, whatever route it means.
            return "spelled"
        # A template may have the prefix, as the sender's URL has it, or be without, as the app's route is.
        written, cuts = [path], _cuts(roots) if roots else ()
        for cut in cuts:
            if path.startswith(f"{cut}/"):
                written.append(path[len(cut) :])
        for form in written:
            if form in self._literal or any(template.fullmatch(form) for template in self._exact):
                return "exact"
        forms = _forms(path, {*roots, *cuts})
        spelled = forms is None or any(template.fullmatch(form) for form in forms for template in self._wide)
        return "spelled" if spelled else None

    def is_near(self, path: str) -> bool:
        """Whether a sender may mean a template by a path that does not fit, see :func:`_near_patterns`; in any case."""
        canonical = _canonical(path)
        return any(pattern.fullmatch(canonical) for pattern in self._near)


SPELLINGS: dict[str, Callable[[str], tuple[str, str]]] = {
    "a slash at the end": lambda path: ("POST", f"{path}/"),
    "two slashes at the beginning": lambda path: ("POST", f"/{path}"),
    "two slashes inside": lambda path: ("POST", "//".join(path.rsplit("/", 1))),
    "an encoded slash at the end": lambda path: ("POST", f"{path}%2F"),
    "a dot segment": lambda path: ("POST", f"/.{path}"),
    "a parameter": lambda path: ("POST", f"{path};v=1"),
    "the method in lower case": lambda path: ("post", path),
}
"""Other ways to write a POST to a path, by name: method and request target. A test of a gate sends every spelling."""


def _cuts(roots: Sequence[str]) -> list[str]:
    """The roots and their leading parts: the server's prefix comes first, which a template may be without."""
    parts = [root.rstrip("/").split("/") for root in roots]
    return [cut for each in parts for cut in accumulate(each, "{}/{}".format) if cut]


_MOST = 2**19
"""The most signs to compare, in all forms of a path together: those of a path that somebody means are a few thousand.

A sender chooses how long a path is, how many steps change the path, and how many parts the root of a mount such as
``/{tenant:path}/v1`` has. Without this limit one request could hold the event loop for seconds.
"""


def _forms(path: str, roots: Iterable[str]) -> list[str] | None:
    """The path after every choice of steps from `_STEPS`, in their order; ``None`` for more than `_MOST` signs.

    Most paths have one form: the path.
    """
    forms = [path]
    for root in filter(None, roots):
        # Litestar and Quart cut off everything up to the root path, wherever the root path stands in the path. A proxy
        # may have cut off the root path before.
        forms += [path.partition(root)[2], f"{root}{path}"] if root in path else [f"{root}{path}"]
    if any(_ODD.search(form) for form in forms):
        for step in _STEPS:
            forms += [changed for form in forms if (changed := step(form)) != form]
            if sum(map(len, forms)) > _MOST:
                return None
    return forms


def _canonical(path: str) -> str:
    """The path after all steps of `_STEPS`, without a slash at the end."""
    for step in _STEPS:
        path = step(path)
    return path.removesuffix("/") or "/"


def _without_breaks(path: str) -> str:
    """The path without tabs and ends of lines: urllib drops these, and so does Starlette's ``request.url``."""
    return re.sub("[\t\r\n]", "", path)


def _reduced(path: str) -> str:
    """The path of an absolute form (RFC 9112, section 3.2.2), read with urllib as Quart reads it."""
    if path.startswith("/"):
        return path
    try:
        return urlparse(path).path
    except ValueError:
        return path


def _without_parameters(path: str) -> str:
    """The path without ``;name=value`` (RFC 3986, section 3.3)."""
    return re.sub(";[^/]*", "", path)


def _without_dots(path: str) -> str:
    """The path with ``.`` and ``..`` resolved (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment != "..":
            kept += [segment] if segment != "." else []
        elif len(kept) > 1:
            # The first segment, before the first slash, is empty and stays.
            kept.pop()
    return "/".join(kept)


def _merged(path: str) -> str:
    """The path with one slash for a run of slashes, as Litestar, Quart and Flask read the path."""
    return re.sub("/{2,}", "/", path)


_STEPS: tuple[Callable[[str], str], ...] = (
    # The server has decoded once. With proxies that decode as well, a path that is encoded three times reaches a route.
    unquote,
    unquote,
    _without_breaks,
    _reduced,
    _without_parameters,
    _merged,
    _without_dots,
)
"""The steps that some framework, server or proxy applies to a path before the look-up of a route.

A step at most doubles the forms, and only the forms of a path that the step changes: at most 128 forms.
"""

# A step changes only a path with an encoded sign, an absolute form, a parameter, a dot segment, two slashes or a break.
_ODD = re.compile(r"%|^[^/]|;|/\.|//|[\t\r\n]")

# What a parameter of a template matches. Frameworks read more texts as numbers than Starlette does ("+7", "1_0", digits
# of other scripts), so the wide patterns match more than Starlette's routes.
_NARROW = {
    "str": "[^/]+",
    "path": "(?s:.*)",
    "int": "[0-9]+",
    "float": r"[0-9]+(?:\.[0-9]+)?",
    "uuid": "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}",
}
_WIDE = {
    "str": "[^/]+",
    "path": ".*",
    "int": r"(?=[^/]*\d)[^/]+",
    "float": r"(?=[^/]*(?:\d|[nN][aA][nN]|[iI][nN][fF]))[^/]+",
    "uuid": "[^/]{32,}",
}
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([A-Za-z_][A-Za-z0-9_]*))?\}")


def _pattern(template: str, convertors: dict[str, str]) -> str:
    """The template as a regular expression; ``convertors`` has the pattern of a parameter by the convertor's name."""
    parts: list[str] = []
    end = 0
    for parameter in _PARAMETER.finditer(template):
        parts += [re.escape(template[end : parameter.start()]), convertors[parameter[2] or "str"]]
        end = parameter.end()
    return "".join([*parts, re.escape(template[end:])])


def _near_patterns(templates: Iterable[str]) -> Iterator[str]:
    """Patterns of the templates below a further prefix, of the templates without their first segments, and of each
    with an id behind it or without its last parameter.
    """
    for template in templates:
        segments = _canonical(template).strip("/").split("/")
        another_end = segments[:-1] if _PARAMETER.fullmatch(segments[-1]) else [*segments, "{id}"]
        for rest in (segments, another_end, *(segments[first:] for first in range(1, len(segments)))):
            # Every path would match a rest of parameters alone, or a rest with a parameter that takes slashes.
            if any(each and "{" not in each for each in rest) and not any(":path}" in each for each in rest):
                yield ("(?:.*/)?" if rest is segments else "") + "/?" + _pattern("/".join(rest), _WIDE) + "/?"


def _refuse_what_never_fits(template: str) -> None:
    shown = redact_repr(template)
    if not isinstance(template, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"path {shown} is no text; give a template such as '/api/callbacks/{{context_id}}'")
    for wrong, rule in _FOREIGN:
        if wrong.search(template):
            raise ConfigurationError(f"path {shown} fits no request: {rule}")
    if "{" in (rest := _PARAMETER.sub("", template)) or "}" in rest:
        raise ConfigurationError(f"path {shown} has a brace that is no parameter's; write {{name}} or {{name:path}}")
    names = [parameter[1] for parameter in _PARAMETER.finditer(template)]
    if len(names) != len(set(names)):
        raise ConfigurationError(f"path {shown} names a parameter twice; give each a name of its own")
    for parameter in _PARAMETER.finditer(template):
        if parameter[2] is not None and parameter[2] not in _WIDE:
            known = ", ".join(sorted(_WIDE))
            raise ConfigurationError(
                f"path {shown} has the convertor {parameter[2]!r}; known are {known}, and {{{parameter[1]}}} alone"
            )
    if not template.startswith("/"):
        raise ConfigurationError(f"path {shown} does not start with '/'; write '/{redact(template)}'")


_FOREIGN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://"), "it is a URL; write its path alone, such as '/api/callbacks'"),
    (re.compile(r"\(\?P<|^\^|\$$|\\"), "it is a regular expression; write a parameter as {context_id}"),
    (re.compile(r"[<>]"), "<name> is Flask's and Django's; write {name}"),
    (re.compile(r"/:"), ":name is not Starlette's; write {name}"),
    (
        re.compile(r"/(?:\[[^/]*\]|\$[A-Za-z{(]|%[sd](?![0-9A-Fa-f]))"),
        "[name], $name and %s stand for nothing here; write {name}",
    ),
    (re.compile(r"\*"), "'*' stands for nothing here; write {rest:path} for any number of segments, {name} for one"),
    (re.compile(r"[?#]"), "a query or fragment is no part of a path; leave it out"),
    (re.compile(r"%7[bBdD]"), "an encoded brace is no parameter's; write {name}"),
    (
        re.compile(r"%(?![0-9A-Fa-f]{2})"),
        "'%' begins a percent-encoding of two hex digits; write %25 for the sign itself",
    ),
    (
        re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060\ufeff]|\s$"),
        "it has an invisible character, or a space at the end; leave it out",
    ),
    (
        re.compile(r"(?:^|/)\.{1,2}(?:/|$)"),
        "a dot segment is resolved before any route is looked for; write it resolved",
    ),
    (re.compile(r"//"), "it has an empty segment; write one slash"),
)
"""Patterns of texts that are no templates of Starlette, such as other frameworks' templates, with the remedy."""
