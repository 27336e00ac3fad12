"""Why did the call end, and should we call again? Middleware for Azure Communication Services callbacks."""

from ringback.asgi import CallOutcomeMiddleware
from ringback.auth import Head, Refusal, SharedSecret
from ringback.dispatch import Dispatcher
from ringback.endpoint import OutcomeRouter
from ringback.eventgrid import EventGridSink
from ringback.events import Delivery, Diagnostic, Event, Fault, Result, parse_delivery
from ringback.exceptions import (
    CallEnded,
    CatalogError,
    ConfigurationError,
    DeliveryError,
    DeliveryTooLarge,
    MalformedDelivery,
    OperationFailed,
    RegistrationError,
    RingbackError,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UnsupportedEncoding,
    WaitError,
    WaitTimeout,
)
from ringback.handler import CallbackHandler
from ringback.hooks import GiveUp, HookContext, HookPolicy, Retry
from ringback.observer import Observer
from ringback.outcome import Outcome, classify, classify_event
from ringback.redaction import use_redaction
from ringback.redial import RedialPolicy
from ringback.stores import DeadLetter, DeliveryStore, MemoryStore, Stats, open_store
from ringback.tokens import CallbackTokenVerifier, EventGridTokenVerifier
from ringback.waits import Call, Calls
from ringback_catalog import (
    Catalog,
    CategoryBasis,
    Cause,
    Confidence,
    Disposition,
    Match,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
)

__all__ = [
    "Call",
    "CallEnded",
    "CallOutcomeMiddleware",
    "CallbackHandler",
    "CallbackTokenVerifier",
    "Calls",
    "Catalog",
    "CatalogError",
    "CategoryBasis",
    "Cause",
    "Confidence",
    "ConfigurationError",
    "DeadLetter",
    "Delivery",
    "DeliveryError",
    "DeliveryStore",
    "DeliveryTooLarge",
    "Diagnostic",
    "Dispatcher",
    "Disposition",
    "Event",
    "EventGridSink",
    "EventGridTokenVerifier",
    "Fault",
    "GiveUp",
    "Head",
    "HookContext",
    "HookPolicy",
    "MalformedDelivery",
    "Match",
    "MemoryStore",
    "Observer",
    "OperationFailed",
    "Outcome",
    "OutcomeRouter",
    "Owner",
    "RedialPolicy",
    "Refusal",
    "RegistrationError",
    "Result",
    "ResultCategory",
    "Retry",
    "RetryClass",
    "RingbackError",
    "Scope",
    "SharedSecret",
    "Stats",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "UnsupportedEncoding",
    "WaitError",
    "WaitTimeout",
    "classify",
    "classify_event",
    "open_store",
    "parse_delivery",
    "use_redaction",
]
