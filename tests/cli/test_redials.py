"""ringback redials: what waits in the lane is shown, placed now, and canceled."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from asking import asked
from ringback import classify_event
from ringback.cli import main
from ringback.core.events import Event, EventData, Result
from ringback.privacy.redaction import redact_contact
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord, CallState, report_of
from ringback.work.items import Item, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from ringback.core.outcome import Outcome

LEG = "1f0e5c1a-0000-4000-8000-00000000000{}"
KEY = f"redial:call:{LEG}"
FILE = "ringback.db"
PLACED = CallState.PLACED
NOON = 1_773_576_000.0  # 2026-03-15 12:00:00 UTC
FAR = 4_102_488_000.0  # 2100-01-01 12:00:00 UTC


def outcome(leg: int, code: int = 486, subcode: int = 560486) -> Outcome:
    data = EventData(call_connection_id=LEG.format(leg), result_information=Result(code, subcode))
    found = classify_event(Event(type="Microsoft.Communication.CallDisconnected", data=data))
    assert found is not None
    return found


def planned(contact: str, leg: int = 1, due_at: float = FAR, ended: Outcome | None = None) -> None:
    told = ended or outcome(leg)
    item = Item(KEY.format(leg), Kind.REDIAL, due_at, told, contact, "jobs.call_again", 2)

    def step(known: Contact) -> Step[None]:
        report = report_of(told)
        assert report is not None
        known = known.noted(report, time.time())
        return Step(known.redial(item.key, CallState.PLANNED, item.due_at), None, put=item)

    asked(FILE, lambda store: store.change(contact, step))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("RINGBACK_STORE", f"sqlite:///{FILE}")
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[str]:
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.strip()


def set_row(**columns: Any) -> None:
    """What a worker would have written into the only item."""
    with sqlite3.connect(FILE) as connection:
        for name, value in columns.items():
            connection.execute(f"UPDATE items SET {name} = ?", (value,))
    connection.close()


def test_the_lane_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """How many wait, how many are in progress, and how long a pause lasts; the store may stand before a command."""
    planned("bob")
    assert printed(capsys, "redials") == ["1 waiting, 0 in progress"]
    asked(FILE, lambda store: store.pause_redials(time.time() + 3600))
    (line,) = printed(capsys, "redials")
    assert line.startswith("1 waiting, 0 in progress, paused for 3")
    assert line.endswith(" s as the service asked")
    lane = json.loads(*printed(capsys, "redials", "--json"))
    assert 3500 < lane.pop("paused") <= 3600
    assert lane == {"waiting": 1, "in_progress": 0}
    assert printed(capsys, "redials", "--store", f"sqlite:///{FILE}", "list", "--cause", "declined")[1:] == [
        "no redials"
    ]


def test_the_redials_are_listed_as_they_are_due(capsys: pytest.CaptureFixture[str]) -> None:
    """With the lane above; of a contact no more is shown than that there is one, or the head of its hash."""
    planned("bob", 2)
    planned("5" * 64, 1, NOON)
    assert printed(capsys, "redials", "list") == [
        "2 waiting, 0 in progress",
        "KEY                                               CAUSE  CODE        CALL  TRIES  STATE  DUE (UTC)            "
        "FUNCTION         CONTACT",
        f"{KEY.format(1)}  busy   486/560486  2     0      ready  2026-03-15 12:00:00  jobs.call_again  "
        "hash 555555555555",
        f"{KEY.format(2)}  busy   486/560486  2     0      ready  2100-01-01 12:00:00  jobs.call_again  [contact]",
    ]
    assert [json.loads(line) for line in printed(capsys, "redials", "list", "--json", "--contact", "bob")] == [
        {
            "key": KEY.format(2),
            "state": "ready",
            "due_at": "2100-01-01T12:00:00+00:00",
            "number": 2,
            "attempts": 0,
            "tries": 0,
            "target": "jobs.call_again",
            "contact": "[contact]",
            "outcome": outcome(2).to_dict(),
        }
    ]
    assert main(["redials", "list", "--limit", "1"]) == 0
    assert capsys.readouterr().err == "ringback redials list: the first 1 of 2; --limit 2 shows all\n"


@pytest.mark.parametrize(
    ("given", "found"),
    {
        "--due now": [1],
        "--due 2h": [1, 3],
        "--due 2100-01-01T12:00:00Z": [1, 3, 2],
        "--due 2026-03-15": [],
        "--hook jobs.call_again": [1, 3, 2],
        "--hook jobs.other": [],
        "--code 480": [3],
        "--contact bob": [2],
    }.items(),
)
def test_redials_are_chosen(capsys: pytest.CaptureFixture[str], given: str, found: list[int]) -> None:
    """By when they are due, by their function, and by the call that asked for them."""
    planned("bob", 2)
    planned("eve", 1, NOON)
    planned("ann", 3, time.time() + 3600, outcome(3, 480, 560480))
    shown = printed(capsys, "redials", "list", "--json", *given.split())
    assert [json.loads(line)["key"] for line in shown] == [KEY.format(number) for number in found]


def test_what_cannot_be_read_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A redial without its call is still one."""
    planned("bob")
    set_row(payload="x")
    assert "  unreadable  -     2     " in printed(capsys, "redials", "list")[2]
    assert json.loads(*printed(capsys, "redials", "list", "--json"))["outcome"] is None


