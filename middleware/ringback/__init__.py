"""Why did the call end, and should we call again? Middleware for Azure Communication Services callbacks."""

from ringback.asgi import CallOutcomeMiddleware
from ringback.auth import Head, Refusal, SharedSecret
from ringback.dispatch import Dispatcher
from ringback.endpoint import OutcomeRouter
from ringback.events import Delivery, Diagnostic, Event, Fault, Result, parse_delivery
from ringback.exceptions import (
    CatalogError,
    ConfigurationError,
    DeliveryError,
    DeliveryTooLarge,
    MalformedDelivery,
    RegistrationError,
    RingbackError,
    UnsupportedEncoding,
)
from ringback.outcome import Outcome, classify, classify_event
from ringback.redaction import use_redaction
from ringback.tokens import CallbackTokenVerifier, EventGridTokenVerifier
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
    "CallOutcomeMiddleware",
    "CallbackTokenVerifier",
    "Catalog",
    "CatalogError",
    "CategoryBasis",
    "Cause",
    "Confidence",
    "ConfigurationError",
    "Delivery",
    "DeliveryError",
    "DeliveryTooLarge",
    "Diagnostic",
    "Dispatcher",
    "Disposition",
    "Event",
    "EventGridTokenVerifier",
    "Fault",
    "Head",
    "MalformedDelivery",
    "Match",
    "Outcome",
    "OutcomeRouter",
    "Owner",
    "Refusal",
    "RegistrationError",
    "Result",
    "ResultCategory",
    "RetryClass",
    "RingbackError",
    "Scope",
    "SharedSecret",
    "UnsupportedEncoding",
    "classify",
    "classify_event",
    "parse_delivery",
    "use_redaction",
]
