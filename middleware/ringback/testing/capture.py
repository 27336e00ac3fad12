"""The outcomes that endpoints see, collected while a test runs; as structlog's ``capture_logs`` does for log lines."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ringback.router import TAPS

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ringback.events import Event
    from ringback.outcome import Outcome


@contextmanager
def capture_outcomes() -> Generator[list[Outcome]]:
    """A list to which every outcome of every accepted delivery is added, in order, until the block ends.

    From the middleware, the decorator and the handler alike, of every router in this process. What is
    delivered again is added again. Blocks may be nested; each has its own list.
    """
    captured: list[Outcome] = []

    def tap(_: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        captured.extend(outcomes)

    TAPS.append(tap)
    try:
        yield captured
    finally:
        TAPS.remove(tap)