def test_a_redial_and_a_contact_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The redial, and the calls to its contact so far; the contact by the app's key."""
    planned("bob")
    heads = "AT (UTC)             CALL    STATE    ANSWERED  ENDED                SAID"
    calls = [
        "Calls to the contact",
        heads,
        "(today)              app     open     -         (today)              asks",
        "2100-01-01 12:00:00  redial  planned  -         -                    -",
    ]
    today = re.compile(r"20\d\d-(?!01-01 12:00:00)\d\d-\d\d \d\d:\d\d:\d\d")
    shown = [today.sub("(today)            ", line) for line in printed(capsys, "redials", "show", KEY.format(1))]
    assert shown == [
        KEY.format(1),
        "  cause       busy",
        "  code        486/560486",
        "  call        2",
        "  tries       0",
        "  state       ready",
        "  due         2100-01-01 12:00:00",
        "  function    jobs.call_again",
        "  contact     [contact]",
        "",
        *calls,
    ]
    assert [today.sub("(today)            ", line) for line in printed(capsys, "redials", "show", "bob")] == calls
    shown_json = json.loads(*printed(capsys, "redials", "show", "bob", "--json"))
    began, ended = shown_json["calls"][0].pop("at"), shown_json["calls"][0].pop("ended_at")
    assert began == ended
    told = {"answered_at": None}
    assert shown_json == {
        "redial": None,
        "blocked": False,
        "calls": [
            told | {"key": f"leg:{LEG.format(1)}", "state": "open", "said": "asks"},
            told
            | {"key": KEY.format(1), "state": "planned", "at": "2100-01-01T12:00:00+00:00"}
            | {"ended_at": None, "said": None},
        ],
    }
    assert json.loads(*printed(capsys, "redials", "show", KEY.format(1), "--json"))["redial"]["key"] == KEY.format(1)
    message = (
        "ringback redials show: no redial has the key 'eve', and nothing is known of such a contact; see ringback "
        "redials list, and pass --router if the router hashes its contacts"
    )
    assert refused(capsys, "redials", "show", "eve") == message
    set_row(contact=None)
    assert printed(capsys, "redials", "show", KEY.format(1))[-1].split() == heads.split()


