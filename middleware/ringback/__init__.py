"""Why did the call end, and should we call again? Middleware for Azure Communication Services callbacks."""

from ringback.asgi import CallOutcomeMiddleware
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
    "Fault",
    "MalformedDelivery",
    "Match",
    "Outcome",
    "OutcomeRouter",
    "Owner",
    "RegistrationError",
    "Result",
    "ResultCategory",
    "RetryClass",
    "RingbackError",
    "Scope",
    "UnsupportedEncoding",
    "classify",
    "classify_event",
    "parse_delivery",
]
