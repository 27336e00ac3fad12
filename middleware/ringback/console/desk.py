"""What every page works with: the stores, the parameters and the forms of a request, and the answer around a page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, PlainTextResponse

from ringback.console import pages
from ringback.console.access import fault, give_token, token_of
from ringback.console.reading import Reader
from ringback.console.snapshot import DEFAULT, RANGES
from ringback.exceptions import ConfigurationError
from ringback.hooks.call_records import MOST, PAGE, CallPage, CallRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from ringback.console.access import Access
    from ringback.console.snapshot import Range
    from ringback.hooks.dispatcher import Dispatcher
    from ringback.hooks.router import HandlerRouter
    from ringback.stores import DeliveryStore
    from ringback.work.deliveries import Counted
    from ringback_catalog import Catalog


LONGEST_FORM = 32_768
"""Bytes. A form with all the letters of a page, whose keys may be long and private, has two thirds of them."""


class Desk:
    """What one console works with: the stores of a ``router``, or one ``store``. See ``Console``."""

    def __init__(
        self,
        access: Access,
        catalog: Catalog,
        store: DeliveryStore | None,
        router: HandlerRouter | None,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.access, self.catalog, self.clock = access, catalog, clock
        self.reader = Reader(self.stores, clock, monotonic)
        self._store, self._handlers = store, router
        if store is not None:
            # The history of a store in memory begins when somebody first reads the attribute.
            _ = store.history
        if router is not None:
            router.watch_dispatchers(lambda dispatcher: dispatcher.store.history)

    def _dispatchers(self) -> Sequence[Dispatcher]:
        """Those of the router, which makes one if there is none.

        Nobody may have told the router of the start, as in a mounted app, and no delivery has come since. The store has
        all the same what waits and what died before.
        """
        return () if self._handlers is None else self._handlers.dispatchers()

    def stores(self) -> Sequence[DeliveryStore]:
        """The stores of the moment without duplicates: two middlewares may share a store or open the same file."""
        if self._store is not None:
            return [self._store]
        return list({_identity(dispatcher.store): dispatcher.store for dispatcher in self._dispatchers()}.values())

    def records(self) -> Sequence[CallRecords]:
        """The calls in each store, with what the process has heard of them last."""
        redials = () if self._handlers is None else self._handlers.redials
        dispatchers = self._dispatchers()

        async def note(store: DeliveryStore) -> None:
            for each in dispatchers:
                if _identity(each.store) == _identity(store):
                    await each.notebook.flush()

        return [CallRecords(store, redials, partial(note, store)) for store in self.stores()]

    def unwritten(self) -> Sequence[Counted]:
        """The deliveries that this process could not count in the stores so far."""
        return [each for dispatcher in self._dispatchers() for each in dispatcher.notebook.tally.unwritten()]

    def idle(self) -> bool:
        """Whether this process is to call hooks and nobody has woken it."""
        return any(dispatcher.is_working is False for dispatcher in self._dispatchers())

    def token(self, request: Request) -> str:
        """The token of the browser, which :meth:`answer` gives to a browser that has none."""
        token: str | None = getattr(request.state, "ringback_token", None)
        if token is None:
            token = request.state.ringback_token = token_of(request) or self.access.new_token()
        return token

    def answer(self, request: Request, template: str, status: int = 200, **values: object) -> Response:
        """The page of a template, with the cookie that the page's forms and addresses rest on."""
        token, path = self.token(request), str(request.scope["path"])[len(str(request.scope.get("root_path", ""))) :]
        text = pages.page(template, up="../" * (path.count("/") - 1), token=token, **values)
        return self.with_token(request, HTMLResponse(text, status))

    def with_token(self, request: Request, response: Response) -> Response:
        """The response, with the cookie for a browser that has none."""
        token = self.token(request)
        if token_of(request) != token:
            give_token(response, token, secure=request.url.scheme == "https")
        return response


def _identity(store: DeliveryStore) -> object:
    path = getattr(store, "path", None)
    return id(store) if path is None else path.resolve()


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


def first(form: Mapping[str, Sequence[str]], name: str) -> str:
    """The first text of a field; an empty one for a field that the form has not."""
    return form[name][0] if name in form else ""


async def form_of(request: Request) -> dict[str, list[str]] | Response:
    """The fields of a form; the refusal of one that is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            return refused(413, f"the form is longer than {LONGEST_FORM} bytes")
    return parse_qs(body.decode("latin-1"), keep_blank_values=True)


async def form_to_change(desk: Desk, request: Request) -> dict[str, list[str]] | Response:
    """The fields of a form of ours; why it is refused, if it is none or the person may change nothing."""
    if not await desk.access.may_change(request):
        return refused(403, "this page is read-only for you")
    form = await form_of(request)
    if not isinstance(form, dict):
        return form
    wrong = fault(request, token_of(request), first(form, "token"))
    return form if wrong is None else refused(403, wrong)


async def listed(
    desk: Desk, values: Mapping[str, Any], limit: int = PAGE, offset: int = 0, *, oldest_first: bool = False
) -> CallPage:
    """At most ``limit`` calls that ``values``, the filters of :meth:`~ringback.hooks.call_records.CallRecords.list`,
    choose. Raises :class:`ConfigurationError` for a value that no call can have, and for a place in the lists of
    several stores that is too far to merge them up to it.
    """
    await desk.reader.opened()
    records = desk.records()
    if len(records) == 1:
        return await records[0].list(**values, limit=limit, offset=offset, oldest_first=oldest_first)
    if offset + limit > MOST:
        raise ConfigurationError(
            f"call {offset + limit} of several stores is too far to count to ({MOST}); give since and until"
        )
    pages = [await each.list(**values, limit=offset + limit, oldest_first=oldest_first) for each in records]
    legs = sorted(
        (leg for page in pages for leg in page.calls), key=lambda leg: leg.seen_at or 0.0, reverse=not oldest_first
    )
    return CallPage(tuple(legs[offset : offset + limit]), sum(page.total for page in pages), offset)
