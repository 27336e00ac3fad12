"""``ringback redials``: shows the redials that wait and the lane that they wait in, and changes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from ringback.cli._screen import many, moment, pair, table, tell, wrapped
from ringback.cli._store import HASHED, add_filters, add_router, none_of, operated, selected
from ringback.cli._values import ago, count, named
from ringback.core.times import iso_second
from ringback.privacy.redaction import is_hashed, redact, redact_contact
from ringback.work.hook_runs import tries_in
from ringback.work.redial import time_zone

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from ringback.hooks.operators import InProgress, Operator
    from ringback.work.contact import Contact
    from ringback.work.contact_call import CallRecord
    from ringback.work.history import Waiting
    from ringback.work.items import Stats
    from ringback.work.programme import Programme, Share

LIMIT = 100
"""Redials that ``redials list`` prints by default."""

_COLUMNS = ("KEY", "CAUSE", "CODE", "CALL", "TRIES", "STATE", "DUE (UTC)", "FUNCTION", "CONTACT")


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    listed = command(
        "list",
        list_,
        "the redials that wait, as they are due, and the lane that they wait in; TRIES: calls of the redial function",
    )
    add_filters(listed, "due")
    listed.add_argument("--limit", metavar="N", type=count, default=LIMIT, help=f"default: {LIMIT}")
    shown = command("show", show, "all that is known of one redial, or of a contact and the calls to it")
    told = "a key that redials list prints, or the app's key of a contact"
    shown.add_argument("key", metavar="KEY|CONTACT", type=named, help=told)
    add_router(shown)
    command("in-progress", in_progress, "the redials that hold a place in the lane, and until when at most")
    over = command("ended", ended, "give the place of a redial back whose call has ended, though no event reported it")
    over.add_argument("key", metavar="KEY", type=named, help="a key that redials in-progress prints")
    now = command(
        "run-now",
        run_now,
        "make a redial that waits due now; hours, caps, may_call and the pace still decide when it is placed",
    )
    now.add_argument("key", metavar="KEY", type=named, help="a key that redials list prints")
    reported = command("report", report, "which attempts reached whom, and which limits ended them, by cause and hour")
    reported.add_argument("--since", metavar="TIME", type=ago, help="calls since 2h or 3d ago, or an ISO 8601 time")
    reported.add_argument("--time-zone", metavar="ZONE", default="UTC", help="of the hours, such as Europe/Berlin")
    for name, run, about in (
        ("cancel", cancel, "cancel the redials to a contact that have not begun"),
        ("block", block, "forbid redials to a contact, and cancel those that have not begun"),
        ("unblock", unblock, "allow redials to a contact again"),
    ):
        changed = command(name, run, about)
        told = "the key that the app's contact function returns"
        changed.add_argument("contact", metavar="CONTACT", type=named, help=told)
        add_router(changed)


def lane(arguments: argparse.Namespace) -> int:
    """Print how many redials wait and are in progress, and how long a pause lasts."""
    stats = operated(arguments, lambda operator: operator.store.stats())
    if arguments.json:
        paused = round(stats.redials_paused, 3)
        print(json.dumps({"waiting": stats.redials, "in_progress": stats.redials_in_progress, "paused": paused}))
    else:
        print(_lane(stats))
    return 0


def _lane(stats: Stats) -> str:
    paused = f", paused for {stats.redials_paused:.0f} s as the service asked" if stats.redials_paused else ""
    return f"{stats.redials} waiting, {stats.redials_in_progress} in progress{paused}"


def list_(arguments: argparse.Namespace) -> int:
    """Print the first of the chosen redials: the lane and a table, or a JSON object a line."""

    async def first(operator: Operator) -> tuple[Sequence[Waiting], Stats]:
        return await operator.waiting(selected(arguments, operator)), await operator.store.stats()

    redials, stats = operated(arguments, first)
    shown = redials[: arguments.limit]
    if arguments.json:
        for redial in shown:
            print(json.dumps(_fields(redial)))
    else:
        print(_lane(stats))
        print("\n".join(table([_COLUMNS, *map(_cells, shown)]) if shown else [none_of("redials", arguments)]))
    if len(shown) < len(redials):
        tell(arguments.prog, f"the first {len(shown)} of {len(redials)}; --limit {len(redials)} shows all")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print one redial and what is known of its contact, or the same of a contact."""

    async def found(operator: Operator) -> tuple[Waiting | None, Contact | None]:
        redial = await operator.redial(arguments.key)
        names = operator.names(arguments.key) if redial is None else [redial.contact] if redial.contact else []
        contacts = [await operator.known(name) for name in sorted(names)]
        known = [contact for contact in contacts if contact.calls or contact.never]
        return redial, known[0] if known else None

    redial, known = operated(arguments, found)
    if redial is None and known is None:
        tell(
            arguments.prog,
            f"no redial has the key {redact(arguments.key)!r}, and nothing is known of such a contact; see ringback "
            "redials list, and pass --router if the router hashes its contacts",
        )
        return 1
    calls, blocked = ((), False) if known is None else (known.calls, known.never)
    if arguments.json:
        fields = None if redial is None else _fields(redial)
        told = [_call_fields(call) for call in calls]
        print(json.dumps({"redial": fields, "blocked": blocked, "calls": told}))
    else:
        print("\n".join(_page(redial, calls, blocked=blocked)))
    return 0


