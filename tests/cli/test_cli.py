"""The command line: each command, its whole output, its exit codes and its messages."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ringback
from ringback import Catalog, classify
from ringback.cli import main
from ringback.cli._demo import command_name
from ringback.cli._explain_text import MOST, page
from ringback.cli.demo import POSTINGS
from ringback_catalog import CALL_EVENTS, source_lines

if TYPE_CHECKING:
    from ringback_catalog import Entry

EXAMPLE = "write for example: ringback explain 486 560486"
EXAMPLE_OF_SIP = "write for example: ringback explain --sip 486 486 560486"

OVERRIDES = """
[[entry]]
code = 486
subcode = 560486
retry = "now"
summary = "Besetzt: der Müller spricht."
advice = ["Call a | b at once.", "Then <wait>."]
note = "First line.\\nSecond line."

[[entry]]
code = 299
subcode = 5
cause = "limit_reached"
retry = "later"
summary = "A code of our own."
"""

OWN_ROW = """
[[entry]]
code = 499
subcode = 4242
events = ["AnswerFailed"]
cause = "declined"
category = "ExpectedError"
retry = "never"
owner = "callee"
summary = "The person called sent the call away with our own app."
advice = ["Write it down in the list of calls that are over.", "Do not call this person again by machine."]
note = "One document says this, another one says that, and a third says nothing."
"""

PAGE = """\
499/4242  declined  terminal (never)
The person called sent the call away with our
own app.
  call again  no (retry_action none)
  event       AnswerFailed, the end of a call
  carrier     SIP 603, Q.850 21
  category    ExpectedError (inferred),
              confidence high
  owner       callee: the person or device
              called
  matched by  exact: event, code and subcode
  row         override o.toml: entry 1 (event
              AnswerFailed, code 499, subcode
              4242)
  read as     AnswerFailed
What to do
  1. Write it down in the list of calls that
     are over.
  2. Do not call this person again by machine.
https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/voice-video-calling/\
troubleshooting-codes
"""

WHOLE_PAGE = """\
499/4242  declined  terminal (never)
The person called sent the call away with our
own app.

  call again  no (retry_action none)
  event       AnswerFailed, the end of a call
  carrier     SIP 603, Q.850 21
  category    ExpectedError (inferred),
              confidence high
  owner       callee: the person or device
              called
  matched by  exact: event, code and subcode
  row         override o.toml: entry 1 (event
              AnswerFailed, code 499, subcode
              4242)
  read as     AnswerFailed

What to do
  1. Write it down in the list of calls that
     are over.
  2. Do not call this person again by machine.

Where the documents disagree
  One document says this, another one says
  that, and a third says nothing.

Sources
  - override (local), o.toml: entry 1 (event
    AnswerFailed, code 499, subcode 4242)

