"""The place in an ASGI scope where a route finds the outcomes of the delivery that the route answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from ringback.core.outcome import Outcome

_KEY = "call_outcomes"


class HasScope(Protocol):
    """A request of Starlette or FastAPI, of Django's ASGI handler, of Quart, of Litestar."""

    @property
    def scope(self) -> Any: ...


def call_outcomes(request: HasScope | Mapping[str, Any]) -> tuple[Outcome, ...]:
    """The outcomes of the delivery in ``request``, in the order of its events. Takes a request or an ASGI scope.

    The tuple is empty for a request that is no delivery, and for a request that passed no door of Ringback. Starlette
    and FastAPI have the same tuple as ``request.state.call_outcomes``.
    """
    scope: Mapping[str, Any] = request if isinstance(request, Mapping) else request.scope
    state: Mapping[str, Any] = scope.get("state") or {}
    found: tuple[Outcome, ...] = state.get(_KEY, ())
    return found


def give_outcomes(scope: MutableMapping[str, Any], outcomes: tuple[Outcome, ...]) -> None:
    """Put the outcomes where :func:`call_outcomes` and Starlette's ``request.state`` find them."""
    state = scope.get("state")
    if state is None:
        # The ASGI middleware of Azure Functions may give a scope whose state is None.
        state = scope["state"] = {}
    state[_KEY] = outcomes