def in_progress(arguments: argparse.Namespace) -> int:
    """Print the redials that hold a place: a table, or a JSON object a line."""
    held = operated(arguments, lambda operator: operator.in_progress())
    if arguments.json:
        for each in held:
            contact, until = redact_contact(each.contact), _iso(each.until)
            print(json.dumps({**_call_fields(each.call), "contact": contact, "until": until}))
    else:
        print("\n".join(table([_HELD, *map(_held_cells, held)]) if held else ["no redials in progress"]))
    return 0


_HELD = ("KEY", "STATE", "AT (UTC)", "ANSWERED", "UNTIL AT MOST", "CONTACT")


def _held_cells(held: InProgress) -> tuple[str, ...]:
    call = held.call
    times = moment(call.at), moment(call.answered_at), moment(held.until)
    return redact(call.key), call.state.value, *times, redact_contact(held.contact) or "-"


def ended(arguments: argparse.Namespace) -> int:
    """Give the place of a redial back."""
    changed, key = operated(arguments, lambda operator: operator.ended(arguments.key)), redact(arguments.key)
    if not changed:
        tell(arguments.prog, f"no redial {key!r} is in progress; see ringback redials in-progress")
        return 1
    print(json.dumps({"key": key, "ended": True}) if arguments.json else f"its place is free: {key}")
    return 0


def run_now(arguments: argparse.Namespace) -> int:
    refusal = operated(arguments, lambda operator: operator.run_now(arguments.key))
    key = redact(arguments.key)
    if refusal is not None:
        tell(arguments.prog, f"{key!r} cannot be placed now: {refusal}")
        return 1
    due = f"due now: {key}; hours, caps, may_call and the pace still decide when it is placed"
    print(json.dumps({"key": key, "due": True}) if arguments.json else due)
    return 0


def cancel(arguments: argparse.Namespace) -> int:
    count = operated(arguments, lambda operator: operator.cancel(arguments.contact))
    hint = "" if count or arguments.router is not None else HASHED
    print(json.dumps({"canceled": count}) if arguments.json else _cancelled(count) + hint)
    return 0 if count else 1


def block(arguments: argparse.Namespace) -> int:
    async def blocked(operator: Operator) -> tuple[int, bool] | None:
        if arguments.router is None and not is_hashed(arguments.contact):
            known = await operator.store.history.contacts(0.0, "", LIMIT)
            if any(is_hashed(name) for name, _ in known):
                return None
        heard = [(await operator.known(name)).calls for name in operator.names(arguments.contact)]
        return await operator.block(arguments.contact), any(heard)

    done = operated(arguments, blocked)
    if done is None:
        # Nobody is called under the name as it was given, so "blocked" would be taken for the truth.
        why = "the contacts in this store are hashed, and only the router knows how; name it: --router MODULE:ROUTER"
        tell(arguments.prog, why)
        return 2
    count, is_known = done
    if not is_known:
        # The contact may still be called for the first time; or nobody is ever called under the name as it was given.
        hint = HASHED if arguments.router is None else ""
        tell(
            arguments.prog,
            f"no call to this contact is known: is it the key of the contact function, sign by sign?{hint}",
        )
    print(json.dumps({"blocked": True, "canceled": count}) if arguments.json else f"blocked, {_cancelled(count)}")
    return 0