https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/voice-video-calling/\
troubleshooting-codes
"""


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    file = tmp_path / "ours.toml"
    file.write_text(OVERRIDES, "utf-8")
    return file


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["explain", "--json", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def verdict(outcome: dict[str, Any]) -> dict[str, Any]:
    """All of an outcome but the code as given, which is a part of its id."""
    return {name: value for name, value in outcome.items() if name not in ("code", "outcome_id")}


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """The key and value block of a page."""
    assert main(["explain", "--sources", *arguments]) == 0
    block = capsys.readouterr().out.split("\n\n")[1]
    return {line[:14].strip(): line[14:] for line in block.splitlines()}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of bad input, which is all that is printed."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("command", "option"),
    [
        *(("calls list", option) for option in ("--event", "--contact", "--search", "--cause", "--code", "--since")),
        *(("redials list", option) for option in ("--hook", "--contact", "--cause", "--due")),
        *((f"dead {name}", option) for name in ("list", "replay") for option in ("--hook", "--contact", "--code")),
    ],
)
def test_an_empty_filter_is_refused(capsys: pytest.CaptureFixture[str], command: str, option: str) -> None:
    """It would find nothing, and say so as if that were the answer: a variable of a script was not set."""
    for value in ("", " "):
        message = refused(capsys, *command.split(), option, value)
        assert message.startswith(f"ringback {command}: argument {option}: ")


# explain


def test_the_page_is_laid_out_within_the_terminals_width(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headline, summary, facts, advice, sources in short, and the link, which alone is never broken; all if asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "46")
    (tmp_path / "o.toml").write_text(OWN_ROW, "utf-8")
    arguments = ["499", "4242", "--event", "Microsoft.Communication.AnswerCallFailed", "--sip", "603", "--q850", "21"]
    assert main(["explain", "--overrides", "o.toml", *arguments]) == 0
    assert capsys.readouterr().out == PAGE
    assert main(["explain", "--overrides", "o.toml", "--sources", *arguments]) == 0
    assert capsys.readouterr().out == WHOLE_PAGE


@pytest.mark.parametrize("columns", ["5", "40", "53", "80", "300"])
def test_no_line_but_the_link_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """A page is at least 40 and at most 100 columns wide, and else as wide as the terminal."""
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["explain", "403", "510403"]) == 0
    *lines, link = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= max(40, min(100, int(columns)))
    assert link == classify(None, 403, 510403).documentation


FACTS = {
    "a pair": (
        ["486", "560486"],
        {
            "call again": "place_call in 10 minutes or more, then 2 times as long each time",
            "event": "any: read as the end of a call",
            "category": "Success (documented), confidence high",
            "owner": "callee: the person or device called",
            "matched by": "pair: code and subcode, whatever the event",
            "row": "code 486, subcode 560486",
        },
    ),
    "another spelling of a pair": (
        ["497", "560487"],
        {
            "call again": "no (retry_action none)",
            "event": "any: read as the end of a call",
            "category": "Success (documented), confidence medium",
            "owner": "nobody: it ended as intended",
            "matched by": "pair: code and subcode, whatever the event",
            "row": "code 487, subcode 560487",
            "read as": "487/560487",
        },
    ),
    "refined by the carrier": (
        ["500", "560503", "--sip", "486", "--q850", "17", "--event", "CallDisconnected"],
        {
            "call again": "place_call in 10 minutes or more",
            "event": "CallDisconnected, the end of a call",
            "carrier": "SIP 486, Q.850 17",
            "category": "Success (inferred), confidence high",
            "owner": "callee: the person or device called",
            "matched by": "pair: code and subcode, whatever the event",
            "refined by": "q850: the carrier's Q.850 cause, which says more than the subcode",
            "row": "q850 17",
        },
    ),
    "an operation": (
        ["400", "8535", "--event", "playfailed"],
        {
            "call again": "no (retry_action none)",
            "event": "PlayFailed, an operation within a call",
            "category": "UnexpectedClientError (inferred), confidence high",
            "owner": "app: whoever develops your app",
            "matched by": "exact: event, code and subcode",
            "row": "event PlayFailed, code 400, subcode 8535",
        },
    ),
    "they had called": (
        ["487", "10004", "--event", "AnswerFailed"],
        {
            "call again": "call_back: they had called; a person decides",
            "event": "AnswerFailed, the end of a call",
            "category": "ExpectedError (documented), confidence medium",
            "owner": "app: whoever develops your app",
            "matched by": "exact: event, code and subcode",
            "row": "event AnswerFailed, code 487, subcode 10004",
        },
    ),
    "a family of subcodes": (
        ["404", "549123"],
        {
            "call again": "no (retry_action none)",
            "event": "any: read as the end of a call",
            "category": "UnexpectedServerError (inferred), confidence low",
            "owner": "carrier: the carrier or the SBC's operator",
            "matched by": "sip_subcode: the family 549xxx of the subcode",
            "row": "subcode 549xxx",
        },
    ),
    "a range": (
        ["499"],
        {
            "call again": "no (retry_action none)",
            "event": "any: read as the end of a call",
            "category": "UnexpectedClientError (inferred), confidence low",
            "owner": "app: whoever develops your app",
            "matched by": "range: only the range 400-499 of the code; neither code nor subcode is listed",
            "row": "code 400-499",
        },
    ),
    "a code alone": (
        ["403"],
        {
            "call again": "no (retry_action none)",
            "event": "any: read as the end of a call",
            "category": "UnexpectedClientError (inferred), confidence high",
            "owner": "admin: whoever runs the resource, the numbers or the SBC",
            "matched by": "code: the code alone",
            "row": "code 403",
        },
    ),
    "a code with a subcode that is not listed": (
        ["200", "99", "--event", "CreateCallFailed"],
        {
            "call again": "no (retry_action none)",
            "event": "CreateCallFailed, the end of a call",
            "category": "Unknown (inferred), confidence low",
            "owner": "app: whoever develops your app",
            "matched by": "code: the code alone; the subcode is not listed",
            "refined by": "event: the event's name, which outranks the code",
            "row": "event CreateCallFailed, special contradicted",
        },
    ),
    "nothing": (
        ["999", "123"],
        {
            "call again": "no (retry_action none)",
            "event": "any: read as the end of a call",
            "category": "Unknown (inferred), confidence low",
            "owner": "app: whoever develops your app",
            "matched by": "none: no row knows the code or the subcode",
            "row": "special unknown",
        },
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), FACTS.values(), ids=FACTS.keys())
def test_the_page_says_in_words_how_the_verdict_was_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: dict[str, str]
) -> None:
    """An unknown pair is not an error: the page shows the fallback, and the rung of the ladder it rests on."""
    monkeypatch.setenv("COLUMNS", "100")
    assert facts(capsys, *arguments) == expected


ENTRIES = Catalog.default().entries
EVENTS = (None, *sorted(CALL_EVENTS), "PlayFailed", "RecognizeCompleted", "MadeUp")


@pytest.mark.parametrize("entries", [ENTRIES[at::8] for at in range(8)], ids=range(8))
def test_a_page_has_20_lines_at_most(entries: tuple[Entry, ...]) -> None:
    """For every entry with its events, or with any, at 80 columns; the sources a line each, or said to be left."""
    for entry in entries:
        key = entry.key
        code = key.code if key.codes is None else key.codes.low
        subcode = int(key.pattern.replace("x", "1")) if key.pattern is not None else key.subcode
        details = {} if key.kind not in ("sip", "q850") else {key.kind: key.sip or key.q850}
        for event in key.events or EVENTS:
            outcome = classify(event, 500 if details else code, 560500 if details else subcode, **details)
            lines = list(page(outcome, Catalog.default(), 80))
            assert len(lines) <= MOST
            assert max(map(len, lines[:-1])) <= 80
            assert lines[-1] == outcome.documentation
            told = source_lines(outcome.verdict.entry.sources)
            shown = sum(line.startswith("  source ") for line in lines)
            room = MOST - sum(not line.startswith(("  source ", "  --sources ")) for line in lines if line)
            assert shown == len(told) or any(line.startswith("  --sources ") for line in lines) or not room


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("pair", [(None, None), (999, 123), (403, 9999), (499, 4242), (500, 511404), (0, 0), (None, 5)])
def test_a_page_of_an_unknown_pair_has_20_lines_at_most(event: str | None, pair: tuple[int | None, int | None]) -> None:
    """Also with whatever a carrier adds."""
    for sip, q850 in ((None, None), (603, 21), (486, 17), (404, 1)):
        assert len(list(page(classify(event, *pair, sip=sip, q850=q850), Catalog.default(), 80))) <= MOST


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["486/560486"], (486, 560486)),
        (["486#560486"], (486, 560486)),
        (["486#560486.@"], (486, 560486)),
        ([" 486 560486 "], (486, 560486)),
        (["486:560486"], (486, 560486)),
        (["0/560000"], (0, 560000)),
        (["-1/-5"], (-1, -5)),
        (["DiagCode: 486#560486.@"], (486, 560486)),
        (["DiagCode:", "486#560486.@"], (486, 560486)),
        (["Busy here. DiagCode: 486#560486.@"], (486, 560486)),
        (["addParticipants failed for participant x. Underlying reason: diagcode 603#0."], (603, 0)),
        (["code 486 subcode 560486"], (486, 560486)),
        (["Code=486, subCode=560486"], (486, 560486)),
        (['{"code": 487, "subCode": 10004}'], (487, 10004)),
        (['{"Code": "487", "SubCode": "10004", "message": "x"}'], (487, 10004)),
        (['{"resultInformation": {"code": 487, "subCode": 10004}, "callConnectionId": "x"}'], (487, 10004)),
        (['{"data": {"resultInformation": {"code": 487, "subCode": 10004}}}'], (487, 10004)),
        (['{"code": 486}'], (486, None)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_result_is_named_as_it_is_met(
    capsys: pytest.CaptureFixture[str], arguments: list[str], numbers: tuple[int, int | None]
) -> None:
    """In the spelling of logs, of Microsoft's messages and of the event itself, as with two numbers."""
    event = ["--event", "AnswerFailed"]
    told = explained(capsys, *event, "--", *arguments)
    wanted = classify("AnswerFailed", *numbers).to_dict()
    differ = {"message", "outcome_id"}
    assert {name: told[name] for name in told.keys() - differ} == {
        name: wanted[name] for name in wanted.keys() - differ
    }


