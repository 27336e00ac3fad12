"""Sender verification: what a check gets and returns, and the shared secret in the callback URL.

A check looks at a request's head before the middleware reads the body. The check returns a :class:`Refusal`, or
``None`` to let the request through.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable
from urllib.parse import parse_qsl

from msgspec import Struct

from ringback.exceptions import ConfigurationError
from ringback.hooks.guarded import told
from ringback.hooks.invoke import called
from ringback.hooks.signatures import handler_name, refuse_uncallable
from ringback.privacy.redaction import redact
from ringback.settings import refuse_no_text

if TYPE_CHECKING:
    from collections.abc import Sequence


class Head(Struct, frozen=True):
    """The head of a request. ``headers`` are pairs of name and value, the names in lower case."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        # A repr ends up in logs, the headers have a token, and the last part of the path may be a secret.
        return f"<Head {redact(self.method)}, {len(self.headers)} header fields>"

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order; ``name`` in lower case."""
        return [value for header, value in self.headers if header == name]


class Refusal(Struct, frozen=True):
    """Why a request may not go on. ``reason`` is a slug for the log; the answer to the sender leaves it out.

    ``status`` is 401, or 503 for a fault of ours that will pass: a sender delivers again after 503, not after 401.
    ``retry_after`` is in whole seconds. Raises :class:`ConfigurationError` for values that cannot be.
    """

    reason: str
    status: int = 401
    retry_after: int | None = None

    def __post_init__(self) -> None:
        # The values come from the app's own check, and go into the answer's head and the log.
        reason, status, seconds = cast("tuple[object, object, object]", (self.reason, self.status, self.retry_after))
        if not isinstance(reason, str):
            raise ConfigurationError(f"a refusal's reason {reason!r} is no text; give a word for the log")
        if not isinstance(status, int) or status not in (401, 503):
            raise ConfigurationError(f"a refusal cannot have status {status!r}; use 401, or 503 if it will pass")
        if seconds is not None and not (type(seconds) is int and 0 <= seconds <= _DAY):
            raise ConfigurationError(
                f"a refusal's retry_after {seconds!r} is no time; give whole seconds, at most a day's 86400"
            )


Check = Callable[[Head], Refusal | Awaitable[Refusal | None] | None]
"""A check of the sender; several in a list mean that one of them must let the request through. A sync check runs in a
worker thread. A check that raises, or returns anything else, lets nobody through."""

Failed = Callable[[str, Exception], object]
"""Is called with the name of a check of the app that failed, and with the exception."""


class SharedSecret:
    """Checks a secret in the callback URL: the query parameter ``parameter``, or with ``None`` the path's last part.

    The weaker choice, since proxies and the sender log URLs; prefer
    :class:`~ringback.senders.tokens.CallbackTokenVerifier`. Give two secrets while one replaces the other. The check
    compares secrets in constant time. Raises :class:`ConfigurationError` for a secret of fewer than 16 characters.
    """

    def __init__(self, *secrets: str, parameter: str | None = "secret") -> None:
        if not secrets:
            raise ConfigurationError("SharedSecret has no secret; pass one, or two while one replaces the other")
        for secret in secrets:
            refuse_no_text("a shared secret", secret)
            if len(secret) < _SHORTEST:
                raise ConfigurationError(
                    f"a shared secret of {len(secret)} characters can be guessed; use at least {_SHORTEST}, "
                    "such as secrets.token_urlsafe(32)"
                )
            if secret != secret.strip():
                raise ConfigurationError(
                    "a shared secret has white space at an end, as what is read from a file has; strip it"
                )
            if parameter is None and "/" in secret:
                raise ConfigurationError(
                    "a shared secret with a '/' is never the last part of a path; use secrets.token_urlsafe(32)"
                )
        if parameter is not None and (not isinstance(cast("object", parameter), str) or not parameter):
            raise ConfigurationError(
                f"parameter {parameter!r} is no name of a query parameter; give one, such as 'secret', "
                "or None for the last part of the path"
            )
        self._secrets = [secret.encode() for secret in secrets]
        # The longest first: one secret may begin with another.
        self._spellings = re.compile("|".join(_spelled(secret) for secret in sorted(secrets, key=len, reverse=True)))
        self._parameter = parameter

    async def __call__(self, head: Head) -> Refusal | None:
        given = self._given(head)
        if given is None:
            return Refusal("secret_missing")
        offered = given.encode("utf-8", "surrogatepass")
        # The check compares every secret, so that the time does not tell which secret matches.
        matches = [hmac.compare_digest(offered, secret) for secret in self._secrets]
        return None if any(matches) else Refusal("secret_wrong")

    def hide(self, text: str) -> str:
        """The text without the secrets, also percent-encoded ones: for the URL in the server's log."""
        return self._spellings.sub(_HIDDEN, text)

    def _given(self, head: Head) -> str | None:
        if self._parameter is None:
            return head.path.rpartition("/")[2] or None
        try:
            fields = parse_qsl(head.query, max_num_fields=_MOST_FIELDS)
        except ValueError:
            return None
        found = [value for name, value in fields if name == self._parameter]
        return found[0] if len(found) == 1 else None