def unblock(arguments: argparse.Namespace) -> int:
    changed = operated(arguments, lambda operator: operator.unblock(arguments.contact))
    hint = "" if arguments.router is not None else HASHED
    text = "unblocked" if changed else f"was not blocked{hint}"
    print(json.dumps({"unblocked": changed}) if arguments.json else text)
    return 0 if changed else 1


def _cancelled(count: int) -> str:
    return f"{many(count, 'redial')} cancelled"


def report(arguments: argparse.Namespace) -> int:
    zone = time_zone(arguments.time_zone)
    found = operated(arguments, lambda operator: operator.report(arguments.since or 0.0, zone))
    print(json.dumps(to_builtins(found)) if arguments.json else "\n".join(_report(found, arguments.time_zone)))
    return 0


def _report(found: Programme, zone: str) -> Iterator[str]:
    since = "all that is remembered" if not found.since else f"since {moment(found.since)} UTC"
    yield f"{found.contacts} contacts called, {found.reached} reached, {found.waiting} redials to come ({since})"
    tables = {"ATTEMPT": found.attempts, "REDIALS AFTER": found.causes, f"HOUR ({zone})": found.hours}
    for title, shares in tables.items():
        if shares:
            columns = (title, "CALLS", "REACHED", "SHARE", "NEVER RANG")
            yield from ("", *table([columns, *map(_share_cells, shares)]))
    if found.given_up:
        given_up = [(each.limit, each.cause, str(each.count)) for each in found.given_up]
        yield from ("", *table([("GIVEN UP BY", "AFTER", "TIMES"), *given_up]))


def _share_cells(share: Share) -> tuple[str, ...]:
    return share.name, str(share.calls), str(share.reached), f"{share.reached / share.calls:.1%}", str(share.unrung)


def _page(redial: Waiting | None, calls: Sequence[CallRecord], *, blocked: bool) -> Iterator[str]:
    if redial is not None:
        yield redact(redial.key)
        names = ("cause", "code", "call", "tries", "state", "due", "function", "contact")
        for name, text in zip(names, _cells(redial)[1:], strict=True):
            yield from wrapped(text, 100, f"  {name:<12}", " " * 14)
        yield ""
    if blocked:
        yield "Blocked: no redial calls the contact (never_call)"
        yield ""
    yield "Calls to the contact"
    yield from table([("AT (UTC)", "CALL", "STATE", "ANSWERED", "ENDED", "SAID"), *map(_call_cells, calls)])


def _cells(redial: Waiting) -> tuple[str, ...]:
    outcome = redial.outcome
    what = ("unreadable", "-") if outcome is None else (outcome.cause.value, pair(outcome.code, outcome.subcode))
    number, tries, contact = str(redial.number), str(tries_in(redial.progress)), redact_contact(redial.contact) or "-"
    due = moment(redial.due_at)
    return redact(redial.key), *what, number, tries, redial.state.value, due, redial.target or "-", contact


def _call_cells(call: CallRecord) -> tuple[str, ...]:
    times = (moment(call.at), moment(call.answered_at), moment(call.ended_at))
    who = "app" if call.by_app else "redial"
    return times[0], who, call.state.value, times[1], times[2], "-" if call.word is None else call.word.value


def _fields(redial: Waiting) -> dict[str, Any]:
    return {
        "key": redact(redial.key),
        "state": redial.state.value,
        "due_at": _iso(redial.due_at),
        "number": redial.number,
        "attempts": redial.attempts,
        "tries": tries_in(redial.progress),
        "target": redial.target,
        "contact": redact_contact(redial.contact),
        "outcome": None if redial.outcome is None else redial.outcome.to_dict(),
    }


def _call_fields(call: CallRecord) -> dict[str, Any]:
    return {
        "key": redact(call.key),
        "state": call.state.value,
        "at": _iso(call.at),
        "answered_at": _iso(call.answered_at),
        "ended_at": _iso(call.ended_at),
        "said": None if call.word is None else call.word.value,
    }


def _iso(at: float | None) -> str | None:
    return None if at is None else iso_second(at)