def test_details_in_json_count(capsys: pytest.CaptureFixture[str]) -> None:
    """A carrier's words too: only they tell a block from a refusal."""
    content = {"code": 603, "subCode": 0, "sipDetails": {"code": 603, "message": "Network Blocked"}, "q850": 21}
    told = explained(capsys, "--event", "CreateCallFailed", json.dumps(content))
    expected = classify("CreateCallFailed", 603, 0, sip=(603, "Network Blocked"), q850=21).to_dict()
    assert told == expected


def test_several_results_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a delivery may hold: a line of JSON each, or a page each with a rule between them."""
    argument = json.dumps([{"code": 486, "subCode": 560486}, {"code": 603, "subCode": 0}])
    assert main(["explain", "--json", argument]) == 0
    assert [json.loads(line)["cause"] for line in capsys.readouterr().out.splitlines()] == ["busy", "declined"]
    assert main(["explain", argument]) == 0
    assert capsys.readouterr().out.count(f"\n\n{'-' * 80}\n\n") == 1


FORMS = (
    "486 560486, 486/560486, 486#560486, 'DiagCode: 486#560486.@', "
    """'{"code": 486, "subCode": 560486}', or the body of a delivery"""
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (['{"code": "x", "subCode": 1}'], f"code 'x' is not a whole number; {EXAMPLE}"),
        (['{"code": true, "subCode": 1}'], f"code 'true' is not a whole number; {EXAMPLE}"),
        (['{"code": 1, "sipDetails": {"code": 1.5}}'], f"sip '1.5' is not a whole number; {EXAMPLE_OF_SIP}"),
        (
            ["DiagCode: 99999999999#1"],
            f"code '99999999999' is larger than any code, which is at most 2147483647; {EXAMPLE}",
        ),
        (
            ['{"code": '],
            f"argument '{{\"code\": ' is no JSON (Expecting value: line 1 column 10 (char 9)); give {FORMS}",
        ),
        (['{"id": 1}'], f"argument '{{\"id\": 1}}' holds no result; give {FORMS}"),
        (["[]"], f"argument '[]' holds no result; give {FORMS}"),
        (["[" * 90_000], f"argument {'[' * 60!r} is no JSON (maximum recursion depth exceeded"),
        (
            ['{"code": 1}', "--sip", "486"],
            "--sip and --q850 go with a code; write sipDetails and q850Details into the JSON",
        ),
        (
            ['[{"type": "X"}]', "--event", "CallDisconnected"],
            "--event goes with a result; an event names its own type, so leave --event out",
        ),
    ],
    ids=range(10),
)
def test_a_result_that_is_none_is_said(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """Which value, what it should be, and how to write it."""
    assert refused(capsys, "explain", *arguments).startswith(f"ringback explain: {message}")


MUST_HOLD = {
    "487/10004 AnswerFailed": (
        ["487", "10004", "--event", "AnswerFailed"],
        {
            "cause": "no_answer",
            "disposition": "retryable",
            "retry_class": "later",
            "category": "ExpectedError",
            "match": "exact",
        },
    ),
    "486/560486": (["486", "560486"], {"cause": "busy", "disposition": "retryable", "category": "Success"}),
    "603/0": (["603", "0"], {"cause": "declined", "disposition": "terminal", "retry_class": "never"}),
    "0/560000": (["0", "560000"], {"cause": "hung_up", "disposition": "terminal", "code": 0}),
    "200/560000": (["200", "560000"], {"cause": "hung_up", "disposition": "terminal", "code": 200}),
    "497/560487": (["497", "560487"], {"cause": "canceled", "retry_class": "none", "match": "pair"}),
    "404/8522": (["404", "8522"], {"cause": "not_found"}),
    "405/8522": (["405", "8522"], {"cause": "misconfigured"}),
    "429/10110": (["429", "10110"], {"cause": "limit_reached"}),
    "500/560503 SIP 486 Q.850 17": (
        ["--sip", "486", "--q850", "17", "500", "560503"],
        {"cause": "busy", "disposition": "retryable", "owner": "callee", "refined_by": "q850"},
    ),
    "999/123": (["999", "123"], {"match": "none", "category": "Unknown", "disposition": "terminal"}),
    "200/5002 CreateCallFailed": (
        ["--event", "CreateCallFailed", "200", "5002"],
        {"cause": "declined", "category": "ExpectedError", "disposition": "terminal", "retry_class": "never"},
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), MUST_HOLD.values(), ids=MUST_HOLD.keys())
def test_the_verdicts_that_must_hold(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: dict[str, object]
) -> None:
    """What Ringback promises of the best known codes, as the command tells it."""
    outcome = explained(capsys, *arguments)
    assert {name: outcome[name] for name in expected} == expected


def test_0_and_200_are_one_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """The tables' code 0 is the wire's 200: only the code as given differs."""
    assert verdict(explained(capsys, "0", "560000")) == verdict(explained(capsys, "200", "560000"))


def test_497_is_read_as_487(capsys: pytest.CaptureFixture[str]) -> None:
    """An alias answers with its entry: only the code as given differs."""
    assert verdict(explained(capsys, "497", "560487")) == verdict(explained(capsys, "487", "560487"))


@pytest.mark.parametrize(
    ("arguments", "event", "numbers", "details"),
    [
        (["487", "10004", "--event", "AnswerFailed"], "AnswerFailed", (487, 10004), {}),
        (["500", "560503", "--sip", "486", "--q850", "17"], None, (500, 560503), {"sip": 486, "q850": 17}),
        (["-1", "-2147483647"], None, (-1, -2147483647), {}),
        (["+486"], None, (486, None), {}),
        (["--sip", "-5", "486", "-7"], None, (486, -7), {"sip": -5}),
        (["--", "-1"], None, (-1, None), {}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_json_is_the_outcome(
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    event: str | None,
    numbers: tuple[int, int | None],
    details: dict[str, int],
) -> None:
    """explain --json prints to_dict() of the outcome and nothing else; negative numbers are numbers."""
    assert main(["explain", "--json", *arguments]) == 0
    expected = classify(event, *numbers, **details).to_dict()  # type: ignore[arg-type]
    assert capsys.readouterr().out == json.dumps(expected, indent=2) + "\n"


LAST_WORD = """
[[entry]]
code = 503
subcode = 560503
retry = "never"

