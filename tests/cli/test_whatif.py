"""``ringback whatif``: what is compared, what is counted once, how it is shown, and that memory has bounds."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from ringback import Catalog, RedialPolicy, classify
from ringback.cli import _changes, main
from ringback.cli._changes import Change, Changes, Judgement, Redialing, Result
from ringback.cli.reading.frames import found_in
from ringback.core.events import parse_delivery
from ringback.core.outcome import classify_event
from ringback.stores import open_store
from ringback.work.items import Item, Kind

if TYPE_CHECKING:
    from pathlib import Path

BUSY_NOW = '[[entry]]\ncode = 486\nsubcode = 560486\nretry = "now"\nowner = "carrier"\ncategory = "ExpectedError"\n'
PLAIN = Redialing(RedialPolicy())


def event(number: int, code: int = 486, subcode: int = 560486, name: str = "CallDisconnected", **more: Any) -> Any:
    leg = f"1f0e5c1a-0000-4000-8000-{number:012}"
    return {
        "id": f"e-{number}-{name}",
        "source": f"calling/callConnections/{leg}",
        "type": f"Microsoft.Communication.{name}",
        "time": "2026-01-15T09:30:00Z",
        "data": {"callConnectionId": leg, "resultInformation": {"code": code, "subCode": subcode, **more}},
    }


def outcome_of(of: Any, catalog: Catalog | None = None) -> Any:
    (parsed,) = parse_delivery(json.dumps(of)).events
    return classify_event(parsed, catalog)


def line(of: Any, catalog: Catalog | None = None, **more: Any) -> bytes:
    """Its line in a log that was judged by this catalog."""
    told = outcome_of(of, catalog).to_dict() | more
    return json.dumps(
        {"event": "call.outcome"} | {name: value for name, value in told.items() if value is not None}
    ).encode()


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    place = tmp_path / "my.toml"
    place.write_text(BUSY_NOW, "utf-8")
    return place


@pytest.fixture
def log(tmp_path: Path) -> Path:
    place = tmp_path / "app.log"
    place.write_bytes(
        b"\n".join(
            [
                b"Started.",
                line(event(1)),
                b"app-1  | " + line(event(2, sipDetails={"code": 486, "message": "Busy Here"})),
                line(event(1, name="CreateCallFailed")),
                line(event(3, 603, 0)),
                json.dumps([event(4, 603, 0)]).encode(),
                b'{"level": "info", "code": 200, "subCode": 1}',
                b"",
            ]
        )
    )
    return place


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    status = main(["whatif", "--json", *map(str, arguments)])
    captured = capsys.readouterr()
    assert captured.err == ""
    return status, json.loads(captured.out)


def counted(
    *lines: bytes, catalog: Catalog | None = None, before: Redialing = PLAIN, after: Redialing = PLAIN
) -> Changes:
    changes = Changes(catalog or Catalog.default(), before, after)
    changes.count(found_in([b"\n".join(lines)]), "app.log")
    return changes


BUSY = Judgement("busy", "Success", "later", "place_call", "callee", 600.0)
OURS = Judgement("busy", "ExpectedError", "now", "place_call", "carrier", 600.0)


def test_other_verdicts_are_found(capsys: pytest.CaptureFixture[str], log: Path, overrides: Path) -> None:
    """By result and change; the two reports of one call are one outcome."""
    status, told = asked(capsys, log, "--overrides", overrides)
    assert status == 1
    before = {
        "cause": "busy",
        "category": "Success",
        "retry_class": "later",
        "retry_action": "place_call",
        "owner": "callee",
        "redial_in": 600.0,
    }
    after = before | {"category": "ExpectedError", "retry_class": "now", "owner": "carrier"}
    row = {"event": "CallDisconnected", "code": 486, "subcode": 560486, "sip": None, "q850": None}
    leg = "call:1f0e5c1a-0000-4000-8000-00000000000"
    assert told == {
        "lines": 7,
        "outcomes": 4,
        "repeated": 1,
        "undetailed": 0,
        "not_read": [
            {"why": "no JSON object and no line of Ringback's", "count": 1, "first": f"line 1 of {log}"},
        ],
        "other_verdict": 2,
        "other_redial": 0,
        "changes": [
            {"result": row | {"sip": 486}, "before": before, "after": after, "count": 1, "examples": [f"{leg}2"]},
            {"result": row, "before": before, "after": after, "count": 1, "examples": [f"{leg}1"]},
        ],
        "not_listed": 0,
    }


def test_nothing_would_have_changed(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    """0, and a line that says so: a log of this release against its own catalog."""
    assert main(["whatif", str(log)]) == 0
    assert capsys.readouterr().out == (
        "4 outcomes: 0 would have had another verdict, 0 another redial\n"
        f"1 not read: no JSON object and no line of Ringback's; the first is line 1 of {log}\n"
    )
    log.write_bytes(line(event(1)))
    assert main(["whatif", str(log)]) == 0
    assert capsys.readouterr().out == "1 outcome: 0 would have had another verdict, 0 another redial\n"


def test_the_table(capsys: pytest.CaptureFixture[str], log: Path, overrides: Path) -> None:
    """As it was, as it would have been, and a call to look at."""
    assert (
        main(["whatif", str(log), "--overrides", str(overrides), "--delay", "busy=900", "--delay", "declined=5"]) == 1
    )
    assert capsys.readouterr().out == TABLE.format(log=log)


TABLE = """\
4 outcomes: 2 would have had another verdict, 2 another redial
1 not read: no JSON object and no line of Ringback's; the first is line 1 of {log}

    count  result                                  verdict                                    redial
        1  CallDisconnected 486/560486 SIP 486     busy later place_call callee Success       in 10 minutes
                                                -> busy now place_call carrier ExpectedError  in 15 minutes
           such as call:1f0e5c1a-0000-4000-8000-000000000002
        1  CallDisconnected 486/560486             busy later place_call callee Success       in 10 minutes
                                                -> busy now place_call carrier ExpectedError  in 15 minutes
           such as call:1f0e5c1a-0000-4000-8000-000000000001
