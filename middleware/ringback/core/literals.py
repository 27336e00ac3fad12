"""The texts of the catalog's enumerations, for type checkers and editors. A test compares them with the catalog."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias, TypeVar

X = TypeVar("X")

Some: TypeAlias = X | Collection[X]
"""One value, or a collection of values, such as a ``range`` of codes."""

CauseName = Literal[
    "ended",
    "hung_up",
    "removed",
    "transferred",
    "canceled",
    "answered_elsewhere",
    "succeeded",
    "busy",
    "no_answer",
    "declined",
    "unreachable",
    "invalid_number",
    "not_found",
    "blocked",
    "unauthenticated",
    "forbidden",
    "misconfigured",
    "bad_request",
    "unsupported",
    "conflict",
    "throttled",
    "limit_reached",
    "client_network",
    "media",
    "timeout",
    "service_error",
    "carrier_error",
    "unreported",
    "unknown",
]
CategoryName = Literal["Success", "ExpectedError", "UnexpectedClientError", "UnexpectedServerError", "Unknown"]
RetryClassName = Literal["none", "now", "later", "after_fix", "never"]
RetryActionName = Literal["place_call", "connect_call", "call_back", "repeat_operation", "none"]
OwnerName = Literal["nobody", "callee", "app", "admin", "carrier", "azure"]
DispositionName = Literal["retryable", "terminal"]
MatchName = Literal["exact", "pair", "subcode", "sip_subcode", "generic_subcode", "code", "range", "none"]
ScopeName = Literal["call", "operation"]