[[entry]]
code = 480
subcode = 560480
owner = "app"
"""


def test_an_override_that_has_the_last_word_is_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which row of which file, what the carrier's detail could not change, and what the row leaves to the detail."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("o.toml").write_text(LAST_WORD, "utf-8")
    ours = ["--overrides", "o.toml"]
    never = explained(capsys, *ours, "503/560503", "--q850", "17")
    row = "o.toml: entry 1 (code 503, subcode 560503)"
    assert (never["retry_class"], never["refined_by"], never["override"], never["unheard"]) == (
        "never",
        None,
        row,
        "q850",
    )
    shown = facts(capsys, *ours, "503/560503", "--sip", "486")
    assert shown["not heard"] == "sip: your override has the last word, unless it says refine = true"
    assert shown["row"] == f"override {row}"
    refined = explained(capsys, *ours, "480/560480", "--q850", "21")
    row = "o.toml: entry 2 (code 480, subcode 560480)"
    assert (refined["cause"], refined["owner"], refined["refined_by"], refined["override"]) == (
        "declined",
        "app",
        "q850",
        row,
    )
    assert "unheard" not in refined
    shown = facts(capsys, *ours, "480/560480", "--q850", "21")
    assert shown["row"] == f"override {row}, which states owner"
    assert "not heard" not in shown
    assert not {"override", "unheard"} & explained(capsys, "503/560503", "--q850", "17").keys()


def test_overrides_change_what_is_explained(capsys: pytest.CaptureFixture[str], overrides: Path) -> None:
    """With --overrides the answer is that of the overridden catalog."""
    catalog = Catalog.default().with_overrides(overrides)
    expected = classify(None, 486, 560486, catalog=catalog).to_dict()
    assert expected["retry_class"] == "now"
    assert explained(capsys, "--overrides", str(overrides), "486", "560486") == expected


@pytest.mark.parametrize(
    ("event", "hint"),
    [("CreateCalFailed", "; did you mean 'CreateCallFailed'?"), ("Zzz", "")],
    ids=["a slip of the pen", "unlike any"],
)
def test_an_unknown_event_is_explained_with_a_warning(
    capsys: pytest.CaptureFixture[str], event: str, hint: str
) -> None:
    """An unknown event is no error, since the service adds events; standard error says how it is read."""
    assert main(["explain", "--json", "--event", event, "486", "560486"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == classify(event, 486, 560486).to_dict()
    assert captured.err == f"ringback explain: event {event!r} is not known, so it is read as an operation{hint}\n"


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("explain abc", f"ringback explain: code 'abc' is not a whole number; {EXAMPLE}"),
        ("explain 486 4x", f"ringback explain: subcode '4x' is not a whole number; {EXAMPLE}"),
        ("explain 4.5", f"ringback explain: code '4.5' is not a whole number; {EXAMPLE}"),
        (
            "explain 486/x",
            "ringback explain: code '486/x' is neither a whole number nor a code with its subcode; " + EXAMPLE,
        ),
        ("explain 4_8", f"ringback explain: code '4_8' is not a whole number; {EXAMPLE}"),
        (
            "explain 486 --sip x",
            "ringback explain: sip 'x' is not a whole number; write for example: ringback explain --sip 486 486 560486",
        ),
        (
            "explain 486 --q850 9999999999",
            "ringback explain: q850 '9999999999' is larger than any code, which is at most 2147483647; "
            "write for example: ringback explain --q850 17 486 560486",
        ),
        (
            f"explain -{'9' * 5000}",
            "ringback explain: code '-9999999999999999999' is larger than any code, which is at most 2147483647; "
            f"{EXAMPLE}",
        ),
        (
            "explain",
            "ringback explain: the following arguments are required: CODE; see ringback explain --help",
        ),
        ("explain 1 2 3", "ringback explain: unrecognized arguments: 3; see ringback explain --help"),
        ("catalog diff page.md", "ringback catalog: unrecognized arguments: diff page.md; see ringback catalog --help"),
        (
            "explain --overrides /nowhere/o.toml 486",
            "ringback explain: /nowhere/o.toml: cannot be read (No such file or directory); name an existing TOML file",
        ),
        (
            "catalog --output /nowhere/c.json",
            "ringback catalog: output '/nowhere/c.json' cannot be written (No such file or directory); "
            "name a file in an existing folder",
        ),
        ("", "ringback: no command given; write for example: ringback explain 486 560486, or see ringback --help"),
    ],
    ids=lambda value: value[:40],
)
def test_bad_input_is_refused_with_the_remedy(capsys: pytest.CaptureFixture[str], arguments: str, message: str) -> None:
    """Exit code 2, nothing on standard output, and one line that names the value, the rule and the remedy."""
    assert refused(capsys, *arguments.split()) == f"{message}\n"


def test_no_secret_of_a_mistyped_option_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """The standard error of a container is a log, and its command may have the URL of a database."""
    assert refused(capsys, "store", "stats", "--stor", "postgresql://me:hush@host/db") == (
        "ringback store stats: unrecognized arguments: --stor postgresql://[secret]@host/db; "
        "see ringback store stats --help\n"
    )


def test_no_sign_of_an_argument_is_obeyed_by_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A shell that expands a name hands over whatever signs the name of a file has."""
    assert refused(capsys, "stats", "\x1b[2J.log") == (
        "ringback stats: file '\\x1b[2J.log' cannot be read to its end (No such file or directory)\n"
    )


