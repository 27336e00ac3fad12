"""Every error Ringback raises on purpose, in one family."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ringback_catalog.errors import CatalogError as CatalogError
from ringback_catalog.errors import RingbackError as RingbackError

if TYPE_CHECKING:
    from collections.abc import Generator

    from ringback.core.events import Event, Fault
    from ringback.core.outcome import Outcome


class DeliveryError(RingbackError):
    """A request is not acceptable as a delivery, whatever its bytes are.

    ``status`` is the HTTP status of the answer; ``faults`` has one fault for each element that is no event. ``reason``
    is a word of the closed table by which deliveries are counted.
    """

    status = 400
    reason = "other"

    def __init__(self, message: str, faults: tuple[Fault, ...] = (), *, reason: str | None = None) -> None:
        super().__init__(message)
        self.faults = faults
        if reason is not None:
            self.reason = reason


class MalformedDelivery(DeliveryError):
    """The body is not JSON, or holds no event."""

    reason = "not_json"


class DeliveryTooLarge(DeliveryError):
    """The body has more bytes or more events than the limits allow."""

    status = 413
    reason = "body"


class TooManyHeaders(DeliveryError):
    """The request has more header fields than the limit allows."""

    status = 431
    reason = "headers"


class DeliveryTooSlow(DeliveryError):
    """The body did not arrive in time."""

    status = 408
    reason = "too_slow"


class UnsupportedEncoding(DeliveryError):
    """The body is compressed; Microsoft sends plain JSON."""

    status = 415
    reason = "encoding"


class ConfigurationError(RingbackError, ValueError):
    """A setting cannot work; raised at start-up."""


class MissingExtra(ConfigurationError, ImportError):
    """The packages of an optional part are not installed. The message has the command that installs the packages."""


class RegistrationError(ConfigurationError):
    """A handler could never be called; raised when the app registers the handler."""


class StoreError(RingbackError):
    """A store cannot work as it is: a wrong URL, a file that is no store, a schema of a newer release."""


class StoreUnavailable(StoreError):
    """A store cannot be used now, but may be usable later. ``retry_after`` is in seconds."""

    retry_after = 5


class StoreFull(StoreUnavailable):
    """More work waits than the store's limit allows, or the disk is nearly full."""

    retry_after = 30


class ClockJumped(RingbackError):
    """The wall clock of the machine was set, by ``seconds``; 0 for before the process began. ``count`` items would have
    waited for it.
    """

    def __init__(self, message: str, seconds: float, count: int) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.count = count


class NoRawBytes(RingbackError, AttributeError):
    """The bytes of an event are not known here: the event came out of a store, or out of no request."""


class WaitError(RingbackError):
    """The awaited event has not come. ``event`` is the event that came instead, ``outcome`` the event's outcome."""

    def __init__(self, message: str, event: Event | None = None, outcome: Outcome | None = None) -> None:
        super().__init__(message)
        self.event = event
        self.outcome = outcome


class CallEnded(WaitError):
    """The call ended before the awaited event. ``outcome`` says why, and whether to call again."""


class OperationFailed(WaitError):
    """The operation failed or the app canceled it. ``outcome`` is ``None`` if the event carries no result."""


class WaitTimeout(WaitError, TimeoutError):
    """Neither the awaited event nor one instead of it came in time."""


@contextmanager
def needs_extra(part: str, extra: str) -> Generator[None]:
    """Wrap the imports of an optional part: raises :class:`MissingExtra` where one of the imports fails."""
    try:
        yield
    except MissingExtra:
        raise
    except ImportError as error:
        raise MissingExtra(f"{part} needs the extra {extra} ({error}); pip install 'ringback[{extra}]'") from error


def error_text(error: Exception) -> str:
    """The exception's type and text, not redacted. Works also where the exception's ``__str__`` raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}: its text cannot be read"
