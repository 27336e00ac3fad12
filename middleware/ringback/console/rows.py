"""Rows of tables that several pages have: how calls ended by pairs, and single calls. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from msgspec import Struct

from ringback.console.charts import share_of
from ringback.console.filters import address
from ringback.console.sealed import addressed
from ringback.console.view import Moment, action_of, moment
from ringback.privacy.redaction import redact
from ringback_catalog import RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringback.console.verdicts import Verdicts
    from ringback.work.call_detail import Leg
    from ringback.work.history import Ended, Pair


class Number(Struct, frozen=True):
    """So many calls, and the address of their list; ``None`` where the address would have to name what is private."""

    count: int
    link: str | None


class PairRow(Struct, frozen=True):
    """How calls ended: of the last hour and of the range. ``entry`` is the address of what the catalog knows."""

    event: str
    code: int | None
    subcode: int | None
    cause: str
    match: str
    retry: str
    action: str | None
    owner: str | None
    summary: str
    advice: tuple[str, ...]
    documentation: str | None
    last: Moment
    hour: Number
    range: Number
    share: float | None
    entry: str | None


class CallRow(Struct, frozen=True):
    """One call that ended. ``name`` is an id of it."""

    at: Moment
    event: str
    code: int | None
    subcode: int | None
    cause: str
    retry: str
    disposition: str
    state: str | None
    name: str
    owner: str | None = None
    answered: bool | None = None
    talked: float | None = None
    duplicates: int = 0
    summary: str | None = None
    entry: str | None = None


def pair_rows(
    pairs: Iterable[Pair], hour: Sequence[Pair], verdicts: Verdicts, ended: int, times: tuple[float, float, float]
) -> list[PairRow]:
    """The rows of pairs, those with most calls in the last hour first, then those with most in the range.

    ``ended`` counts all calls of the range; ``times`` are when the range and the hour began, and when both end.
    """
    grouped: dict[tuple[object, ...], list[Pair]] = {}
    for pair in pairs:
        grouped.setdefault(_group(pair), []).append(pair)
    lately: dict[tuple[object, ...], int] = {}
    for pair in hour:
        lately[_group(pair)] = lately.get(_group(pair), 0) + pair.count
    rows = [_pair_row(same, lately.get(group, 0), verdicts, ended, times) for group, same in grouped.items()]
    return sorted(rows, key=lambda row: (-row.hour.count, -row.range.count, row.event, str(row.code), str(row.subcode)))


def _group(pair: Pair) -> tuple[object, ...]:
    return pair.event, pair.code, pair.subcode, pair.cause, pair.retry is RetryClass.NONE


def _pair_row(
    same: Sequence[Pair], lately: int, verdicts: Verdicts, ended: int, times: tuple[float, float, float]
) -> PairRow:
    pair, count = same[0], sum(each.count for each in same)
    outcome = verdicts.of(pair)
    since, hour, until = times
    conditions = {
        "event": pair.event,
        "code": "none" if pair.code is None else pair.code,
        "subcode": "none" if pair.subcode is None else pair.subcode,
        "cause": pair.cause.value,
        "intended": pair.retry is RetryClass.NONE,
        "until": until,
    }
    # The name of an event is the sender's, who may write anything.
    told = redact(pair.event) == pair.event

    def number(calls: int, began: float) -> Number:
        return Number(calls, address({**conditions, "since": began}) if told else None)

    return PairRow(
        event=pair.event,
        code=pair.code,
        subcode=pair.subcode,
        cause=pair.cause.value,
        match=pair.match.value,
        retry=pair.retry.value,
        action=action_of(outcome),
        owner=None if outcome is None else outcome.owner.value,
        summary=_ELSEWHERE if outcome is None else outcome.summary,
        advice=() if outcome is None else outcome.advice,
        # An override may name any text as its documentation; the page links to web addresses only.
        documentation=None if outcome is None or not outcome.documentation.startswith(_WEB) else outcome.documentation,
        last=moment(max(each.last_at for each in same)),
        hour=number(lately, hour),
        range=number(count, since),
        share=share_of(count, ended),
        entry=entry_address(pair.event, pair.code, pair.subcode),
    )


def row_of_ended(ended: Ended) -> CallRow:
    outcome = ended.outcome
    name = None if outcome is None else outcome.call_connection_id or outcome.correlation_id
    return CallRow(
        at=moment(ended.at),
        event=ended.event,
        code=ended.code,
        subcode=ended.subcode,
        cause=ended.cause.value,
        retry=ended.retry.value,
        disposition=ended.retry.disposition.value,
        state=ended.state.value,
        name=name or ended.key,
        owner=None if outcome is None else outcome.owner.value,
        duplicates=ended.duplicates,
        summary=None if outcome is None else outcome.summary,
        entry=entry_address(ended.event, ended.code, ended.subcode),
    )


def row_of_leg(leg: Leg) -> CallRow:
    """The row of a leg in a list of calls that ended, so that there is an end."""
    end = leg.ending
    assert end is not None
    at = leg.seen_at if leg.seen_at is not None else leg.ended_at
    assert at is not None
    return CallRow(
        at=moment(at),
        event=end.event,
        code=end.code,
        subcode=end.subcode,
        cause=end.cause.value,
        retry=end.retry_class.value,
        disposition=end.disposition.value,
        state=None if leg.state is None else leg.state.value,
        name=name_of(leg),
        owner=None if end.owner is None else end.owner.value,
        answered=leg.answered,
        talked=leg.talk_seconds,
        duplicates=leg.duplicates,
        summary=end.summary,
        entry=entry_address(end.event, end.code, end.subcode),
    )


def name_of(leg: Leg) -> str:
    """An id by which a store finds the leg."""
    event = next((entry.event_id for entry in leg.entries if entry.event_id), "")
    return leg.call_connection_id or leg.correlation_id or event or ""


def call_address(name: str, token: str) -> str:
    """The address of a call by one of its ids, from the console's root."""
    return f"calls/{quote(addressed(name, token), safe='~')}"


def entry_address(event: str, code: int | None, subcode: int | None) -> str | None:
    """The address of what the catalog knows of a result; ``None`` where it would have to name what is private."""
    if redact(event) != event:
        return None
    given: Mapping[str, object] = {"event": event or None, "code": code, "subcode": subcode}
    return f"catalog/entry?{urlencode([(name, value) for name, value in given.items() if value is not None])}"


_ELSEWHERE = "Its verdict rests on SIP or Q.850 details, or on overrides; a single call of it says more."
_WEB = ("https://", "http://")
