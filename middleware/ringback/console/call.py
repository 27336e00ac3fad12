"""The page Call: all that is known of one call, in order; and the same as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from msgspec import Struct
from starlette.responses import JSONResponse, Response

from ringback.console.desk import only
from ringback.console.export import visible
from ringback.console.rows import call_address, entry_address
from ringback.console.sealed import unseal
from ringback.console.view import Moment, moment, shown
from ringback.core.glossary import MATCHED, OWNERS, REFINED
from ringback.privacy.redaction import redact_contact
from ringback.work.call_detail import EntryKind, HookResult
from ringback.work.items import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from ringback.console.desk import Desk
    from ringback.work.call_detail import CallDetailRecord, Ending, Entry, HookRun, Leg, OtherCall


class RunRow(Struct, frozen=True):
    hook: str
    result: str
    attempts: int
    reason: str | None
    retry: Moment | None


class EntryRow(Struct, frozen=True):
    """One event in order. ``leg`` is the number of its leg, from 1; ``after`` the seconds since the first event."""

    kind: str
    event: str
    at: Moment
    after: float
    leg: int | None
    code: int | None
    subcode: int | None
    sip: int | None
    q850: int | None
    copies: int
    hooks: tuple[RunRow, ...]
    entry: str | None


class LegView(Struct, frozen=True):
    number: int
    name: str | None
    answered: bool | None
    rang: float | None
    talked: float | None
    transferred: bool
    state: str | None
    duplicates: int
    reason: str | None
    hooks: tuple[RunRow, ...]
    ended: EndingView | None
    letters: str | None


class EndingView(Struct, frozen=True):
    """The verdict on an end, and what it rests on in words."""

    event: str
    code: int | None
    subcode: int | None
    cause: str
    category: str
    retry: str
    disposition: str
    acts: str | None
    evidence: tuple[str, ...]
    summary: str | None
    advice: tuple[str, ...]
    entry: str | None


class OtherRow(Struct, frozen=True):
    at: Moment
    state: str
    redial: bool
    answered: bool
    ended: Moment | None
    cause: str | None
    when: str


class CallView(Struct, frozen=True):
    correlation: str | None
    contact: str | None
    redials: int | None
    legs: tuple[LegView, ...]
    entries: tuple[EntryRow, ...]
    others: tuple[OtherRow, ...]


async def page(desk: Desk, request: Request) -> Response:
    """The call of the address, by any of its ids; 404 if no store knows it."""
    only(request, frozenset())
    token = desk.token(request)
    found = await _record(desk, request)
    if found is None:
        return desk.answer(request, "unknown.html", 404)
    others = (*found.before, *found.after)
    return desk.answer(
        request,
        "call.html",
        view=shown(view_of(found)),
        json=f"{request.path_params['name']}.json",
        calls=[
            None if each.call_connection_id is None else call_address(each.call_connection_id, token) for each in others
        ],
    )


async def record(desk: Desk, request: Request) -> Response:
    """The record of the call as JSON, redacted."""
    only(request, frozenset())
    found = await _record(desk, request)
    if found is None:
        return JSONResponse({"error": "no call has this id"}, 404)
    values = found.to_dict()
    values["legs"] = list(map(visible, values["legs"]))
    return JSONResponse(values)


async def _record(desk: Desk, request: Request) -> CallDetailRecord | None:
    name = unseal(request.path_params["name"], desk.access.token(request))
    if name is None:
        return None
    await desk.reader.opened()
    for records in desk.records():
        found = await records.record(name)
        if found is not None:
            return found
    return None


def view_of(record: CallDetailRecord) -> CallView:
    entries: list[tuple[Entry, int | None]] = [(entry, None) for entry in record.entries]
    entries += [(entry, number) for number, leg in enumerate(record.legs, start=1) for entry in leg.entries]
    entries.sort(key=lambda each: _time(each[0]))
    first = _time(entries[0][0]) if entries else 0.0
    others = [("before", each) for each in record.before] + [("after", each) for each in record.after]
    return CallView(
        correlation=record.correlation_id,
        contact=redact_contact(record.contact),
        redials=record.redials,
        legs=tuple(_leg(leg, number) for number, leg in enumerate(record.legs, start=1)),
        entries=tuple(_entry(entry, number if len(record.legs) > 1 else None, first) for entry, number in entries),
        others=tuple(_other(each, when) for when, each in others),
    )


def _time(entry: Entry) -> float:
    return entry.at if entry.time is None else entry.time


def _leg(leg: Leg, number: int) -> LegView:
    return LegView(
        number=number,
        name=leg.call_connection_id,
        answered=leg.answered,
        rang=leg.ring_seconds,
        talked=leg.talk_seconds,
        transferred=leg.transferred,
        state=None if leg.state is None else leg.state.value,
        duplicates=leg.duplicates,
        reason=leg.reason,
        hooks=_runs(leg.hooks),
        ended=None if leg.ending is None else _ending(leg.ending),
        letters=_letters(leg),
    )


def _letters(leg: Leg) -> str | None:
    """The address of the dead letters of this cause and hook, the leg's own among them: from there it is replayed."""
    if leg.state is not State.DEAD or leg.ending is None:
        return None
    hooks = [run.hook for run in leg.hooks if run.result is HookResult.GIVEN_UP]
    chosen = {"cause": leg.ending.cause.value} | ({"hook": hooks[0]} if hooks else {})
    return f"work/letters?{urlencode(chosen)}"


def _ending(end: Ending) -> EndingView:
    evidence = [f"Found by {MATCHED[end.match]}"]
    evidence += [f"{name} {value}" for name, value in (("SIP", end.sip), ("Q.850", end.q850)) if value is not None]
    if end.refined_by is not None:
        evidence.append(f"Refined by {REFINED.get(end.refined_by, end.refined_by)}")
    return EndingView(
        event=end.event,
        code=end.code,
        subcode=end.subcode,
        cause=end.cause.value,
        category=end.category.value,
        retry=end.retry_class.value,
        disposition=end.disposition.value,
        acts=None if end.owner is None else f"{end.owner}: {OWNERS[end.owner]}",
        evidence=tuple(evidence),
        summary=end.summary,
        advice=end.advice,
        entry=entry_address(end.event, end.code, end.subcode),
    )


def _entry(entry: Entry, leg: int | None, first: float) -> EntryRow:
    has_result = entry.kind in (EntryKind.ENDED, EntryKind.SIBLING, EntryKind.OPERATION_FAILED)
    return EntryRow(
        kind=entry.kind.value,
        event=entry.event,
        at=moment(_time(entry)),
        after=_time(entry) - first,
        leg=leg,
        code=entry.code,
        subcode=entry.subcode,
        sip=entry.sip,
        q850=entry.q850,
        copies=entry.copies,
        hooks=_runs(entry.hooks),
        entry=entry_address(entry.event, entry.code, entry.subcode) if has_result else None,
    )


def _runs(runs: Iterable[HookRun]) -> tuple[RunRow, ...]:
    return tuple(
        RunRow(
            run.hook,
            run.result.value,
            run.attempts,
            run.reason,
            None if run.retry_at is None else moment(run.retry_at),
        )
        for run in runs
    )


def _other(call: OtherCall, when: str) -> OtherRow:
    return OtherRow(
        at=moment(call.at),
        state=call.state.value,
        redial=call.is_redial,
        answered=call.answered_at is not None,
        ended=None if call.ended_at is None else moment(call.ended_at),
        cause=call.cause,
        when=when,
    )
