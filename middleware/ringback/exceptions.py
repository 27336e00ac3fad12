"""Every error Ringback raises on purpose, in one family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback_catalog import CatalogError, RingbackError

if TYPE_CHECKING:
    from ringback.events import Event, Fault
    from ringback.outcome import Outcome

__all__ = [
    "CallEnded",
    "CatalogError",
    "ConfigurationError",
    "DeliveryError",
    "DeliveryTooLarge",
    "DeliveryTooSlow",
    "MalformedDelivery",
    "OperationFailed",
    "RegistrationError",
    "RingbackError",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "TooManyHeaders",
    "UnsupportedEncoding",
    "WaitError",
    "WaitTimeout",
]


class DeliveryError(RingbackError):
    """A request that is not acceptable as a delivery, whatever its bytes were.

    ``status`` is the HTTP status to answer with, ``faults`` what was wrong with single elements.
    """

    status = 400

    def __init__(self, message: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class MalformedDelivery(DeliveryError):
    """The body is not JSON, or holds no event."""


class DeliveryTooLarge(DeliveryError):
    """More bytes or more events than the limits allow."""

    status = 413


class TooManyHeaders(DeliveryError):
    """More header fields than the limit allows."""

    status = 431


class DeliveryTooSlow(DeliveryError):
    """The body did not arrive in time."""

    status = 408


class UnsupportedEncoding(DeliveryError):
    """The body is compressed; Microsoft sends plain JSON."""

    status = 415


class ConfigurationError(RingbackError, ValueError):
    """A setting that cannot work, found at start-up."""


class RegistrationError(ConfigurationError):
    """A handler that could never be called, found when it is registered."""


class StoreError(RingbackError):
    """A store that cannot work as it is: a wrong URL, a file that is no store, a schema of a newer release."""


class StoreUnavailable(StoreError):
    """A store that cannot be used now, but may be later. ``retry_after`` is in seconds."""

    retry_after = 5


class StoreFull(StoreUnavailable):
    """More work waits than the store's limit allows, or the disk is nearly full."""

    retry_after = 30


class WaitError(RingbackError):
    """What was waited for has not come. ``event`` is what came instead, ``outcome`` how that is classified."""

    def __init__(self, message: str, event: Event | None = None, outcome: Outcome | None = None) -> None:
        super().__init__(message)
        self.event = event
        self.outcome = outcome


class CallEnded(WaitError):
    """The call ended first. ``outcome`` says why, and whether to call again."""


class OperationFailed(WaitError):
    """The operation failed or was canceled. ``outcome`` is ``None`` if the event carries no result."""


class WaitTimeout(WaitError, TimeoutError):
    """Nothing came in time."""


def error_text(error: Exception) -> str:
    """The exception's type and text, whatever its text is made of. Not redacted."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}: its text cannot be read"
