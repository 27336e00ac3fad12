"""What the calls of a simulator need of the world outside them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.simulator.recording import Recording


def _ignored(_: object) -> None:
    """A simulator without files announces none."""


def _unsigned(**_: object) -> str:
    return "unsigned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """``clock`` gives seconds since 1970, ``filed`` takes a recording that has ended, ``token`` signs claims."""

    clock: Callable[[], float] = time.time
    filed: Callable[[Recording], object] = _ignored
    token: Callable[..., str] = _unsigned
