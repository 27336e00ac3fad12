"""ringback calls: one call with all that is known of it, and lists of calls."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest

from asking import asked
from ringback import classify_event
from ringback.cli import main
from ringback.core.events import Diagnostic, Event, EventData, Result
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord, CallState
from ringback.work.items import Item, Kind
from ringback.work.told import told_by

if TYPE_CHECKING:
    from pathlib import Path

    from ringback.stores import DeliveryStore

LEG = "1f0e5c1a-0000-4000-8000-00000000000{}"
CALL = "3b1c6d2e-0000-4000-8000-00000000000{}"
FILE = "ringback.db"
AT = 1_768_469_400.0
"""2026-01-15 09:30:00 UTC."""


def event(name: str, number: int, second: float, code: int, subcode: int, context: str | None = None) -> Event:
    detail = Diagnostic(17, "User busy") if code == 480 else None
    data = EventData(
        call_connection_id=None if name == "IncomingCall" else LEG.format(number),
        correlation_id=CALL.format(number),
        operation_context=context,
        result_information=Result(code, subcode, None, None, detail),
    )
    time = f"2026-01-15T09:30:{second:06.3f}+00:00"
    return Event(f"Microsoft.Communication.{name}", f"{name}-{number}", time=time, data=data)


async def put(store: DeliveryStore, told: Event, contact: str | None = None) -> None:
    outcome = classify_event(told)
    assert outcome is not None
    await store.put([Item(outcome.outcome_id, Kind.OUTCOME, 4e9, outcome, contact)])


async def fill(store: DeliveryStore) -> None:
    """A call that was answered, one that was busy, and its redial to come."""
    notes = (
        event("IncomingCall", 1, 0.0, 200, 0),
        event("CallConnected", 1, 2.5, 200, 0),
        event("PlayFailed", 1, 3.0, 400, 8535),
        event("PlayFailed", 1, 3.0, 400, 8535),
    )
    await store.note([told_by(each, time.time()) for each in notes])
    await put(store, event("CallDisconnected", 1, 44.25, 200, 560000, "reminder-17"))
    await put(store, event("CallDisconnected", 2, 50.0, 480, 560480), "bob")
    await put(store, event("CallDisconnected", 2, 50.0, 480, 560480), "bob")
    before = CallRecord("leg:x", AT - 900, "x", ended_at=AT - 880, cause="busy")
    planned = CallRecord("redial:2", AT + 900, state=CallState.PLANNED)

    def step(known: Contact) -> Step[None]:
        (call,) = known.calls
        return Step(Contact((before, CallRecord("redial:1", AT, call.leg), planned)), None)

    await store.change("bob", step)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("RINGBACK_STORE", f"sqlite:///{FILE}")
    asked(FILE, fill)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[str]:
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def test_calls_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The newest first; a filter that no call meets gives none."""
    assert printed(capsys, "calls", "list") == [
        "ENDED (UTC)          CAUSE    CODE        EVENT             ANSWERED  TALK    STATE  CALL",
        f"2026-01-15 09:30:50  busy     480/560480  CallDisconnected  no        -       ready  {LEG.format(2)}",
        f"2026-01-15 09:30:44  hung_up  200/560000  CallDisconnected  yes       41.8 s  ready  {LEG.format(1)}",
    ]
    assert printed(capsys, "calls", "list", "--cause", "declined") == ["no calls"]


