"""Collects the outcomes that endpoints get while a test runs, as structlog's ``capture_logs`` collects log lines."""

from __future__ import annotations

import gc
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError
from ringback.web.endpoint import OutcomeRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from ringback.core.events import Event
    from ringback.core.outcome import Outcome
    from ringback.hooks.registration import Listener


@contextmanager
def capture_outcomes(*routers: OutcomeRouter) -> Generator[list[Outcome]]:
    """Gives a list, and adds to the list every outcome of every accepted delivery, in order, until the block ends.

    The deliveries are those of these routers, by the middleware, the decorator and the handler. Without an argument
    the routers are all that this process has when the block begins: make the app before. A redelivery adds its outcomes
    again. A nested block has a list of its own. Raises :class:`ConfigurationError` for what is no router, and where
    there is none yet.
    """
    # A router that is named twice has the listener once.
    listened = tuple(dict.fromkeys(map(checked_router, routers))) or routers_of_this_process()
    if not listened:
        raise ConfigurationError("no OutcomeRouter exists yet, so nothing could be captured; make the app before")
    captured: list[Outcome] = []

    def capture(_: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        captured.extend(outcomes)

    # All routers have the same listener, because a router that includes another router calls one listener once.
    with listening(listened, lambda _: capture):
        yield captured


@contextmanager
def listening(routers: Sequence[OutcomeRouter], listener_of: Callable[[OutcomeRouter], Listener]) -> Generator[None]:
    """Register a listener with every router, until the block ends. ``listener_of`` makes a router's listener."""
    with ExitStack() as registered:
        for router in routers:
            registered.callback(router.unlisten, router.listen(listener_of(router)))
        yield


def checked_router(router: OutcomeRouter) -> OutcomeRouter:
    """The router. Raises :class:`ConfigurationError` for what is none, such as an app."""
    if not isinstance(router, OutcomeRouter):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"a {type(router).__name__} is no OutcomeRouter; pass the router of the app")
    return router


def routers_of_this_process() -> tuple[OutcomeRouter, ...]:
    """Every router that exists. Asks Python's garbage collector for the routers.

    A walk over the app would be a plainer rule, but would miss routers: a view of Django or a route of Flask has its
    handler in a closure, a WSGI bridge hides the app, and ``capture_outcomes()`` gets no app at all. A list that every
    router joins would be state that the product keeps for tests alone.
    """
    return tuple(router for router in gc.get_objects() if issubclass(type(router), OutcomeRouter))
