"""The check of the engine's settings that a dispatcher needs, and the store that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError
from ringback.settings import refuse_negative, refuse_no_flag
from ringback.stores import open_store
from ringback.work.policy import HookPolicy

if TYPE_CHECKING:
    from ringback.hooks.observer import Gauge
    from ringback.settings import OnStoreFailure
    from ringback.work.delivery_store import DeliveryStore


def checked_store(
    store: str | DeliveryStore | None,
    settle: float,
    hooks: HookPolicy | None,
    on_store_failure: OnStoreFailure,
    worker: bool,
    telemetry: Gauge | None,
) -> DeliveryStore | None:
    """The store that ``store`` names, not opened; ``None`` stands for a new store in memory.

    Raises :class:`ConfigurationError` for engine settings that cannot work.
    """
    refuse_negative("settle", settle)
    refuse_no_flag("worker", worker)
    if on_store_failure not in ("refuse", "inline"):
        raise ConfigurationError(f"on_store_failure {on_store_failure!r} is unknown; use 'refuse' or 'inline'")
    if not isinstance(hooks, HookPolicy | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"hooks {hooks!r} is no HookPolicy; pass HookPolicy(...), or leave it out")
    if telemetry is not None and (isinstance(telemetry, type) or not hasattr(telemetry, "over")):
        raise ConfigurationError(f"telemetry {telemetry!r} is no Telemetry; pass Telemetry(), or leave it out")
    found = None if store is None else open_store(store)
    if not worker and not (found is not None and found.durable):
        raise ConfigurationError("worker=False needs a store that another process can work on; pass store=")
    return found
