"""ringback dead, redials and store: what is shown of a store, and what is changed in it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
import time
from logging.handlers import MemoryHandler
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from ringback import classify_event
from ringback.cli import main
from ringback.cli._screen import Progress as _Progress
from ringback.core.events import Event, EventData, Result
from ringback.stores.sqlite import SQLiteStore
from ringback.work.deliveries import Counted
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State

if TYPE_CHECKING:
    from pathlib import Path

    from ringback.core.outcome import Outcome

LEG = "1f0e5c1a-0000-4000-8000-00000000000{}"
KEY = f"call:{LEG}"
DIED = 1_773_568_800.0  # 2026-03-15 10:00:00 UTC
FILE = "ringback.db"
REASON = "jobs.call_again: ValueError: there is no line to the person who was to be called, nor to +1 555 555 0100"
PROGRESS = Progress(done=("jobs.close",), failed={"jobs.call_again": "no line to +1 555 555 0100"})


def outcome(leg: int, code: int | None = 486, subcode: int | None = 560486) -> Outcome:
    result = None if code is None else Result(code, subcode, "Busy here.")
    data = EventData(call_connection_id=LEG.format(leg), operation_context=f"order-{leg}", result_information=result)
    found = classify_event(Event(type="Microsoft.Communication.CallDisconnected", data=data))
    assert found is not None
    return found


def died(*letters: tuple[Outcome, str], key: str | None = None, progress: Progress = PROGRESS) -> None:
    """Put each outcome into the store, and let its hooks be given up for the reason."""
    reasons = {each.outcome_id if key is None else key: reason for each, reason in letters}

    async def dying() -> None:
        store = SQLiteStore(FILE, clock=lambda: DIED)
        await store.put([Item(key or each.outcome_id, Kind.OUTCOME, 0.0, each) for each, _ in letters])
        left = len(letters)

        async def work(claim: Claim) -> Settlement:
            nonlocal left
            left -= 1
            if left == 0:
                done.set()
            return Settlement(State.DEAD, progress, reason=reasons[claim.item.key])

        done = asyncio.Event()
        running = asyncio.create_task(store.run(work, 1))
        await done.wait()
        await store.stop(5)
        await running
        await store.close()

    asyncio.run(dying())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("RINGBACK_STORE", f"sqlite:///{FILE}")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[str]:
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


WIDE = [
    "KEY                                        KIND     CAUSE       CODE        TRIES  DIED (UTC)           REASON",
    f"{KEY.format(2)}  outcome  unreported  -           1      2026-03-15 10:00:00  jobs.close: short",
    f"{KEY.format(1)}  outcome  busy        486/560486  1      2026-03-15 10:00:00  " + REASON[:83] + "...",
]
MEDIUM = [
    "KEY                                        KIND     CAUSE       CODE        TRIES  DIED (UTC)",
    f"{KEY.format(2)}  outcome  unreported  -           1      2026-03-15 10:00:00",
    "  jobs.close: short",
    f"{KEY.format(1)}  outcome  busy        486/560486  1      2026-03-15 10:00:00",
    "  jobs.call_again: ValueError: there is no line to the person who was to be called, nor to [phone]",
]
NARROW = [
    KEY.format(2),
    "  outcome, unreported, -, 1 tries,",
    "  2026-03-15 10:00:00",
    "  jobs.close: short",
    KEY.format(1),
    "  outcome, busy, 486/560486, 1 tries,",
    "  2026-03-15 10:00:00",
    "  jobs.call_again: ValueError: there is",
    "  no line to the person who was to be",
    "  called, nor to [phone]",
]


@pytest.mark.parametrize(("columns", "lines"), [("190", WIDE), ("110", MEDIUM), ("20", NARROW)])
def test_the_table_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, lines: list[str]
) -> None:
    """Newest first; a key is never broken, a reason is cut or stands below, and no number is shown."""
    monkeypatch.setenv("COLUMNS", columns)
    died((outcome(1), REASON), (outcome(2, None), "jobs.close: short"))
    shown = printed(capsys, "dead", "list")
    assert shown == lines


def test_tries_are_the_calls_of_a_hook(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the hook that was called most often, however often a worker has taken the item."""
    died(
        (outcome(1), "no"),
        progress=Progress(done=("jobs.close",), failed={"jobs.again": "no"}, tries={"jobs.again": 4}),
    )
    assert "  486/560486  5      2026-03-15" in printed(capsys, "dead", "list")[1]
    assert "  died        2026-03-15 10:00:00 UTC, tries: 5" in printed(capsys, "dead", "show", KEY.format(1))
    (letter,) = [json.loads(line) for line in printed(capsys, "dead", "list", "--json")]
    assert (letter["attempts"], letter["tries"]) == (1, 5)


