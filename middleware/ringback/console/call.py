"""The page Call: all that is known of one call, in order; and the same as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from msgspec.structs import asdict
from starlette.responses import JSONResponse, Response

from ringback.console.access import token_of
from ringback.console.desk import only
from ringback.console.export import visible
from ringback.console.rows import call_address, entry_address
from ringback.console.sealed import unseal
from ringback.console.view import shown
from ringback.core.glossary import MATCHED, OWNERS, REFINED
from ringback.privacy.redaction import redact_contact
from ringback.work.call_detail import EntryKind, HookResult
from ringback.work.items import State

if TYPE_CHECKING:
    from starlette.requests import Request

    from ringback.console.desk import Desk
    from ringback.work.call_detail import CallDetailRecord, Ending, Entry, Leg


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
    name = unseal(request.path_params["name"], token_of(request))
    if name is None:
        return None
    await desk.reader.opened()
    for records in desk.records():
        found = await records.record(name)
        if found is not None:
            return found
    return None


def view_of(record: CallDetailRecord) -> dict[str, Any]:
    """The record, with the events of all its legs in one order. Legs are numbered from 1 where there are several."""
    numbered = list(enumerate(record.legs, start=1))
    entries: list[tuple[Entry, int | None]] = [(entry, None) for entry in record.entries]
    entries += [(entry, number) for number, leg in numbered for entry in leg.entries]
    entries.sort(key=lambda each: _time(each[0]))
    first = _time(entries[0][0]) if entries else 0.0
    others = [("before", each) for each in record.before] + [("after", each) for each in record.after]
    return {
        "correlation": record.correlation_id,
        "contact": redact_contact(record.contact),
        "redials": record.redials,
        "legs": [_leg(leg, number) for number, leg in numbered],
        "entries": [_entry(entry, number if len(numbered) > 1 else None, first) for entry, number in entries],
        "others": [{**asdict(each), "when": when} for when, each in others],
    }


def _time(entry: Entry) -> float:
    return entry.at if entry.time is None else entry.time


def _leg(leg: Leg, number: int) -> dict[str, Any]:
    ending = None if leg.ending is None else _ending(leg.ending)
    return {**visible(asdict(leg)), "number": number, "ending": ending, "letters": _letters(leg)}


def _letters(leg: Leg) -> str | None:
    """The address of the dead letters of this cause and hook, the leg's own among them: from there it is replayed."""
    if leg.state is not State.DEAD or leg.ending is None:
        return None
    hooks = [run.hook for run in leg.hooks if run.result is HookResult.GIVEN_UP]
    chosen = {"cause": leg.ending.cause.value} | ({"hook": hooks[0]} if hooks else {})
    return f"work/letters?{urlencode(chosen)}"


def _ending(end: Ending) -> dict[str, Any]:
    """The verdict on an end, and what it rests on in words."""
    evidence = [f"Found by {MATCHED[end.match]}"]
    evidence += [f"{name} {value}" for name, value in (("SIP", end.sip), ("Q.850", end.q850)) if value is not None]
    if end.refined_by is not None:
        evidence.append(f"Refined by {REFINED.get(end.refined_by, end.refined_by)}")
    acts = None if end.owner is None else f"{end.owner}: {OWNERS[end.owner]}"
    return {**asdict(end), "acts": acts, "evidence": evidence, "entry": entry_address(end.event, end.code, end.subcode)}


def _entry(entry: Entry, leg: int | None, first: float) -> dict[str, Any]:
    """One event in order, with the number of its leg and the seconds since the ``first`` event."""
    has_result = entry.kind in (EntryKind.ENDED, EntryKind.SIBLING, EntryKind.OPERATION_FAILED)
    at, known = _time(entry), entry_address(entry.event, entry.code, entry.subcode)
    return {**asdict(entry), "at": at, "after": at - first, "leg": leg, "entry": known if has_result else None}
