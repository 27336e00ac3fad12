"""How deliveries were answered: a closed table of results and reasons, and counts by time. Pure.

Whoever finds the URL can send what they like. So no word of a sender's becomes a reason, and a minute has at most as
many counts as the table has reasons. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from msgspec import Struct

from ringback.core.times import DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Result: TypeAlias = Literal["accepted", "malformed", "refused", "unavailable", "handshake", "too_large", "interrupted"]
"""What became of a delivery, in the words of the metric ``ringback.deliveries``."""

RESULTS: tuple[Result, ...] = get_args(Result)

Answer: TypeAlias = tuple[Result, str]
"""A result with its reason, a word of :data:`REASONS`; an accepted delivery has the reason ``""``."""

ACCEPTED: Answer = ("accepted", "")
SENDER_LEFT: Answer = ("interrupted", "sender_left")

OTHER = "other"
"""The reason that stands for any word that :data:`REASONS` does not have, such as one of an app's own check."""

REASONS: Mapping[Result, tuple[str, ...]] = {
    "accepted": ("",),
    "refused": (
        "algorithm_refused", "application_unknown", "audience_wrong", "claim_missing", "extension_refused",
        "issuer_wrong", "key_id_missing", "key_unknown", "scheme_unknown", "secret_missing", "secret_wrong",
        "signature_wrong", "subscription_unknown", "time_invalid", "token_expired", "token_invalid",
        "token_malformed", "token_missing", "token_not_yet_valid", "token_repeated", "token_too_long", OTHER,
    ),
    "malformed": ("empty", "encoding", "no_event", "not_json", "too_deep", "validation", OTHER),
    "too_large": ("body", "events", "headers", OTHER),
    "unavailable": ("check_failed", "keys_unavailable", "store", OTHER),
    "interrupted": ("sender_left", "too_slow", OTHER),
    "handshake": ("cloudevents", "eventgrid", OTHER),
}  # fmt: skip
"""Every reason by its result. The reasons of refusals are those of the checks in ``ringback.senders``."""

_BY_STATUS: Mapping[int, Result] = {
    200: "handshake",
    401: "refused",
    408: "interrupted",
    413: "too_large",
    431: "too_large",
    503: "unavailable",
}

FINE = DAY
"""Seconds for which a store keeps counts by the minute. Older ones it adds up by the hour."""


def result_of(status: int) -> Result:
    """The result of a delivery that Ringback answered with this HTTP status, in place of the route."""
    return _BY_STATUS.get(status, "malformed")


def answer_of(status: int, reason: str) -> Answer:
    """The result and the reason of such a delivery."""
    result = result_of(status)
    return result, reason if reason in REASONS[result] else OTHER


class Counted(Struct, frozen=True, gc=False):
    """How many deliveries had this answer in the minute that begins at ``at``, and when the last of them came."""

    at: int
    result: Result
    reason: str
    count: int
    last_at: float


class Deliveries(Struct, frozen=True):
    """How many deliveries had this answer in the ``step`` seconds that begin at ``at``."""

    at: float
    result: Result
    reason: str
    count: int


class LastDelivery(Struct, frozen=True):
    """When the last delivery came, when the last accepted one, and since when the store has counts.

    ``None`` where the store knows of none. A handshake is no delivery here: no event came with it.
    """

    any: float | None = None
    accepted: float | None = None
    first: float | None = None


def deliveries_of(rows: Iterable[tuple[float, str, str, int]], since: float, step: float) -> Sequence[Deliveries]:
    """The deliveries of rows in any order: the step's number from ``since``, result, reason and count.

    A process of a newer release may share the store: its results are left out, and its reasons count as others.
    """
    counts: Counter[tuple[int, Result, str]] = Counter()
    for bar, result, reason, count in rows:
        if result in REASONS:
            known = cast("Result", result)
            counts[int(bar), known, reason if reason in REASONS[known] else OTHER] += count
    return [
        Deliveries(since + bar * step, result, reason, count) for (bar, result, reason), count in sorted(counts.items())
    ]


def folded_before(now: float) -> int:
    """The whole hour before which counts are added up by the hour."""
    return int((now - FINE) // HOUR) * HOUR


def last_of(rows: Iterable[tuple[str, float, int]]) -> LastDelivery:
    """The last delivery of rows in any order: a result, when a delivery last had it, and when a first minute began."""
    known = list(rows)
    arrived = [at for result, at, _ in known if result != "handshake"]
    accepted = [at for result, at, _ in known if result == "accepted"]
    first = min((first for *_, first in known), default=None)
    return LastDelivery(max(arrived, default=None), max(accepted, default=None), first)
