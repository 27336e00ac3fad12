"""An exchange for code without ``async``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ringback.core.outcome import Outcome
    from ringback.receiving.exchange import Admitted, Body, Exchange
    from ringback.receiving.replies import Reply


class SyncExchange:
    """An :class:`Exchange` for code without ``async``: ``run`` runs the coroutines of the verbs in another thread."""

    def __init__(self, exchange: Exchange, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._exchange = exchange
        self._run = run

    @property
    def max_body(self) -> int:
        return self._exchange.max_body

    def admit(self, has_body: bool | None = None) -> Reply | Admitted:
        """See :meth:`Exchange.admit`."""
        admitted: Reply | Admitted = self._run(self._exchange.admit(has_body))
        return admitted

    def take(self, body: Body) -> Reply | tuple[Outcome, ...]:
        """See :meth:`Exchange.take`."""
        taken: Reply | tuple[Outcome, ...] = self._run(self._exchange.take(body))
        return taken

    def __enter__(self) -> Self:
        """The caller runs the route inside, in this thread."""
        self._exchange.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._exchange.__exit__(*raised)
