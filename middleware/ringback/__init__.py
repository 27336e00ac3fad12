"""Why did the call end, and should we call again? Middleware for Azure Communication Services callbacks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ringback.core.events import Event, parse_delivery
from ringback.core.outcome import Outcome, classify, classify_event
from ringback.exceptions import (
    CallEnded,
    ConfigurationError,
    DeliveryError,
    OperationFailed,
    RegistrationError,
    RingbackError,
    StoreError,
    StoreUnavailable,
    WaitTimeout,
)
from ringback.privacy.redaction import use_redaction
from ringback.senders.auth import Head, Refusal, SharedSecret
from ringback.senders.tokens import CallbackTokenVerifier, EventGridTokenVerifier
from ringback.web.endpoint import OutcomeRouter
from ringback.web.handler import CallbackHandler
from ringback.web.middleware import CallOutcomeMiddleware
from ringback.web.state import call_outcomes
from ringback.work.pace import Pace
from ringback.work.policy import GiveUp, HookContext, HookPolicy, Retry
from ringback.work.redial_policy import RedialPolicy
from ringback_catalog import (
    Catalog,
    Cause,
    Disposition,
    Owner,
    ResultCategory,
    RetryAction,
    RetryClass,
    Scope,
)

if TYPE_CHECKING:
    from ringback.core.events import Delivery as Delivery
    from ringback.core.events import Diagnostic as Diagnostic
    from ringback.core.events import Fault as Fault
    from ringback.core.events import Result as Result
    from ringback.eventgrid import EventGridSink
    from ringback.exceptions import CatalogError as CatalogError
    from ringback.exceptions import DeliveryTooLarge as DeliveryTooLarge
    from ringback.exceptions import MalformedDelivery as MalformedDelivery
    from ringback.exceptions import StoreFull as StoreFull
    from ringback.exceptions import UnsupportedEncoding as UnsupportedEncoding
    from ringback.exceptions import WaitError as WaitError
    from ringback.hooks.call_records import CallPage as CallPage
    from ringback.hooks.call_records import CallRecords as CallRecords
    from ringback.hooks.dispatcher import Dispatcher as Dispatcher
    from ringback.hooks.observer import Observer as Observer
    from ringback.hooks.operators import Operator as Operator
    from ringback.receiving.health import Health as Health
    from ringback.stores import DeadLetter as DeadLetter
    from ringback.stores import DeliveryStore as DeliveryStore
    from ringback.stores import MemoryStore as MemoryStore
    from ringback.stores import Stats as Stats
    from ringback.stores import open_store as open_store
    from ringback.waits.calls import Call as Call
    from ringback.waits.calls import Calls
    from ringback.work.call_detail import CallDetailRecord as CallDetailRecord
    from ringback.work.call_detail import Leg as Leg
    from ringback.work.contact_call import PastCall as PastCall
    from ringback_catalog import CategoryBasis as CategoryBasis
    from ringback_catalog import Confidence as Confidence
    from ringback_catalog import Match as Match
    from ringback_catalog import RetryAfter as RetryAfter

__all__ = [
    "CallEnded",
    "CallOutcomeMiddleware",
    "CallbackHandler",
    "CallbackTokenVerifier",
    "Calls",
    "Catalog",
    "Cause",
    "ConfigurationError",
    "DeliveryError",
    "Disposition",
    "Event",
    "EventGridSink",
    "EventGridTokenVerifier",
    "GiveUp",
    "Head",
    "HookContext",
    "HookPolicy",
    "OperationFailed",
    "Outcome",
    "OutcomeRouter",
    "Owner",
    "Pace",
    "RedialPolicy",
    "Refusal",
    "RegistrationError",
    "ResultCategory",
    "Retry",
    "RetryAction",
    "RetryClass",
    "RingbackError",
    "Scope",
    "SharedSecret",
    "StoreError",
    "StoreUnavailable",
    "WaitTimeout",
    "call_outcomes",
    "classify",
    "classify_event",
    "parse_delivery",
    "use_redaction",
]


# Public names that few apps use, by their modules. `from ringback import StoreFull` finds these names as well. Type
# checkers read the same names in the imports above.
_ELSEWHERE = {
    "ringback.core.events": "Delivery Diagnostic Fault Result",
    "ringback.eventgrid": "EventGridSink",
    "ringback.exceptions": "CatalogError DeliveryTooLarge MalformedDelivery StoreFull UnsupportedEncoding WaitError",
    "ringback.stores": "DeadLetter DeliveryStore MemoryStore Stats open_store",
    "ringback.waits.calls": "Call Calls",
    "ringback.work.call_detail": "CallDetailRecord Leg",
    "ringback.work.contact_call": "PastCall",
    "ringback.hooks.call_records": "CallPage CallRecords",
    "ringback.hooks.dispatcher": "Dispatcher",
    "ringback.hooks.observer": "Observer",
    "ringback.hooks.operators": "Operator",
    "ringback.receiving.health": "Health",
    "ringback_catalog": "CategoryBasis Confidence Match RetryAfter",
}


if TYPE_CHECKING:
    __version__: str
else:
    # A type checker that sees this function takes every name for one of the module, a misspelt one too.

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            # Imported here, because reading the distribution's metadata costs time and few ask for the version.
            from importlib.metadata import version

            return version("ringback")
        for module, names in _ELSEWHERE.items():
            if name in names.split():
                return getattr(import_module(module), name)
        raise AttributeError(f"module 'ringback' has no attribute {name!r}")
