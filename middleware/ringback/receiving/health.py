"""Whether a process of an app can do its part: what :meth:`ringback.OutcomeRouter.health` gives."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.exceptions import StoreError
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.receiving.engine import Engine

PATIENCE = 5.0
"""Seconds that a store may take to answer."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a process can do now, for a probe. Times in seconds.

    Nothing in it is private, so that a probe may be answered to anyone.
    """

    store_reachable: bool
    """Whether the store has answered within 5 seconds. Always true without a store."""
    store_fault: str | None
    """Why the store has not answered, in words without a secret; ``None`` if it has."""
    worker_running: bool | None
    """Whether hooks are called here; ``None`` if another process calls them, or nothing has come for them yet."""
    last_delivery: float | None
    """How long ago this process accepted a delivery; ``None`` if it never did."""
    oldest_due: float | None
    """How late the oldest item of the store is; ``None`` while the store does not answer."""
    dead: int | None
    """The dead letters in the store; ``None`` while the store does not answer."""
    deliveries: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many deliveries this process has answered since it began, by result, such as ``accepted`` and ``refused``.
    Results without a delivery are left out, and so are reasons, which would tell a stranger how to forge better.
    """

    @property
    def ok(self) -> bool:
        """Whether the process can do its part. A quiet day, dead letters and late items are no fault of a process."""
        return self.store_reachable and self.worker_running is not False

    def to_dict(self) -> dict[str, Any]:
        """Every field and ``ok``, as JSON can hold them."""
        return {"ok": self.ok, **asdict(self)}


async def health_of(engine: Engine) -> Health:
    """Ask the engine and its store. Never raises for a store that is away."""
    fault = stats = None
    try:
        async with asyncio.timeout(PATIENCE):
            stats = await engine.store.stats()
    except TimeoutError:
        fault = f"no answer within {PATIENCE:g} s"
    except StoreError as error:
        fault = redact(str(error))
    return Health(
        store_reachable=stats is not None,
        store_fault=fault,
        worker_running=engine.dispatcher.is_working,
        last_delivery=engine.since_delivery,
        oldest_due=None if stats is None else round(stats.oldest_due, 3),
        dead=None if stats is None else stats.dead,
        deliveries=engine.tally.totals(),
    )
