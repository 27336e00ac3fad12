"""The closed sets of words of the catalog: each column of a row has one, and so has the look-up.

A *cause* says why a call ended, a *category* repeats Microsoft's judgement, a *retry class* says whether calling again
can help, an *owner* is who must act. The four are independent: busy has category ``Success`` and is worth another call.
"""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Why a call ended or never started: a closed set of stable slugs."""

    ENDED = "ended"
    HUNG_UP = "hung_up"
    REMOVED = "removed"
    TRANSFERRED = "transferred"
    CANCELED = "canceled"
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    SUCCEEDED = "succeeded"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number"
    NOT_FOUND = "not_found"
    BLOCKED = "blocked"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MISCONFIGURED = "misconfigured"
    BAD_REQUEST = "bad_request"
    UNSUPPORTED = "unsupported"
    CONFLICT = "conflict"
    THROTTLED = "throttled"
    LIMIT_REACHED = "limit_reached"
    CLIENT_NETWORK = "client_network"
    MEDIA = "media"
    TIMEOUT = "timeout"
    SERVICE_ERROR = "service_error"
    CARRIER_ERROR = "carrier_error"
    UNREPORTED = "unreported"
    UNKNOWN = "unknown"


class ResultCategory(StrEnum):
    """Microsoft's four result categories, and ``Unknown`` where no source supports a category."""

    SUCCESS = "Success"
    EXPECTED_ERROR = "ExpectedError"
    UNEXPECTED_CLIENT_ERROR = "UnexpectedClientError"
    UNEXPECTED_SERVER_ERROR = "UnexpectedServerError"
    UNKNOWN = "Unknown"


class CategoryBasis(StrEnum):
    """Whether Microsoft states the category for a key, or the catalog infers the category."""

    DOCUMENTED = "documented"
    INFERRED = "inferred"


class Disposition(StrEnum):
    """Whether another call can help."""

    RETRYABLE = "retryable"
    TERMINAL = "terminal"


class RetryClass(StrEnum):
    """When calling again can help. Only ``now`` and ``later`` are retryable."""

    NONE = "none"
    NOW = "now"
    LATER = "later"
    AFTER_FIX = "after_fix"
    NEVER = "never"

    @property
    def disposition(self) -> Disposition:
        return _DISPOSITIONS[self]


_DISPOSITIONS = dict.fromkeys(RetryClass, Disposition.TERMINAL) | {
    RetryClass.NOW: Disposition.RETRYABLE,
    RetryClass.LATER: Disposition.RETRYABLE,
}


class Owner(StrEnum):
    """Who must act."""

    NOBODY = "nobody"
    CALLEE = "callee"
    APP = "app"
    ADMIN = "admin"
    CARRIER = "carrier"
    AZURE = "azure"


class Confidence(StrEnum):
    """How well the sources support the verdict."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Scope(StrEnum):
    """Whether an event ends a call, or reports on one operation within it."""

    CALL = "call"
    OPERATION = "operation"


class Match(StrEnum):
    """The rung of the ladder on which the look-up found an entry."""

    EXACT = "exact"
    PAIR = "pair"
    SUBCODE = "subcode"
    SIP_SUBCODE = "sip_subcode"
    GENERIC_SUBCODE = "generic_subcode"
    CODE = "code"
    RANGE = "range"
    NONE = "none"


INTENDED = frozenset(
    {
        Cause.ENDED,
        Cause.HUNG_UP,
        Cause.REMOVED,
        Cause.TRANSFERRED,
        Cause.CANCELED,
        Cause.ANSWERED_ELSEWHERE,
        Cause.SUCCEEDED,
    }
)
"""The causes of endings that somebody intended."""

SPECIAL = ("contradicted", "unknown", "unreported")
"""The special answers, which need no code; every catalog has an entry for each of them."""
STATUS = (
    "authenticationFailure",
    "badRequest",
    "forbidden",
    "initialWebSocketConnectionFailed",
    "serviceShutdown",
    "serviceTimeout",
    "speechServicesConnectionError",
    "streamConnectionInterrupted",
    "streamConnectionUnsuccessful",
    "streamUrlMissing",
    "tooManyRequests",
)
"""The service's words for the failures of media streaming and transcription, in the REST specification's spelling."""
