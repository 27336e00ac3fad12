"""Why Azure Communication Services calls end: the reviewed catalog and its look-up. Standard library only."""

from ringback_catalog._again import RetryAction, RetryAfter, action_after
from ringback_catalog._catalog import Catalog
from ringback_catalog._codes import Codes
from ringback_catalog._events import (
    CALL_EVENTS,
    EVENTS,
    INSTEAD_OF,
    OPERATION_EVENTS,
    PREFIX,
    START_FAILURES,
    EventKind,
    EventRow,
    event_name,
    scope_of,
)
from ringback_catalog._ladder import EMPTY_SUBCODES, recognized
from ringback_catalog._model import Entry, Key, Verdict
from ringback_catalog._overrides import Overrides
from ringback_catalog._pages import page_paths
from ringback_catalog._sources import Source, source_lines
from ringback_catalog._words import (
    INTENDED,
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
from ringback_catalog.errors import CatalogError, RingbackError

__all__ = [
    "CALL_EVENTS",
    "EMPTY_SUBCODES",
    "EVENTS",
    "INSTEAD_OF",
    "INTENDED",
    "OPERATION_EVENTS",
    "PREFIX",
    "START_FAILURES",
    "Catalog",
    "CatalogError",
    "CategoryBasis",
    "Cause",
    "Codes",
    "Confidence",
    "Disposition",
    "Entry",
    "EventKind",
    "EventRow",
    "Key",
    "Match",
    "Overrides",
    "Owner",
    "ResultCategory",
    "RetryAction",
    "RetryAfter",
    "RetryClass",
    "RingbackError",
    "Scope",
    "Source",
    "Verdict",
    "action_after",
    "event_name",
    "page_paths",
    "recognized",
    "scope_of",
    "source_lines",
]