def test_a_blocked_contact_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Also one to whom no call is known; until the word is taken back."""
    planned("eve")
    assert main(["redials", "block", "bob"]) == 0
    capsys.readouterr()
    heads = "AT (UTC)  CALL  STATE  ANSWERED  ENDED  SAID"
    blocked = ["Blocked: no redial calls the contact (never_call)", "", "Calls to the contact", heads]
    assert printed(capsys, "redials", "show", "bob") == blocked
    shown = json.loads(*printed(capsys, "redials", "show", "bob", "--json"))
    assert shown == {"redial": None, "blocked": True, "calls": []}
    assert printed(capsys, "redials", "unblock", "bob") == ["unblocked"]
    assert "nothing is known of such a contact" in refused(capsys, "redials", "show", "bob")


def test_the_place_of_a_call_whose_end_nobody_reported_is_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    """After an outage; once, logged with who did it. A redial that waits holds no place."""
    planned("bob")
    at = float(int(time.time()))
    asked(FILE, lambda store: store.change("eve", lambda known: Step(known.redial(KEY.format(2), PLACED, at), None)))
    placed, until = (datetime.fromtimestamp(moment, UTC) for moment in (at, at + 600.0))
    (told,) = printed(capsys, "redials", "in-progress", "--json")
    assert json.loads(told) == {
        "key": KEY.format(2),
        "state": "placed",
        "at": placed.isoformat(),
        "answered_at": None,
        "ended_at": None,
        "said": None,
        "contact": redact_contact("eve"),
        "until": until.isoformat(),
    }
    heads, row = printed(capsys, "redials", "in-progress")
    assert heads.split("  ")[0] == "KEY"
    assert row.split("  ")[:2] == [KEY.format(2), "placed"]
    assert row.split("  ")[-1] == redact_contact("eve")
    message = f"ringback redials ended: no redial '{KEY.format(1)}' is in progress; see ringback redials in-progress"
    assert refused(capsys, "redials", "ended", KEY.format(1)) == message
    with capture_logs() as lines:
        assert printed(capsys, "redials", "ended", KEY.format(2)) == [f"its place is free: {KEY.format(2)}"]
    assert lines == [{"event": "redial.ended", "log_level": "info", "key": KEY.format(2), "by": "anna"}]
    assert printed(capsys, "redials", "in-progress") == ["no redials in progress"]
    assert printed(capsys, "redials", "in-progress", "--json") == []
    assert printed(capsys, "redials") == ["1 waiting, 0 in progress"]
    asked(FILE, lambda store: store.change("eve", lambda known: Step(known.redial(KEY.format(3), PLACED, at), None)))
    with capture_logs():
        done = printed(capsys, "redials", "ended", KEY.format(3), "--json")
    assert json.loads(*done) == {"key": KEY.format(3), "ended": True}


def test_a_redial_is_made_due_now(capsys: pytest.CaptureFixture[str]) -> None:
    """In the contact's state, too; one that is late stays so; who did it is logged."""
    planned("bob")
    began = time.time()
    with capture_logs() as lines:
        assert printed(capsys, "redials", "run-now", KEY.format(1)) == [
            f"due now: {KEY.format(1)}; hours, caps, may_call and the pace still decide when it is placed"
        ]
    assert lines == [{"event": "redial.hastened", "log_level": "info", "key": KEY.format(1), "by": "anna"}]
    (waiting,) = asked(FILE, lambda store: store.history.waiting(Kind.REDIAL, 9))
    known = asked(FILE, lambda store: store.change("bob", lambda known: Step(known, known)))
    assert all(began <= at <= time.time() for at in (waiting.due_at, known.calls[1].at))
    with capture_logs():
        done = printed(capsys, "redials", "run-now", KEY.format(1), "--json")
    assert json.loads(*done) == {"key": KEY.format(1), "due": True}
    assert asked(FILE, lambda store: store.history.waiting(Kind.REDIAL, 9))[0].due_at == waiting.due_at


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"state": "running"}, "its function is being called"),
        ({"state": "done"}, "it was placed or given up, and waits no more"),
        ({"state": "dead"}, "it is a dead letter; see ringback dead show"),
        ({"state": "canceled"}, "it was canceled"),
        ({"kind": "outcome"}, "no redial has that key"),
        ({"contact": None}, "no redial has that key"),
        (
            {"contact": "eve"},
            "an earlier request may have placed the call; the worker repeats that request, or gives it up",
        ),
    ],
)
def test_what_does_not_wait_is_not_placed(
    capsys: pytest.CaptureFixture[str], columns: dict[str, Any], why: str
) -> None:
    """The reason is said, and nothing is logged."""
    planned("bob")
    set_row(**columns)
    key = KEY.format(1)
    with capture_logs() as lines:
        refusal = refused(capsys, "redials", "run-now", key)
    assert refusal == f"ringback redials run-now: {key!r} cannot be placed now: {why}"
    assert lines == []


def test_a_key_that_hides_a_number_can_be_given_as_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """If one redial alone is shown so."""
    planned("bob")
    set_row(key="redial:call:+15555550100")
    assert printed(capsys, "redials", "show", "redial:call:[phone]")[0] == "redial:call:[phone]"