"""


def test_another_redial(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    """Of a policy: the delay of a cause, how many calls there may be, and whether who had called is called."""
    with log.open("ab") as file:
        file.write(line(event(5, 480, 560480, "AnswerFailed")) + b"\n")
        file.write(line(event(6, 500, 0)) + b"\n")
        file.write(line(event(7, 400, 8585, "PlayFailed")) + b"\n")
    status, told = asked(capsys, log, "--delay", "service_error=7200")
    assert (status, told["other_verdict"], told["other_redial"]) == (1, 0, 1)
    (row,) = told["changes"]
    assert row["after"]["redial_in"] == 7200
    _, told = asked(capsys, log, "--max-attempts", "1")
    assert {row["after"]["redial_in"] for row in told["changes"]} == {None}
    assert told["other_redial"] == 3
    _, told = asked(capsys, log, "--call-back")
    assert [row["result"]["event"] for row in told["changes"]] == ["AnswerFailed"]


def test_the_policy_of_a_router(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: Path
) -> None:
    """It holds before and after; the options change what comes after."""
    (tmp_path / "whatif_app.py").write_text(
        "from ringback import OutcomeRouter, RedialPolicy\n\n"
        "router, bare = OutcomeRouter(), OutcomeRouter()\n\n\n"
        "@router.redial(contact=lambda o: o.operation_context, policy=RedialPolicy(delays={'busy': 3600}))\n"
        "async def dial(contact, headers): ...\n",
        "utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    assert asked(capsys, log, "--router", "whatif_app:router")[0] == 0
    _, told = asked(capsys, log, "--router", "whatif_app:router", "--delay", "busy=7200")
    assert {(row["before"]["redial_in"], row["after"]["redial_in"]) for row in told["changes"]} == {(3600.0, 7200.0)}
    assert main(["whatif", str(log), "--router", "whatif_app:bare"]) == 2
    assert capsys.readouterr().err == (
        "ringback whatif: router 'whatif_app:bare' has no redial; register one, or leave --router out\n"
    )


def test_what_the_log_said_counts() -> None:
    """Not what this release would have said: an upgrade is a change as well."""
    ours = Catalog.default().with_overrides({"entry": [{"code": 486, "subcode": 560486, "retry": "now"}]})
    (row,) = counted(line(event(1), ours)).rows
    before = Judgement("busy", "Success", "now", "place_call", "callee", 600.0)
    assert row == Change(Result("CallDisconnected", 486, 560486, None, None), before, BUSY, 1, row.examples)


@pytest.mark.parametrize(
    ("said", "before"),
    [
        # A line of before there were actions: its event tells.
        ({"retry_action": None, "cause": "no_answer"}, {"cause": "no_answer", "redial_in": 1800.0}),
        (
            {"retry_action": None, "retry_class": "never"},
            {"retry_class": "never", "retry_action": "none", "redial_in": None},
        ),
        ({"cause": "made_up", "retry_after": {"seconds": 900}}, {"cause": "made_up", "redial_in": 900.0}),
        ({"retry_class": "\x1b[1m"}, {"retry_class": "\\x1b[1m", "redial_in": None}),
    ],
)
def test_a_line_of_another_release(said: dict[str, Any], before: dict[str, Any]) -> None:
    """What it does not say follows from the rest; what nobody knows is shown without harm."""
    (row,) = counted(line(event(1), **said)).rows
    assert (row.before, row.after) == (structs.replace(BUSY, **before), BUSY)


def test_whoever_may_not_be_called_again_is_not() -> None:
    """An outcome that the policy had exhausted stays without a redial, whatever the verdict."""
    ours = Catalog.default().with_overrides({"entry": [{"code": 486, "subcode": 560486, "retry": "now"}]})
    exhausted = line(event(1), disposition="terminal", retry_action="none")
    assert counted(exhausted).rows == []
    (row,) = counted(exhausted, catalog=ours).rows
    assert (row.before.redial_in, row.after.redial_in, row.after.retry_action) == (None, None, "none")


def test_lines_that_are_none() -> None:
    """A result without an event, one that cannot be, text, and an event that ends nothing are passed over."""
    found = counted(
        b"Microsoft.Communication.CallDisconnected DiagCode: 486#560486.@",
        b"Microsoft.Communication.CallDisconnected DiagCode: 99999999999#1.@",
        json.dumps({"type": "Microsoft.Communication.CallConnected", "data": {}}).encode(),
        b'{"event_type": 5}',
        b"\xff",
    )
    assert (found.lines, found.outcomes, found.rows) == (5, 0, [])


def test_events_without_ids_are_each_their_own() -> None:
    """Nothing tells that two are one."""
    bare = json.dumps({"type": "Microsoft.Communication.CallDisconnected"}).encode()
    assert counted(bare, bare).outcomes == 2


def test_memory_has_bounds(monkeypatch: pytest.MonkeyPatch, overrides: Path) -> None:
    """Rows, their examples, and the ids that are known again."""
    monkeypatch.setattr(_changes, "MOST", 2)
    catalog = Catalog.default().with_overrides(overrides)
    changes = Changes(catalog, PLAIN, PLAIN, remembered=4)
    for number in range(40):
        changes.count(found_in([line(event(number, sipDetails={"code": 180 + number % 4, "message": ""}))]), "app.log")
    assert [row.count for row in changes.rows] == [10, 10]
    assert {len(row.examples) for row in changes.rows} == {_changes.EXAMPLES}
    assert (changes.outcomes, changes.verdicts, changes.others) == (40, 40, 20)


def test_the_rest_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], log: Path, overrides: Path
) -> None:
    """What is beyond the rows that are kept."""
    monkeypatch.setattr(_changes, "MOST", 1)
    assert main(["whatif", str(log), "--overrides", str(overrides)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "        1  (others)"


def test_a_store(capsys: pytest.CaptureFixture[str], tmp_path: Path, overrides: Path) -> None:
    """Its newest calls, as they were judged when they were stored."""
    url = f"sqlite:///{tmp_path / 'r.db'}"

    async def fill() -> None:
        store = open_store(url)
        await store.open()
        for number in (1, 2, 3):
            outcome = outcome_of(event(number) if number < 3 else event(3, 603, 0))
            await store.put([Item(f"k{number}", Kind.OUTCOME, 0.0, outcome)])
        await store.close()

    asyncio.run(fill())
    assert asked(capsys, url)[0] == 0
    status, told = asked(capsys, url, "--overrides", overrides)
    assert (status, told["lines"], told["outcomes"], told["other_verdict"]) == (1, 0, 3, 2)
    assert asked(capsys, url, "--limit", "1", "--overrides", overrides)[1]["outcomes"] == 1


def test_a_stored_call_that_may_not_be_repeated() -> None:
    """Stays what it was."""
    changes = counted()
    changes.add_stored(outcome_of(event(1)).exhausted())
    changes.add_stored(outcome_of(event(2, 480, 560480)))
    assert (changes.outcomes, changes.rows) == (2, [])


def test_files_are_read_one_after_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, log: Path, tmp_path: Path
) -> None:
    """Packed, plain, and from standard input."""
    packed = tmp_path / "app.log.1.gz"
    packed.write_bytes(gzip.compress(line(event(10))))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line(event(11)))))
    assert asked(capsys, packed, log, "-")[1]["outcomes"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.log"], "file 'nowhere.log' cannot be read to its end (No such file or directory)"),
        (["-", "--delay", "busy"], "delay 'busy' is no CAUSE=SECONDS; write for example --delay busy=300"),
        (["-", "--delay", "bored=3"], "redial: delays names 'bored', which is no cause; there are "),
        (["-", "--max-attempts", "0"], "argument --max-attempts: '0' is no number of things"),
        (["-", "--overrides", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["sqlite:///nowhere.db"], "there is no store in "),
        (["sqlite:///broken.db"], "broken.db: file is not a database"),
        ([], "the following arguments are required: LOGFILE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    """One line names the value, the rule and the remedy; a store that cannot be read is no change."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main(["whatif", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"ringback whatif: {message}")
    assert captured.err.count("\n") == 1


def test_a_redial_is_of_calls_alone() -> None:
    """A repeated operation is none, nor what is of no class that is known."""
    assert PLAIN.seconds("busy", "later", "repeat_operation", 0.0) is None
    assert PLAIN.seconds("busy", "someday", "place_call", 0.0) is None
    assert PLAIN.seconds("busy", "never", "place_call", 0.0) is None
    assert PLAIN.seconds("busy", "later", "place_call", 7200.0) == 7200.0
    assert classify(None, 486, 560486).retry_action == "place_call"
