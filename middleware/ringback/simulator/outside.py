"""What all parts of a simulator need of the world outside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from random import Random
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from ringback.simulator.recording import Recording
    from ringback.testing.signing import Issuer

Sleep = Callable[[float], Awaitable[object]]
Say = Callable[[str], object]
"""Takes one line of text for each step; the line holds nothing private."""

FAST = 50.0
"""How many times as fast as people a simulator is in a test."""


def ignored(_: object) -> None:
    """A simulator that tells nobody, or that has no files, says nothing."""


def _unsigned(**_: object) -> str:
    return "unsigned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """``clock`` gives seconds since 1970, ``sleep`` waits, ``random`` draws ids, orders and delays.

    ``latency`` is the seconds to draw a delay between; ``speed`` divides the seconds that people take. ``issuer`` signs
    what is posted; ``None`` leaves it unsigned. ``allow_http`` allows or forbids addresses with http; ``None`` allows
    those of this machine. ``filed`` takes a recording that has ended, ``token`` signs claims. Raises
    :class:`~ringback.exceptions.ConfigurationError` for what cannot work.
    """

    clock: Callable[[], float] = time.time
    sleep: Sleep = asyncio.sleep
    random: Random = field(default_factory=Random)
    latency: tuple[float, float] = (0.0, 0.0)
    say: Say = ignored
    issuer: Issuer | None = None
    speed: float = 1.0
    allow_http: bool | None = None
    filed: Callable[[Recording], object] = ignored
    token: Callable[..., str] = _unsigned

    def __post_init__(self) -> None:
        if not 0 <= self.latency[0] <= self.latency[1]:
            raise ConfigurationError(f"latency {self.latency!r} is no range of seconds; give for example (0, 0.1)")
        if not 0 < self.speed < inf:
            raise ConfigurationError(f"speed {self.speed!r} is no factor above 0; give 1 for the time that people take")

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def validity(self, lifetime: int) -> dict[str, int]:
        """The claims of a token that is valid from now on, for so many seconds."""
        now = int(self.clock())
        return {"iat": now, "nbf": now, "exp": now + lifetime}