def test_the_programme_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """By attempt, by the cause before, by the hour of a zone, and by the limit that ended it."""
    at = time.time() - 3600
    hour = datetime.fromtimestamp(at, ZoneInfo("Asia/Tokyo")).strftime("%H")
    first = CallRecord("leg:1", at, ended_at=at, cause="busy", unrung=True)
    planned("bob")
    contacts = {
        "ann": Contact((first, CallRecord("redial:1", at, answered_at=at))),
        "eve": Contact((replace(first, gave_up="max_attempts"),)),
        "bob": Contact(),
    }
    for name, known in contacts.items():
        asked(FILE, lambda store, name=name, known=known: store.change(name, lambda _: Step(known, None)))
    assert printed(capsys, "redials", "report", "--time-zone", "Asia/Tokyo") == [
        "2 contacts called, 1 reached, 0 redials to come (all that is remembered)",
        "",
        "ATTEMPT  CALLS  REACHED  SHARE   NEVER RANG",
        "1        2      0        0.0%    2",
        "2        1      1        100.0%  0",
        "",
        "REDIALS AFTER  CALLS  REACHED  SHARE   NEVER RANG",
        "busy           1      1        100.0%  0",
        "",
        "HOUR (Asia/Tokyo)  CALLS  REACHED  SHARE  NEVER RANG",
        f"{hour}                 3      1        33.3%  2",
        "",
        "GIVEN UP BY   AFTER  TIMES",
        "max_attempts  busy   1",
    ]
    found = json.loads(*printed(capsys, "redials", "report", "--json", "--since", "2h"))
    assert found.pop("since") < at
    assert found == {
        "contacts": 2,
        "reached": 1,
        "waiting": 0,
        "attempts": [
            {"name": "1", "calls": 2, "reached": 0, "unrung": 2},
            {"name": "2", "calls": 1, "reached": 1, "unrung": 0},
        ],
        "given_up": [{"limit": "max_attempts", "cause": "busy", "count": 1}],
        "causes": [{"name": "busy", "calls": 1, "reached": 1, "unrung": 0}],
        "hours": [{"name": datetime.fromtimestamp(at, UTC).strftime("%H"), "calls": 3, "reached": 1, "unrung": 2}],
    }
    (line,) = printed(capsys, "redials", "report", "--since", "2100-01-01")
    assert line == "0 contacts called, 0 reached, 0 redials to come (since 2100-01-01 00:00:00 UTC)"
    assert main(["redials", "report", "--time-zone", "Mars"]) == 2
    assert "'Mars' is no time zone" in capsys.readouterr().err


ROUTER = """
from ringback import OutcomeRouter

router = OutcomeRouter()


@router.redial(contact=lambda outcome: "bob", hash_contacts="a secret of this test")
def call_again(): ...
"""


HASHED = "; if contacts are hashed, name the router: --router MODULE:ROUTER"
NONE_CANCELLED = f"0 redials cancelled{HASHED}"
IS_HASHED = (
    "ringback redials block: the contacts in this store are hashed, and only the router knows how; name it: "
    "--router MODULE:ROUTER\n"
)
UNHEARD = (
    "ringback redials block: no call to this contact is known: is it the key of the contact function, sign by sign?"
)