def test_done_is_what_returned(capsys: pytest.CaptureFixture[str]) -> None:
    """What an attempt notes for itself among the hooks that are done is the name of no hook."""
    done = ("told_without_contact", "jobs.close", "attempts_exhausted", "jobs.again (contact)")
    died((outcome(1), "no"), progress=Progress(done=done, failed={"jobs.last": "no"}))
    assert "  done        jobs.close" in printed(capsys, "dead", "show", KEY.format(1))
    (letter,) = [json.loads(line) for line in printed(capsys, "dead", "list", "--json")]
    assert letter["done"] == ["jobs.close"]


def test_json_is_a_letter_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The outcome as everywhere, the reason redacted; what cannot be read is null."""
    died((outcome(1), REASON), (outcome(2), "broken"))
    with sqlite3.connect(FILE) as connection:
        connection.execute("UPDATE items SET payload = 'x' WHERE key = ?", (KEY.format(2),))
    connection.close()
    letter = {
        "key": KEY.format(1),
        "kind": "outcome",
        "target": None,
        "attempts": 1,
        "tries": 1,
        "reason": REASON.replace("+1 555 555 0100", "[phone]"),
        "died_at": "2026-03-15T10:00:00+00:00",
        "done": ["jobs.close"],
        "failed": {"jobs.call_again": "no line to [phone]"},
        "outcome": outcome(1).to_dict(),
    }
    broken = letter | {"key": KEY.format(2), "reason": "broken", "outcome": None}
    assert [json.loads(line) for line in printed(capsys, "dead", "list", "--json")] == [broken, letter]
    assert json.loads(*printed(capsys, "dead", "show", "--json", KEY.format(1))) == letter
    assert "  unreadable  -           1  " in printed(capsys, "dead", "list")[1]
    assert "  outcome     what is stored cannot be read" in printed(capsys, "dead", "show", KEY.format(2))


def test_a_list_that_is_cut_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the number that shows all."""
    died((outcome(1), "one"), (outcome(2), "two"))
    assert main(["dead", "list", "--limit", "1"]) == 0
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["KEY", KEY.format(2)]
    assert captured.err == "ringback dead list: the newest 1 of 2; --limit 2 shows all\n"


def test_a_letter_is_shown_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is known, what to do about the call, and what to do about the letter."""
    monkeypatch.setenv("COLUMNS", "100")
    died((outcome(1, 603, 0), REASON))
    steps = [
        line
        for number, step in enumerate(outcome(1, 603, 0).advice, 1)
        for line in textwrap.wrap(step, 100, initial_indent=f"  {number}. ", subsequent_indent=" " * 5)
    ]
    assert printed(capsys, "dead", "show", KEY.format(1)) == [
        KEY.format(1),
        "  kind        outcome",
        "  died        2026-03-15 10:00:00 UTC, tries: 1",
        "  reason      jobs.call_again: ValueError: there is no line to the person who was to be called, nor",
        "              to [phone]",
        "  done        jobs.close",
        "  failed      jobs.call_again: no line to [phone]",
        "  outcome     603/0  declined  terminal (never)",
        f"  summary     {outcome(1, 603, 0).summary}",
        "  event       CallDisconnected",
        f"  call        {LEG.format(1)}",
        "  context     order-1",
        "  message     Busy here.",
        "",
        "What to do about the call",
        *steps,
        "",
        "What to do about the letter",
        f"  ringback dead replay {KEY.format(1)}",
        f"  ringback dead discard {KEY.format(1)}",
    ]


@pytest.mark.parametrize("width", ["60", "100", "200"])
def test_no_sign_of_a_sender_is_obeyed_by_the_terminal(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one of an exception: a text that moves the cursor or turns the writing hides what stands beside it."""
    monkeypatch.setenv("COLUMNS", width)
    died((outcome(1), "jobs.again: <\x1b[2J\u202e>"))
    shown = printed(capsys, "dead", "show", KEY.format(1)) + printed(capsys, "dead", "list")
    assert [line for line in shown if not line.isprintable()] == []
    assert sum(r"<\x1b[2J\u202e>" in line for line in shown) == 2