@runtime_checkable
class Handshaker(Protocol):
    """A check that lets validation handshakes of Event Grid through without a token."""

    def allows_handshake(self, head: Head) -> bool: ...


async def verdict_of(checks: Sequence[Check], head: Head, failed: Failed) -> Refusal | None:
    """Why a request is refused; ``None`` if one of the checks lets the request through.

    If all checks refuse, the first refusal with status 503 counts. Without one, the first refusal counts whose check
    found something to verify; a check of shared secrets finds nothing in a request with a token, for example.
    """
    refusals: list[Refusal] = []
    for check in checks:
        if getattr(type(check).__call__, "__module__", "").startswith(_OWN):
            # The checks of this room raise nothing, and most requests meet one of them.
            refusal = await cast("Callable[[Head], Awaitable[Refusal | None]]", check)(head)
        else:
            refusal = await _answer_of(check, head, failed)
        if refusal is None:
            return None
        refusals.append(refusal)
    temporary = [refusal for refusal in refusals if refusal.status == 503]
    concerned = [refusal for refusal in refusals if refusal.reason not in _NOT_CONCERNED]
    return (temporary or concerned or refusals)[0]


async def _answer_of(check: Check, head: Head, failed: Failed) -> Refusal | None:
    """What a check of the app says. A check that fails refuses the request with 503."""
    try:
        refusal = await called(check, (head,))
        if refusal is None or isinstance(refusal, Refusal):
            return refusal
        raise TypeError(f"the check returned a {type(refusal).__name__}; return a Refusal, or None to accept")
    except Exception as error:
        failed(handler_name(check), error)
        return Refusal("check_failed", 503)


def allows_handshake(checks: Sequence[Check], head: Head, failed: Failed) -> bool:
    """Whether the middleware may answer a handshake that all these checks refused: one of the checks has to agree.

    The answer echoes what the sender sent. The handshake reaches neither the route nor a hook.
    """
    for check in checks:
        if isinstance(check, Handshaker):
            try:
                if told(check.allows_handshake, head):
                    return True
            except Exception as error:
                failed(handler_name(check.allows_handshake), error)
    return False


def checks_of(auth: Check | Collection[Check]) -> tuple[Check, ...]:
    """The checks that the ``auth`` setting names. Raises :class:`ConfigurationError` for what is no check."""
    # A text is a collection, too: of its letters.
    single = callable(cast("object", auth)) or (isinstance(auth, str | bytes) and auth)
    several = isinstance(auth, Collection) and not single
    checks = tuple(cast("Collection[Check]", auth)) if several else (cast("Check", auth),)
    if not checks:
        raise ConfigurationError("auth names no check; pass a verifier, or auth=None to accept every sender")
    for check in checks:
        # A class is callable, too, but a call of a class returns no refusal.
        if not callable(check) or isinstance(check, type):
            shown = f"of type {type(check).__name__}" if isinstance(check, str | bytes) else repr(check)
            raise ConfigurationError(
                f"auth {shown} is no check; pass CallbackTokenVerifier(audience=...), "
                "or auth=None to accept every sender"
            )
        refuse_uncallable(check, 1, "(head)", "auth")
    return checks


def _spelled(secret: str) -> str:
    """A pattern for the secret in a URL, where a sender may percent-encode any character (RFC 3986, section 2.1)."""
    pattern = ""
    for character in secret:
        # Byte by byte: a scope's query is bytes, read as Latin-1. The percent-encoded byte comes first, because the
        # code of a percent sign begins with a percent sign.
        octets = "".join(f"(?:%(?i:{byte:02x})|{re.escape(chr(byte))})" for byte in character.encode())
        plus = r"|\+" if character == " " else ""
        pattern += f"(?:{octets}|{re.escape(character)}{plus})"
    return pattern


_OWN = "ringback.senders."

# The reasons of a check whose kind of proof the request does not carry at all.
_NOT_CONCERNED = frozenset({"secret_missing", "subscription_unknown", "token_missing"})

_DAY = 86_400
_SHORTEST = 16
_MOST_FIELDS = 100
_HIDDEN = "[secret]"