@pytest.mark.parametrize("event", ["", " ", "Microsoft.Communication."])
@pytest.mark.parametrize("result", ["486", '{"code": 486}'])
def test_an_event_without_a_name_is_refused(capsys: pytest.CaptureFixture[str], result: str, event: str) -> None:
    """It was read as an unknown operation whose advice was to place a call."""
    message = f"argument --event: {event!r} names no event; write for example AnswerFailed, or leave it out"
    assert refused(capsys, "explain", result, "--event", event) == (
        f"ringback explain: {message}; see ringback explain --help\n"
    )


@pytest.mark.parametrize(
    ("arguments", "prog"),
    [("expl", "ringback"), ("catalog --format xml", "ringback catalog"), ("explain --jso 486", "ringback explain")],
)
def test_what_no_command_knows_is_refused(capsys: pytest.CaptureFixture[str], arguments: str, prog: str) -> None:
    """A command, format or option that does not exist is bad input, and the message leads to the command's help."""
    message = refused(capsys, *arguments.split())
    assert message.startswith(f"{prog}: ")
    assert message.endswith(f"; see {prog} --help\n")


# Help and version


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the name and the version of the distribution."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ringback {version('ringback')}\n"


def test_the_package_runs_as_a_module(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """python -m ringback is the command, and its exit code that of the process."""
    assert importlib.import_module("ringback.__main__").main is main
    monkeypatch.setattr(sys, "argv", ["ringback", "--version"])
    with pytest.raises(SystemExit) as done:
        # By its path: pytest rewrites the modules of a distribution that has a plugin, and cannot run one by name.
        runpy.run_path(str(Path(ringback.__file__).with_name("__main__.py")), run_name="__main__")
    assert done.value.code == 0
    assert capsys.readouterr().out == f"ringback {version('ringback')}\n"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ([], ["explain", "catalog", "demo", "--version", "example: ringback explain 486 560486"]),
        (
            ["explain"],
            ["CODE", "SUBCODE", "--event E", "--sip N", "--q850 N", "--overrides FILE", "--json", "--sources"],
        ),
        (
            ["whatif"],
            ["LOGFILE", "--overrides FILE", "--router MODULE:ROUTER", "--delay CAUSE=SECONDS", "Exit codes: 0"],
        ),
        (["whatif"], ["--call-back", "--max-attempts N", "--limit N", "--json"]),
        (["trigger"], ["SCENARIO", "--event E", "--sip N", "--q850 N", "--to URL"]),
        (["catalog"], ["--format {json,markdown,csv,html}", "--output FILE", "--out DIR", "--overrides FILE"]),
        (["demo"], ["--app FILE", "--json-logs"]),
        (["worker"], ["MODULE:ROUTER", "--store URL", "--concurrency N", "--drain SECONDS"]),
        (["dead"], ["list", "show", "replay", "discard"]),
        (["dead", "list"], ["--store URL", "--json", "--limit N"]),
        (["dead", "replay"], ["KEY", "--all", "--cause", "--hook", "--since", "--dry-run", "--limit", "--store URL"]),
        (
            ["redials"],
            ["list", "show", "run-now", "cancel", "block", "unblock", "report", "--store URL", "--json"],
        ),
        (["redials", "run-now"], ["KEY", "hours, caps, may_call and the pace still decide when it is placed"]),
        *(
            (["redials", command], ["CONTACT", "--router MODULE:ROUTER", "--store URL", "--json"])
            for command in ("cancel", "block", "unblock")
        ),
        (["store"], ["stats", "purge"]),
    ],
    ids=lambda value: " ".join(value) if len(value) < 3 else "",
)
def test_help_names_every_argument(capsys: pytest.CaptureFixture[str], command: list[str], named: list[str]) -> None:
    """--help is complete, and good."""
    assert main([*command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert [each for each in named if each not in text] == []


# demo


@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--app", "app.py"]], ids=" ".join)
def test_a_missing_uvicorn_is_a_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Without uvicorn the demo says what to install, and exits with 1."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(arguments) == 1
    assert capsys.readouterr() == ("", "ringback demo: uvicorn is not installed; run: pip install 'ringback[demo]'\n")


@pytest.mark.parametrize(
    ("program", "found", "command"),
    [
        ("/app/.venv/bin/ringback", "/app/.venv/bin/ringback", "ringback"),
        ("/app/.venv/bin/ringback", "/usr/bin/ringback", "/app/.venv/bin/ringback"),
        (".venv/bin/ringback", None, ".venv/bin/ringback"),
        ("my apps/.venv/bin/ringback", None, "'my apps/.venv/bin/ringback'"),
        ("/app/ringback/__main__.py", "/usr/bin/ringback", "/usr/bin/python3 -m ringback"),
    ],
)
def test_the_demo_names_commands_that_work_as_written(program: str, found: str | None, command: str) -> None:
    """`make demo` starts a command that is not on the PATH."""
    assert command_name(program, "/usr/bin/python3", found) == command


def test_a_missing_uvicorn_matters_to_no_other_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn is an extra: what does not need it runs without it."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert explained(capsys, "603", "0") == classify(None, 603, 0).to_dict()


def test_an_app_that_is_none_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that does not exist is named, with what it should hold."""
    assert refused(capsys, "demo", "--app", "nowhere.py") == (
        "ringback demo: app 'nowhere.py' is no Python file; name a file with create_app()\n"
    )


def test_the_demo_exits_with_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A demo that ran is good, whatever the app's hooks are."""
    app = tmp_path / "bare.py"
    app.write_text(
        "from starlette.applications import Starlette\n\n\ndef create_app() -> Starlette:\n    return Starlette()\n",
        "utf-8",
    )
    assert main(["demo", "--app", str(app)]) == 0
    assert capsys.readouterr().out.count("<- 404 Not Found") == len(POSTINGS)


@pytest.mark.parametrize(
    ("code", "subcode"),
    [
        ("486", "560486"),
        ("500", "511404"),
        ("480", "560499"),
        ("480", "8522"),
        ("503", "1"),
        ("599", "1"),
        ("999", "1"),
    ],
)
def test_every_rung_has_words(code: str, subcode: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The page says how the answer was found, whichever rung it was."""
    assert main(["explain", code, subcode]) == 0
    assert "match" in capsys.readouterr().out


def test_a_status_may_have_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    """They tell a block from a refusal, and stand in the log line as the carrier wrote them."""
    causes = []
    for given in ("603", "603 Network Blocked", " 603  network-blocked "):
        assert main(["explain", "--json", "603", "0", "--event", "CreateCallFailed", "--sip", given]) == 0
        causes.append(json.loads(capsys.readouterr().out)["cause"])
    assert causes == ["declined", "blocked", "blocked"]
    assert main(["explain", "603", "0", "--sip", "Network Blocked"]) == 2
