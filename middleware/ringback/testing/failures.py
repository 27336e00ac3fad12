"""What functions of the app raised while a client waited for hooks: the log has it, and a test must not miss it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ringback import logs
from ringback.exceptions import RingbackError, error_text
from ringback.work.policy import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ringback.core.outcome import Outcome
    from ringback.logs import LogObserver


class HooksFailed(RingbackError, ExceptionGroup[Exception]):
    """Hooks, redials, listeners or other functions of the app raised; ``exceptions`` has what they raised, in order."""


class _Raised(NamedTuple):
    function: str
    error: Exception
    outcome_id: str | None
    by: LogObserver | None


class Failures:
    """Collects what functions of the app raise, for one client.

    ``is_ours`` says whether the running code belongs to a request of the client: listeners run within a request. A hook
    belongs to the client if its outcome is among :attr:`delivered`.
    """

    def __init__(self, is_ours: Callable[[], bool]) -> None:
        self.delivered: set[str] = set()
        """The ids of the outcomes that the client has delivered."""
        self._is_ours = is_ours
        self._raised: list[_Raised] = []
        logs.watch(self)

    def raised(
        self, function: str, error: Exception, *, outcome: Outcome | None, by: LogObserver | None, is_last: bool
    ) -> None:
        """See :class:`ringback.logs.Witness`."""
        if isinstance(error, Retry) and not is_last:
            # The hook has not failed: the hook asks for a later call.
            return
        if outcome is not None or self._is_ours():
            self._raised.append(_Raised(function, error, None if outcome is None else outcome.outcome_id, by))

    def take(self, observers: Collection[LogObserver]) -> HooksFailed | None:
        """What was raised since the last time, in engines with these observers; ``None`` for nothing."""
        # A hook may have raised before its delivery was known, so only now it is seen whose the hook was.
        raised, self._raised = self._raised, []
        ours = [
            each
            for each in raised
            if each.outcome_id is None or (each.outcome_id in self.delivered and each.by in observers)
        ]
        if not ours:
            return None
        told = "; ".join(f"{each.function} raised {error_text(each.error)}" for each in ours)
        return HooksFailed(told, [each.error for each in ours])