def test_a_contact_is_blocked_and_unblocked(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 if nobody had blocked the contact; who did it is logged."""
    planned("bob")
    with capture_logs() as lines:
        assert printed(capsys, "redials", "block", "bob") == ["blocked, 2 redials cancelled"]
        # Of whom no call is known, the contact may have another name in the store.
        assert main(["redials", "block", "Bob ", "--json"]) == 0
        assert capsys.readouterr() == ('{"blocked": true, "canceled": 0}\n', f"{UNHEARD}{HASHED}\n")
        assert main(["redials", "block", "bob"]) == 0
        assert capsys.readouterr() == ("blocked, 0 redials cancelled\n", "")
        assert asked(FILE, lambda store: store.change("bob", lambda known: Step(known, known.never))) is True
        assert printed(capsys, "redials", "unblock", "bob") == ["unblocked"]
        assert printed(capsys, "redials", "unblock", "bob", status=1) == [f"was not blocked{HASHED}"]
        assert printed(capsys, "redials", "unblock", "bob", "--json", status=1) == ['{"unblocked": false}']
    assert asked(FILE, lambda store: store.change("bob", lambda known: Step(known, known.never))) is False
    assert [(line["event"], line.get("count"), line["by"]) for line in lines] == [
        ("redial.blocked", 2, "anna"),
        ("redial.blocked", 0, "anna"),
        ("redial.blocked", 0, "anna"),
        ("redial.unblocked", None, "anna"),
    ]


def test_redials_to_a_contact_are_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 if there were none. An end that still settles counts as one; who did it is logged."""
    planned("bob")
    with capture_logs() as lines:
        assert printed(capsys, "redials", "cancel", "bob") == ["2 redials cancelled"]
    assert lines == [{"event": "redials.canceled", "log_level": "info", "count": 2, "by": "anna"}]
    assert printed(capsys, "redials", "cancel", "bob", status=1) == [NONE_CANCELLED]


def test_contacts_that_are_hashed_need_the_router(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Only the router's secret leads from the contact to its key."""
    (folder / "hashing.py").write_text(ROUTER, "utf-8")
    sys.path.insert(0, str(folder))
    import hashing  # type: ignore[import-not-found]

    planned(hashing.router.redials[0].stored("bob"))
    named = ("list", "--contact", "bob")
    assert printed(capsys, "redials", *named)[1:] == [f"no redials{HASHED}"]
    for room, nothing in (("dead", "no dead letters"), ("calls", "no calls")):
        assert printed(capsys, room, *named) == [f"{nothing}{HASHED}"]
        assert printed(capsys, room, *named, "--router", "hashing:router") == [nothing]
    assert printed(capsys, "redials", "cancel", "bob", status=1) == [NONE_CANCELLED]
    assert printed(capsys, "redials", "cancel", "bob", "--json", "--router", "hashing:router") == ['{"canceled": 2}']
    with capture_logs() as lines:
        assert main(["redials", "block", "bob"]) == 2
        assert capsys.readouterr() == ("", IS_HASHED)
        assert lines == []
        blocked = printed(capsys, "redials", "block", "bob", "--router", "hashing:router")
        assert blocked == ["blocked, 0 redials cancelled"]
        assert main(["redials", "block", "Bob", "--router", "hashing:router"]) == 0
        assert capsys.readouterr() == ("blocked, 0 redials cancelled\n", f"{UNHEARD}\n")
        assert main(["redials", "block", hashing.router.redials[0].stored("bob")]) == 0
        assert capsys.readouterr() == ("blocked, 0 redials cancelled\n", "")
        assert printed(capsys, "redials", "unblock", "bob", status=1) == [f"was not blocked{HASHED}"]
        named = ("redials", "unblock", "bob", "--router", "hashing:router")
        assert printed(capsys, *named) == ["unblocked"]
        assert printed(capsys, *named, status=1) == ["was not blocked"]


@pytest.mark.parametrize(
    "command",
    [
        *(f"redials {name} CONTACT" for name in ("block", "unblock", "cancel")),
        *(f"redials {name} KEY" for name in ("run-now", "ended")),
        "redials show KEY|CONTACT",
        *(f"dead {name} KEY" for name in ("show", "replay", "discard")),
        "calls show ID",
    ],
)
def test_an_empty_name_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As of a script's variable that is not set: a contact whom nobody has blocked must not be told as blocked."""
    *names, place = command.split()
    prog = f"ringback {' '.join(names)}"
    assert main([*names, " "]) == 2
    said = f"{prog}: argument {place}: it is empty, which names nothing; give a value; see {prog} --help\n"
    assert capsys.readouterr() == ("", said)


def test_what_an_app_prints_is_not_in_the_answer(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Nor its log, where it sets one up for standard output when it is imported: a script reads the answer."""
    loud = 'import logging, sys\nprint("hello")\nlog = logging.StreamHandler(sys.stdout)\n'
    (folder / "loud.py").write_text(f"{loud}{ROUTER}", "utf-8")
    sys.path.insert(0, str(folder))
    planned("bob")
    assert main(["redials", "cancel", "bob", "--json", "--router", "loud:router"]) == 1
    import loud as app  # type: ignore[import-not-found]

    answer = capsys.readouterr()
    assert answer.out == '{"canceled": 0}\n'
    assert answer.err.startswith("hello\n")
    assert app.log.stream is sys.stderr
