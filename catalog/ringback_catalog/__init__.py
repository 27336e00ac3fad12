"""Why Azure Communication Services calls end: the reviewed catalog and its look-up. Standard library only."""

from ringback_catalog._catalog import Catalog
from ringback_catalog._errors import CatalogError, RingbackError
from ringback_catalog._events import CALL_EVENTS, OPERATION_EVENTS, PREFIX, START_FAILURES, event_name, scope_of
from ringback_catalog._ladder import Verdict
from ringback_catalog._model import (
    INTENDED,
    CategoryBasis,
    Cause,
    Codes,
    Confidence,
    Disposition,
    Entry,
    Key,
    Match,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
    Source,
)
from ringback_catalog._overrides import Overrides
from ringback_catalog._pages import page_paths

__all__ = [
    "CALL_EVENTS",
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
    "Key",
    "Match",
    "Overrides",
    "Owner",
    "ResultCategory",
    "RetryClass",
    "RingbackError",
    "Scope",
    "Source",
    "Verdict",
    "event_name",
    "page_paths",
    "scope_of",
]
