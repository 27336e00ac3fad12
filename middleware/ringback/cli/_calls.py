"""``ringback calls``: shows what a store knows of one call, and lists the calls that ended."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ringback.cli._screen import many, moment, pair, table, tell, wrapped
from ringback.cli._store import add_router, none_of, operated
from ringback.cli._values import ago, count, named, of_cause, of_code, some
from ringback.hooks.call_records import MOST, PAGE, CallRecords
from ringback.privacy.redaction import redact, redact_contact
from ringback.privacy.written import visible
from ringback_catalog import Disposition, Owner, ResultCategory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ringback.hooks.operators import Operator
    from ringback.work.call_detail import CallDetailRecord, Entry, HookRun, Leg, OtherCall

_COLUMNS = ("ENDED (UTC)", "CAUSE", "CODE", "EVENT", "ANSWERED", "TALK", "STATE", "CALL")
_WIDTH = 100
_ANSWERED = {True: "yes", False: "no", None: "-"}


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    shown = command(
        "show", show, "all that is known of one call: what was told of it, in order, its hooks, its redials"
    )
    shown.add_argument(
        "id",
        metavar="ID",
        type=named,
        help="any id of the call: of a leg, the correlation id, your operation context, an event's, a server call id",
    )
    add_router(shown)
    listed = command("list", list_, "the calls that ended, the newest first")
    listed.add_argument("--cause", type=of_cause, help="those of this cause, such as busy")
    listed.add_argument("--code", metavar="CODE", type=of_code, help="those of this code, or CODE/SUBCODE")
    listed.add_argument(
        "--event", metavar="NAME", type=some, help="those that this event ended, such as CreateCallFailed"
    )
    for name, words in (("disposition", Disposition), ("category", ResultCategory), ("owner", Owner)):
        listed.add_argument(f"--{name}", choices=[word.value for word in words], help=f"those of this {name}")
    listed.add_argument("--since", metavar="TIME", type=ago, help="from 2h or 3d ago on, or from an ISO 8601 time on")
    listed.add_argument("--until", metavar="TIME", type=ago, help="before 2h or 3d ago, or before an ISO 8601 time")
    listed.add_argument("--contact", type=some, help="those of this contact, by the key of the app's contact function")
    listed.add_argument("--search", metavar="ID", type=some, help="those with this id, as for calls show")
    listed.add_argument("--limit", metavar="N", type=_page, default=PAGE, help=f"of a page; default: {PAGE}")
    listed.add_argument("--page", metavar="N", type=count, default=1, help="default: 1, the newest")
    add_router(listed)


def _page(text: str) -> int:
    number = count(text)
    if number > MOST:
        raise argparse.ArgumentTypeError(f"a page has {MOST} calls at most; --page 2 shows the next one")
    return number


def show(arguments: argparse.Namespace) -> int:
    record = operated(arguments, lambda operator: _records(operator).record(arguments.id))
    if record is None:
        tell(arguments.prog, f"no call has the id {redact(arguments.id)!r}; see ringback calls list")
        return 1
    print(json.dumps(record.to_dict()) if arguments.json else "\n".join(_page_of(record)))
    return 0


def list_(arguments: argparse.Namespace) -> int:
    """Print a page of the calls that ended: a table, or a JSON object a line."""
    code, subcode = arguments.code or (None, None)
    names = ("cause", "event", "disposition", "category", "owner", "since", "until", "contact", "search", "limit")
    given = {name: getattr(arguments, name) for name in names}
    offset = (arguments.page - 1) * arguments.limit
    page = operated(
        arguments, lambda operator: _records(operator).list(code=code, subcode=subcode, offset=offset, **given)
    )
    if arguments.json:
        for leg in page.calls:
            print(json.dumps(leg.to_dict()))
    else:
        rows = table([_COLUMNS, *map(_cells, page.calls)]) if page.calls else [none_of("calls", arguments)]
        print("\n".join(rows))
    shown = offset + len(page.calls)
    if shown < page.total:
        tell(arguments.prog, f"{offset + 1} to {shown} of {page.total}; --page {arguments.page + 1} shows the next")
    elif page.total and not page.calls:
        tell(arguments.prog, f"page {arguments.page} has none of {page.total}; --page 1 has the newest")
    return 0


def _records(operator: Operator) -> CallRecords:
    return CallRecords(operator.store, operator.redials)


def _cells(leg: Leg) -> tuple[str, ...]:
    end = leg.ending
    cause, code, event = ("-", "-", "-") if end is None else (end.cause.value, pair(end.code, end.subcode), end.event)
    state = "-" if leg.state is None else leg.state.value
    name = redact(leg.call_connection_id or leg.correlation_id or "-")
    return (
        moment(leg.ended_at),
        cause,
        code,
        redact(event),
        _ANSWERED[leg.answered],
        _span(leg.talk_seconds),
        state,
        name,
    )


def _page_of(record: CallDetailRecord) -> Iterator[str]:
    yield f"Call {redact(record.correlation_id or '-')}"
    if record.contact is not None:
        redials = "" if record.redials is None else f", {many(record.redials, 'redial')} so far"
        yield f"  contact      {redact_contact(record.contact)}{redials}"
    for entry in record.entries:
        yield _entry(entry)
    for leg in record.legs:
        yield ""
        yield from _leg(leg)
    for title, calls in (("before", record.before), ("after", record.after)):
        if calls:
            yield from ("", f"Calls to the contact {title} this one")
            columns = ("  AT (UTC)", "CALL", "STATE", "ANSWERED", "ENDED", "CAUSE", "LEG")
            yield from table([columns, *map(_other, calls)])


def _leg(leg: Leg) -> Iterator[str]:
    yield f"Leg {redact(leg.call_connection_id or '-')}"
    end = leg.ending
    facts: list[tuple[str, str]] = []
    if leg.operation_context is not None:
        facts.append(("context", redact(leg.operation_context)))
    facts.append(("answered", _ANSWERED[leg.answered].replace("-", "no event tells")))
    facts += [(name, _span(span)) for name, span in (("rang", leg.ring_seconds), ("talked", leg.talk_seconds)) if span]
    if end is not None:
        evidence = [f"{end.event} {pair(end.code, end.subcode)}", f"match {end.match.value}"]
        evidence += [f"{name} {value}" for name in ("sip", "q850") if (value := getattr(end, name)) is not None]
        evidence += [] if end.refined_by is None else [f"refined by {end.refined_by}"]
        facts.append(("cause", f"{end.cause.value}, {end.disposition.value} ({end.retry_class.value})"))
        facts.append(("evidence", redact(", ".join(evidence))))
        facts += [] if end.owner is None else [("who acts", end.owner.value)]
        facts += [] if end.summary is None else [("summary", end.summary)]
        facts += [(f"advice {number}", step) for number, step in enumerate(end.advice, start=1)]
    if leg.state is not None:
        duplicates = f", and {many(leg.duplicates, 'further report')} of the end" if leg.duplicates else ""
        facts.append(("state", f"{leg.state.value}{duplicates}"))
    facts += [] if leg.reason is None else [("reason", redact(leg.reason))]
    facts += [("hook", _hook(run)) for run in leg.hooks]
    for name, text in facts:
        yield from wrapped(text, _WIDTH, f"  {name:<12} ", " " * 15)
    for entry in leg.entries:
        yield _entry(entry)


def _entry(entry: Entry) -> str:
    at = datetime.fromtimestamp(entry.at if entry.time is None else entry.time, UTC)
    result = "" if entry.code is None and entry.subcode is None else f" {pair(entry.code, entry.subcode)}"
    again = f", {entry.copies + 1} times" if entry.copies else ""
    hooks = "".join(f"; {_hook(run)}" for run in entry.hooks)
    text = f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return visible(redact(f"  {text}  {entry.kind.value:<16}  {entry.event}{result}{again}{hooks}"))


def _hook(run: HookRun) -> str:
    reason = "" if run.reason is None else f": {run.reason}"
    return redact(f"{run.hook} {run.result.value.replace('_', ' ')} after {many(run.attempts, 'attempt')}{reason}")


def _other(call: OtherCall) -> tuple[str, ...]:
    who = "redial" if call.is_redial else "app"
    times = moment(call.answered_at), moment(call.ended_at)
    leg = redact(call.call_connection_id or "-")
    return f"  {moment(call.at)}", who, call.state.value, *times, call.cause or "-", leg


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
