"""What every page works with: the stores, the templates, who may do what, and the answer around a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse

from ringback.console.access import give_token
from ringback.console.snapshot import DEFAULT, RANGES
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.access import Access
    from ringback.console.pages import Pages
    from ringback.console.reading import Reader
    from ringback.console.snapshot import Range
    from ringback.hooks.call_records import CallRecords
    from ringback.stores import DeliveryStore
    from ringback.work.deliveries import Counted
    from ringback_catalog import Catalog


@dataclass(frozen=True, slots=True)
class Desk:
    """What one console has. ``stores`` gives the stores of the moment, ``records`` the calls in each of them,
    ``unwritten`` the deliveries that this process could not count there so far, ``idle`` whether this process is to
    call hooks and nobody has woken it, and ``clock`` seconds since 1970.
    """

    access: Access
    pages: Pages
    reader: Reader
    catalog: Catalog
    stores: Callable[[], Sequence[DeliveryStore]]
    records: Callable[[], Sequence[CallRecords]]
    unwritten: Callable[[], Sequence[Counted]]
    idle: Callable[[], bool]
    clock: Callable[[], float]

    def token(self, request: Request) -> str:
        """The token of the browser, which :meth:`answer` gives to a browser that has none."""
        token: str | None = getattr(request.state, "ringback_token", None)
        if token is None:
            token = request.state.ringback_token = self.access.token(request) or self.access.new_token()
        return token

    def answer(self, request: Request, template: str, status: int = 200, **values: object) -> Response:
        """The page of a template, with the cookie that the page's forms and addresses rest on."""
        token, path = self.token(request), str(request.scope["path"])[len(str(request.scope.get("root_path", ""))) :]
        text = self.pages.page(template, up="../" * (path.count("/") - 1), token=token, **values)
        return self.with_token(request, HTMLResponse(text, status))

    def with_token(self, request: Request, response: Response) -> Response:
        """The response, with the cookie for a browser that has none."""
        token = self.token(request)
        if self.access.token(request) != token:
            give_token(response, token, secure=request.url.scheme == "https")
        return response


def refused(status: int, why: str) -> Response:
    """An answer of one line, for a request that no page of ours makes."""
    return PlainTextResponse(f"{status}: {why}\n", status)


def range_of(request: Request) -> Range:
    """The range that the address names. Raises :class:`ConfigurationError` for a name of none."""
    given = request.query_params.get("range")
    if given is None:
        return DEFAULT
    if given not in RANGES:
        raise ConfigurationError(f"range {given!r} is none; there are {', '.join(RANGES)}")
    return RANGES[given]


def only(request: Request, known: Mapping[str, object] | frozenset[str]) -> None:
    """Raises :class:`ConfigurationError` if the address has a parameter that is not ``known``, or has one twice: none
    is ignored.
    """
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            there = f"there are {', '.join(sorted(known))}" if known else "it has no part behind a question mark"
            raise ConfigurationError(f"{name!r} is no part of this address; {there}")
        if name in seen:
            raise ConfigurationError(f"{name} is given twice; give it once")
        seen.add(name)
