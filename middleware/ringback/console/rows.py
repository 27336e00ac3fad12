"""Rows of tables that several pages have: how calls ended by pairs, single calls, and items of a store. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from msgspec import Struct

from ringback.console.charts import share_of
from ringback.console.filters import address
from ringback.console.sealed import addressed
from ringback.console.view import action_of
from ringback.core.outcome import classify
from ringback.privacy.redaction import redact
from ringback.work.hook_runs import tries_in
from ringback_catalog import RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringback.console.snapshot import Snapshot
    from ringback.core.outcome import Outcome
    from ringback.work.call_detail import Leg
    from ringback.work.history import Ended, Pair, Waiting
    from ringback.work.items import DeadLetter
    from ringback_catalog import Catalog


class Number(Struct, frozen=True):
    """So many calls, and the address of their list; ``None`` where the address would have to name what is private."""

    count: int
    link: str | None


class Verdicts:
    """The catalog's verdict on a pair; if the stores have another, that of a stored outcome in the snapshot."""

    def __init__(self, catalog: Catalog, snapshot: Snapshot) -> None:
        self._catalog = catalog
        self._stored = {
            (outcome.event_name, outcome.code, outcome.subcode, outcome.match, outcome.cause): outcome
            for ended in snapshot.latest
            if (outcome := ended.outcome) is not None
        }

    def of(self, pair: Pair) -> Outcome | None:
        """An outcome with the pair's verdict; ``None`` if the verdict rests on a detail that no pair has."""
        outcome = classify(pair.event, pair.code, pair.subcode, catalog=self._catalog)
        if outcome.cause is pair.cause and outcome.match is pair.match:
            return outcome
        stored = self._stored.get((pair.event, pair.code, pair.subcode, pair.match, pair.cause))
        return stored if stored is not None or outcome.cause is not pair.cause else outcome


def pair_rows(
    pairs: Iterable[Pair], hour: Sequence[Pair], verdicts: Verdicts, ended: int, times: tuple[float, float, float]
) -> list[dict[str, Any]]:
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
    return sorted(rows, key=_most_first)


def _most_first(row: dict[str, Any]) -> tuple[object, ...]:
    return -row["hour"].count, -row["range"].count, row["event"], str(row["code"]), str(row["subcode"])


def _group(pair: Pair) -> tuple[object, ...]:
    return pair.event, pair.code, pair.subcode, pair.cause, pair.retry is RetryClass.NONE


def _pair_row(
    same: Sequence[Pair], lately: int, verdicts: Verdicts, ended: int, times: tuple[float, float, float]
) -> dict[str, Any]:
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

    return {
        "event": pair.event,
        "code": pair.code,
        "subcode": pair.subcode,
        "cause": pair.cause,
        "match": pair.match,
        "retry": pair.retry,
        "action": action_of(outcome),
        "owner": None if outcome is None else outcome.owner,
        "summary": _ELSEWHERE if outcome is None else outcome.summary,
        "advice": () if outcome is None else outcome.advice,
        "documentation": None if outcome is None else web_address(outcome.documentation),
        "last": max(each.last_at for each in same),
        "hour": number(lately, hour),
        "range": number(count, since),
        "share": share_of(count, ended),
        # What the catalog knows of the pair.
        "entry": entry_address(pair.event, pair.code, pair.subcode),
    }


def row_of_ended(ended: Ended) -> dict[str, Any]:
    """One call that ended, of the newest ones. ``name`` is an id of it."""
    outcome = ended.outcome
    name = None if outcome is None else outcome.call_connection_id or outcome.correlation_id
    return {
        "at": ended.at,
        "event": ended.event,
        "code": ended.code,
        "subcode": ended.subcode,
        "cause": ended.cause,
        "retry": ended.retry,
        "state": ended.state,
        "name": name or ended.key,
        "entry": entry_address(ended.event, ended.code, ended.subcode),
    }


def row_of_leg(leg: Leg) -> dict[str, Any]:
    """One call in a list of calls that ended, so that there is an end."""
    end = leg.ending
    assert end is not None
    return {
        "at": leg.ended_at if leg.seen_at is None else leg.seen_at,
        "event": end.event,
        "code": end.code,
        "subcode": end.subcode,
        "cause": end.cause,
        "retry": end.retry_class,
        "owner": end.owner,
        "answered": leg.answered,
        "talked": leg.talk_seconds,
        "state": leg.state,
        "duplicates": leg.duplicates,
        "name": name_of(leg),
        "entry": entry_address(end.event, end.code, end.subcode),
    }


def row_of_item(item: Waiting | DeadLetter, token: str) -> dict[str, Any]:
    """What a hook or a redial that waits, and one that was given up, have in common. ``link`` leads to its call."""
    outcome = item.outcome
    of_call = None if outcome is None else outcome.call_connection_id or outcome.correlation_id
    return {
        "key": item.key,
        "code": None if outcome is None else outcome.code,
        "subcode": None if outcome is None else outcome.subcode,
        "cause": None if outcome is None else outcome.cause,
        "tries": tries_in(item.progress),
        "target": item.target,
        "link": call_address(of_call or item.key, token),
        "entry": None if outcome is None else entry_address(outcome.event_name, outcome.code, outcome.subcode),
    }


def name_of(leg: Leg) -> str:
    """An id by which a store finds the leg."""
    event = next((entry.event_id for entry in leg.entries if entry.event_id), "")
    return leg.call_connection_id or leg.correlation_id or event or ""


def call_address(name: str, token: str) -> str:
    """The address of a call by one of its ids, from the console's root."""
    return f"calls/{quote(addressed(name, token), safe='~')}"


def web_address(documentation: str) -> str | None:
    """The documentation, if it is a web address: an override may name any text, and the page links to no other."""
    return documentation if documentation.startswith(("https://", "http://")) else None


def entry_address(event: str, code: int | None, subcode: int | None) -> str | None:
    """The address of what the catalog knows of a result; ``None`` where it would have to name what is private."""
    if redact(event) != event:
        return None
    given: Mapping[str, object] = {"event": event or None, "code": code, "subcode": subcode}
    return f"catalog/entry?{urlencode([(name, value) for name, value in given.items() if value is not None])}"


_ELSEWHERE = "Its verdict rests on SIP or Q.850 details, or on overrides; a single call of it says more."