def test_a_page_behind_the_last_is_told_from_a_store_without_calls(capsys: pytest.CaptureFixture[str]) -> None:
    """The note has the number of calls, and names the first page."""
    assert main(["calls", "list", "--page", "9"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "ringback calls list: page 9 has none of 2; --page 1 has the newest\n"


@pytest.mark.parametrize(
    ("given", "legs"),
    [
        ("--cause busy", [2]),
        ("--code 200", [1]),
        ("--code 200/560000", [1]),
        ("--event CreateCallFailed", []),
        ("--disposition retryable", [2]),
        ("--category Success", [2, 1]),
        ("--owner nobody", [1]),
        ("--since 2h", [2, 1]),
        ("--until 2h", []),
        ("--contact bob", [2]),
        ("--search reminder-17", [1]),
        (f"--search {CALL.format(2)} --cause busy", [2]),
    ],
)
def test_calls_are_chosen(capsys: pytest.CaptureFixture[str], given: str, legs: list[int]) -> None:
    """As JSON, an object a line."""
    lines = printed(capsys, "calls", "list", "--json", *given.split())
    assert [json.loads(line)["call_connection_id"] for line in lines] == [LEG.format(leg) for leg in legs]


def test_a_list_has_pages(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error says that there are more."""
    assert main(["calls", "list", "--limit", "1"]) == 0
    first = capsys.readouterr()
    assert LEG.format(2) in first.out
    assert first.err == "ringback calls list: 1 to 1 of 2; --page 2 shows the next\n"
    assert LEG.format(1) in printed(capsys, "calls", "list", "--limit", "1", "--page", "2")[1]
    assert main(["calls", "list", "--limit", "1001"]) == 2
    assert "a page has 1000 calls at most; --page 2 shows the next one" in capsys.readouterr().err


def test_one_call_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """With its events in their order, evidence and state."""
    shown = printed(capsys, "calls", "show", "reminder-17")
    assert [line for line in shown if "summary" not in line and "advice" not in line and line[:14].strip()] == [
        f"Call {CALL.format(1)}",
        "  2026-01-15 09:30:00.000  incoming          IncomingCall",
        f"Leg {LEG.format(1)}",
        "  context      reminder-17",
        "  answered     yes",
        "  rang         2.5 s",
        "  talked       41.8 s",
        "  cause        hung_up, terminal (none)",
        "  evidence     CallDisconnected 200/560000, match exact",
        "  who acts     nobody",
        "  state        ready",
        "  2026-01-15 09:30:02.500  connected         CallConnected",
        "  2026-01-15 09:30:03.000  operation_failed  PlayFailed 400/8535, 2 times",
        "  2026-01-15 09:30:44.250  ended             CallDisconnected 200/560000",
    ]
    (record,) = map(json.loads, printed(capsys, "calls", "show", "--json", CALL.format(1)))
    assert [leg["talk_seconds"] for leg in record["legs"]] == [41.75]


def test_the_calls_to_a_contact_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Before and after, planned ones too; of the contact that there is one."""
    shown = printed(capsys, "calls", "show", LEG.format(2))
    assert "  contact      [contact], 1 redial so far" in shown
    assert "  state        ready, and 1 further report of the end" in shown
    assert "  evidence     CallDisconnected 480/560480, match pair, q850 17, refined by q850" in shown
    start = shown.index("Calls to the contact before this one")
    assert shown[start:] == [
        "Calls to the contact before this one",
        "  AT (UTC)             CALL  STATE  ANSWERED  ENDED                CAUSE  LEG",
        "  2026-01-15 09:15:00  app   ended  -         2026-01-15 09:15:20  busy   x",
        "",
        "Calls to the contact after this one",
        "  AT (UTC)             CALL    STATE    ANSWERED  ENDED  CAUSE  LEG",
        "  2026-01-15 09:45:00  redial  planned  -         -      -      -",
    ]


def test_hooks_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Also those that were given up, with the reason of the dead letter, redacted."""
    import sqlite3

    with sqlite3.connect(FILE) as connection:
        progress = json.dumps(
            {"done": ["jobs.a"], "failed": {"jobs.b": "no line to +15550100199"}, "tries": {"jobs.b": 4}}
        )
        connection.execute(
            "UPDATE items SET state = 'dead', reason = 'jobs.b: +15550100199', finished_at = 1.0, progress = ?",
            (progress.encode(),),
        )
    connection.close()
    shown = printed(capsys, "calls", "show", LEG.format(1))
    assert "  state        dead" in shown
    assert "  reason       jobs.b: [phone]" in shown
    assert "  hook         jobs.a returned after 1 attempt" in shown
    assert "  hook         jobs.b given up after 5 attempts: no line to [phone]" in shown


def test_no_sign_of_a_reason_is_obeyed_by_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither of a hook for the call's end nor of one for an operation of the call."""
    import sqlite3

    failure = event("PlayFailed", 1, 9.0, 400, 8535)
    outcome = classify_event(failure)
    assert outcome is not None
    asked(FILE, lambda store: put(store, failure))
    asked(FILE, lambda store: store.note([told_by(failure, 0.0, None, outcome.outcome_id)]))
    failed = json.dumps({"failed": {"jobs.b": "<\x1b[2J\u202e>"}})
    with sqlite3.connect(FILE) as connection:
        connection.execute("UPDATE items SET state = 'dead', finished_at = 1.0, progress = ?", (failed.encode(),))
    connection.close()
    shown = printed(capsys, "calls", "show", LEG.format(1))
    assert [line for line in shown if not line.isprintable()] == []
    assert sum(r"<\x1b[2J\u202e>" in line for line in shown) == 2


def test_a_call_that_has_not_ended_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """As far as it has come."""
    begun = event("CallConnected", 3, 9.0, 200, 0)
    asked(FILE, lambda store: store.note([told_by(begun, time.time())]))
    assert printed(capsys, "calls", "show", LEG.format(3)) == [
        f"Call {CALL.format(3)}",
        "",
        f"Leg {LEG.format(3)}",
        "  answered     yes",
        "  2026-01-15 09:30:09.000  connected         CallConnected",
    ]


def test_a_call_that_nobody_knows_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With the id redacted, and what helps."""
    assert main(["calls", "show", "+15550100199"]) == 1
    assert capsys.readouterr().err == ("ringback calls show: no call has the id '[phone]'; see ringback calls list\n")
    assert main(["calls"]) == 2
    assert "no command given" in capsys.readouterr().err


def test_no_private_text_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in a list nor of one call, in either form."""
    private = "+15550100199"
    data = EventData(call_connection_id=private, correlation_id=f"4:{private}", operation_context=f"order {private}")
    asked(FILE, lambda store: put(store, Event("CallDisconnected", private, data=data), private))
    for arguments in (("list",), ("list", "--json"), ("show", private), ("show", private, "--json")):
        assert not re.search("15550100199", "\n".join(printed(capsys, "calls", *arguments)))


def test_a_letter_that_the_output_lacks_is_escaped() -> None:
    """As in a container or a job of cron, whose output is ASCII, and whose calls have contexts in any language."""
    told = event("CallDisconnected", 3, 50.0, 480, 560480, "Erinnerung für Müller")
    asked(FILE, lambda store: put(store, told))
    shown = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(shown, "ascii", newline="\n")):
        assert main(["calls", "show", LEG.format(3)]) == 0
        assert "Erinnerung f\\xfcr M\\xfcller" in shown.getvalue().decode("ascii")