def test_a_redial_names_its_function(capsys: pytest.CaptureFixture[str]) -> None:
    """Which function would call again is the first thing to look at."""
    died((outcome(1), "refused"))
    with sqlite3.connect(FILE) as connection:
        connection.execute("UPDATE items SET kind = 'redial', target = 'jobs.call_again', progress = NULL")
    connection.close()
    assert printed(capsys, "dead", "show", KEY.format(1))[1:6] == [
        "  kind        redial",
        "  function    jobs.call_again",
        "  died        2026-03-15 10:00:00 UTC, tries: 0",
        "  reason      refused",
        "  outcome     486/560486  busy  retryable (later)",
    ]


@pytest.mark.parametrize("command", ["show", "replay", "discard"])
def test_a_key_of_no_letter_is_exit_code_1(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Nothing was done, and standard error says for which key."""
    died((outcome(1), "one"))
    assert main(["dead", command, "call:x"]) == 1
    assert capsys.readouterr() == (
        "",
        f"ringback dead {command}: no dead letter has the key 'call:x'; see ringback dead list\n",
    )


def test_a_letter_is_replayed_or_discarded(capsys: pytest.CaptureFixture[str]) -> None:
    """A replayed one waits again, a discarded one is given up for good."""
    died((outcome(1), "one"), (outcome(2), "two"), (outcome(3, 486, None), "three"))
    assert printed(capsys, "dead", "replay", KEY.format(1)) == [f"replayed {KEY.format(1)}"]
    assert printed(capsys, "dead", "discard", "--json", KEY.format(2)) == [
        json.dumps({"key": KEY.format(2), "discarded": True})
    ]
    assert printed(capsys, "dead", "replay", "--all") == [f"replayed {KEY.format(3)}"]
    assert printed(capsys, "dead", "replay", "--all") == ["no dead letters"]
    assert printed(capsys, "dead", "list") == ["no dead letters"]
    stats = json.loads(*printed(capsys, "store", "stats", "--json"))
    assert {name: stats[name] for name in ("ready", "dead", "canceled")} == {"ready": 2, "dead": 0, "canceled": 1}


def test_a_key_that_hides_a_number_can_be_given_as_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """What is redacted on the screen is still of use."""
    died((outcome(1), "one"), key="call:+15555550100")
    assert printed(capsys, "dead", "replay", "call:[phone]") == ["replayed call:[phone]"]


@pytest.mark.parametrize(
    "arguments",
    [["replay"], ["replay", "--all", "call:x"], ["replay", "--cause", "busy", "call:x"]],
    ids=["none", "both", "a key and a filter"],
)
def test_replay_takes_keys_or_all(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Nobody replays everything by leaving something out."""
    assert main(["dead", *arguments]) == 2
    assert capsys.readouterr().err == (
        "ringback dead replay: name the keys to replay, or choose with --cause and the like, or pass --all, and one of "
        "these alone; ringback dead list shows what there is\n"
    )


NONE_CANCELLED = "0 redials cancelled; if contacts are hashed, name the router: --router MODULE:ROUTER"
COMMANDS = ["dead list", "dead show k", "dead replay k", "dead discard k", "redials cancel k", "store stats"]
COMMANDS += ["redials block k", "redials unblock k"]


@pytest.mark.parametrize("command", [*COMMANDS, "store purge"])
@pytest.mark.parametrize("empty", [False, True], ids=["no file", "an empty file"])
def test_a_look_makes_no_store(capsys: pytest.CaptureFixture[str], folder: Path, command: str, empty: bool) -> None:
    """A wrong path is said, not answered with an empty store."""
    if empty:
        (folder / FILE).touch()
    assert main(command.split()) == 2
    assert capsys.readouterr().err == (
        f"ringback {' '.join(command.split()[:2])}: there is no store in '{folder / FILE}'; name the file that the app "
        "writes: 'sqlite:///name.db' is relative to the working directory, 'sqlite:////folder/name.db' is absolute\n"
    )
    assert [(each.name, each.stat().st_size) for each in folder.iterdir()] == ([(FILE, 0)] if empty else [])


@pytest.mark.parametrize("command", [*COMMANDS, "worker app:router"])
def test_an_empty_store_is_refused(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """As of a script's variable that is not set: the store of the environment may be another one."""
    assert main([*command.split(), "--store", ""]) == 2
    said = "argument --store: it is empty, which finds nothing; give a value, or leave the option out"
    assert said in capsys.readouterr().err


def test_a_store_that_does_not_work_is_exit_code_1(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """One line, and no traceback."""
    (folder / FILE).write_text("no database at all, but longer than a header of SQLite\n" * 20, "utf-8")
    assert main(["dead", "list"]) == 1
    assert capsys.readouterr().err.startswith(f"ringback dead list: {FILE}: ")


@pytest.mark.parametrize("group", ["dead", "store"])
def test_a_group_alone_is_refused(capsys: pytest.CaptureFixture[str], group: str) -> None:
    """With an example of what to write."""
    assert main([group]) == 2
    assert capsys.readouterr().err.startswith(
        f"ringback {group}: no command given; write for example: ringback {group}"
    )


@pytest.fixture
def several() -> None:
    """A busy call, a declined one whose contact is known, and an end without a reason."""
    died((outcome(1), "one"), (outcome(2, 603, 0), "two"), (outcome(3, None), "three"))
    with sqlite3.connect(FILE) as connection:
        connection.execute("UPDATE items SET contact = 'bob' WHERE key = ?", (KEY.format(2),))
    connection.close()


FILTERS = {
    "--cause busy": [1],
    "--code 603": [2],
    "--code 486/560486": [1],
    "--code 486#1": [],
    "--hook jobs.call_again": [3, 2, 1],
    "--hook jobs.other": [],
    "--contact bob": [2],
    "--contact bob --cause busy": [],
    "--since 2026-03-15T10:00:00Z": [3, 2, 1],
    "--since 2h": [],
}


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(("given", "found"), FILTERS.items(), ids=FILTERS)
def test_letters_are_chosen_by_all_that_is_given(
    capsys: pytest.CaptureFixture[str], given: str, found: list[int]
) -> None:
    """Listed, and tried with nothing changed: the same letters, the oldest first."""
    listed = printed(capsys, "dead", "list", *given.split())
    assert [line.split()[0] for line in listed[1:]] == [KEY.format(number) for number in found]
    tried = printed(capsys, "dead", "discard", "--dry-run", *given.split())
    would = [f"would be discarded {KEY.format(number)}" for number in reversed(found)]
    assert tried == would if found else ["no dead letters"]
    assert len(printed(capsys, "dead", "list")) == 4


def test_many_letters_have_a_bar() -> None:
    """On a terminal, once it takes its time; the bar names what it counts."""
    stream, times = io.StringIO(), iter([0.0, 1.0])
    stream.isatty = lambda: True  # type: ignore[method-assign]
    _Progress(4, stream, lambda: next(times), noun="dead letters").at(1, 1)
    assert stream.getvalue() == "\r[######..................]  25%  1 dead letters"


@pytest.mark.usefixtures("several")
def test_a_list_of_chosen_letters_that_is_cut_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Of how many of those that are chosen."""
    assert main(["dead", "list", "--hook", "jobs.call_again", "--limit", "2"]) == 0
    assert capsys.readouterr().err == "ringback dead list: the newest 2 of 3; --limit 3 shows all\n"


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("answer", "agrees"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_a_person_at_a_terminal_is_asked_before_many_are_changed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str, agrees: bool
) -> None:
    """With their number and what was chosen; whoever passes ``--yes``, and a script, is not."""
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["dead", "discard", "--hook", "jobs.call_again", "--limit", "2"]) == (0 if agrees else 1)
    captured = capsys.readouterr()
    asked = "ringback dead discard: discard 2 dead letters (hook jobs.call_again)? [y/N] "
    assert captured.err.startswith(asked)
    assert captured.err.endswith("nothing was changed\n") is not agrees
    assert len(captured.out.splitlines()) == (2 if agrees else 0)
    assert main(["dead", "replay", "--all", "--yes"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == (1 if agrees else 3)
    assert main(["dead", "replay", "--all"]) == 0
    assert "[y/N]" not in capsys.readouterr().err


@pytest.mark.usefixtures("several")
def test_chosen_letters_are_changed_and_it_is_logged_by_whom(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the limit allows, the oldest first; a line of the log for all, with the user of the machine."""
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    with capture_logs() as lines:
        done = printed(capsys, "dead", "replay", "--json", "--hook", "jobs.call_again", "--limit", "2")
    assert [json.loads(line) for line in done] == [{"key": KEY.format(n), "replayed": True} for n in (1, 2)]
    line = {
        "event": "dead_letters.replayed",
        "count": 2,
        "chosen": "hook jobs.call_again",
        "change": None,
        "by": "anna",
    }
    assert lines == [line | {"log_level": "info"}]
    with capture_logs() as lines:
        done = printed(capsys, "dead", "discard", "--json", "--all", "--dry-run")
    assert [json.loads(line) for line in done] == [{"key": KEY.format(3), "discarded": False, "dry_run": True}]
    assert lines == []
    assert main(["dead", "discard", "--dry-run", KEY.format(1), KEY.format(3)]) == 1
    assert capsys.readouterr().out == f"would be discarded {KEY.format(3)}\n"


def test_a_person_without_a_name_has_a_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container."""

    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    died((outcome(1), "one"))
    with capture_logs() as lines:
        printed(capsys, "dead", "discard", KEY.format(1))
    assert [line["by"] for line in lines] == [f"user {os.getuid()}"]


def test_where_nothing_logs_the_line_goes_to_standard_error() -> None:
    """So that it can be kept, and standard output is what was asked for."""
    died((outcome(1), "one"))
    command = [sys.executable, "-m", "ringback", "dead", "replay", KEY.format(1)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"replayed {KEY.format(1)}\n"
    assert re.fullmatch(rf"\S+ \S+ dead_letter\.replayed key={KEY.format(1)} by=\S+\n", done.stderr)


@pytest.mark.parametrize(("is_terminal", "kind"), [(True, MemoryHandler), (False, logging.StreamHandler)])
def test_a_process_gets_one_handler(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool, kind: type
) -> None:
    """Of the logger ringback alone: what libraries say at this level is nothing for a terminal, which gets the lines
    when the command ends.
    """
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    died((outcome(1), "one"))
    logger = logging.getLogger("ringback")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [])
    for _ in range(2):
        printed(capsys, "dead", "list")
    assert [type(handler) for handler in logger.handlers] == [kind]
    assert logger.level == logging.INFO


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--code", "busy", "'busy' is no code; write for example 486, or 486/560486"),
        ("--since", "2w", "'2w' is no time; write for example 2026-01-15T09:30:00Z, or 2h, or 3d"),
        ("--cause", "bussy", "'bussy' is no cause; there are answered_elsewhere, "),
    ],
)
def test_what_cannot_choose_is_refused(
    capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    """Value, rule and remedy."""
    assert main(["dead", "replay", option, value]) == 2
    assert capsys.readouterr().err.startswith(f"ringback dead replay: argument {option}: {message}")


def test_what_has_arrived_is_told_beside_the_states(capsys: pytest.CaptureFixture[str]) -> None:
    """When the last delivery came, and what became of those of a day."""

    async def arrived() -> None:
        store, now = SQLiteStore(FILE), time.time()
        minute = int(now // 60) * 60
        wrong = Counted(minute - 3600, "refused", "audience_wrong", 20, now - 3600)
        await store.count_deliveries([Counted(minute - 7200, "accepted", "", 812, now - 7200), wrong])
        await store.close()

    asyncio.run(arrived())
    line = printed(capsys, "store", "stats")[-1]
    assert re.fullmatch(
        r"last_delivery +36\d\d(\.\d+)?s  since the last delivery; "
        r"in 24 hours 812 accepted, 20 refused \(audience_wrong\)",
        line,
    )
    [told] = printed(capsys, "store", "stats", "--json")
    assert json.loads(told)["deliveries"] == [
        {"result": "accepted", "reason": "", "count": 812},
        {"result": "refused", "reason": "audience_wrong", "count": 20},
    ]


def test_a_store_is_counted_and_purged(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each state; a purge says how much it forgot."""
    died((outcome(1), "one"))
    lines = printed(capsys, "store", "stats")
    assert [line.split()[:2] for line in lines] == [
        ["ready", "0"],
        ["running", "0"],
        ["done", "0"],
        ["dead", "1"],
        ["canceled", "0"],
        ["redials", "0"],
        ["oldest_due", "0s"],
        ["redials_in_progress", "0"],
        ["redials_paused", "0s"],
        ["last_delivery", "never"],
    ]
    main(["dead", "discard", KEY.format(1)])
    capsys.readouterr()
    # What died in March is old by the machine's own clock.
    assert printed(capsys, "store", "purge") == ["1 row forgotten, in whole or in part"]
    assert printed(capsys, "store", "purge", "--json") == ['{"changed": 0}']
