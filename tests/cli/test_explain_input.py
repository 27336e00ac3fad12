"""``ringback explain`` without a code: deliveries and log lines from standard input, and what holds neither."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from ringback import Catalog, classify
from ringback.cli import main
from ringback.cli._explain_text import page
from ringback.cli._outcomes import outcomes
from ringback.cli.reading import frames
from ringback.cli.reading.frames import found_in
from ringback.core.events import parse_delivery
from ringback.core.outcome import classify_event

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
EVENT = {
    "id": "1f0e5c1a-0000-4000-8000-00000000000e",
    "source": f"calling/callConnections/{LEG}",
    "type": "Microsoft.Communication.CallDisconnected",
    "time": "2026-01-15T09:30:00Z",
    "data": {
        "callConnectionId": LEG,
        "operationContext": "reminder-17",
        "resultInformation": {
            "code": 486,
            "subCode": 560486,
            "message": "Busy here. Callee +15550100.",
            "sipDetails": {"code": 486, "message": "Busy Here"},
            "q850Details": {"code": 17, "message": "User busy"},
        },
    },
}
RESULTLESS = EVENT | {"data": {"callConnectionId": LEG}}
CONNECTED = EVENT | {"type": "Microsoft.Communication.CallConnected", "data": {"callConnectionId": LEG}}
NOTHING = (
    "ringback explain: standard input holds no outcome; give it a delivery's body (a JSON array of CloudEvents, or "
    "one) or a log with call.outcome lines, or name a code: ringback explain 486 560486\n"
)
NO_LINE = (
    "ringback explain: {} not read: no JSON object and no line of Ringback's; the first is line {} of standard input\n"
)
BROKEN = "ringback explain: {} not read: JSON that is cut or broken; the first is line {} of standard input\n"


class Piped(io.TextIOWrapper):
    def __init__(self, content: bytes, *, terminal: bool = False) -> None:
        self._terminal = terminal
        super().__init__(io.BytesIO(content))

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What ``explain --json`` prints for this on standard input."""

    def explained(content: bytes | str, *arguments: str, not_read: str = "") -> list[dict[str, Any]]:
        content = content.encode() if isinstance(content, str) else content
        monkeypatch.setattr("sys.stdin", Piped(content))
        status = main(["explain", "--json", *arguments])
        captured = capsys.readouterr()
        assert (status, captured.err) == ((0, not_read) if captured.out else (1, not_read + NOTHING))
        return [json.loads(line) for line in captured.out.splitlines()]

    return explained


def expected(event: dict[str, Any] = EVENT) -> dict[str, Any]:
    (parsed,) = parse_delivery(json.dumps(event)).events
    outcome = classify_event(parsed)
    assert outcome is not None
    return outcome.to_dict()


def logged(event: dict[str, Any] = EVENT, **more: Any) -> str:
    """Its line, as Ringback's own log writes it."""
    return json.dumps({"timestamp": "2026-01-15T09:30:01Z", "event": "call.outcome", **expected(event), **more})


DUPLICATE = json.dumps({"event": "call.outcome_duplicate", "event_type": EVENT["type"], "event_id": EVENT["id"]})


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([EVENT]),
        json.dumps(EVENT),
        json.dumps([EVENT], indent=2),
        f"\n\n{json.dumps(EVENT, indent=2)}\n",
        json.dumps([CONNECTED, EVENT]),
        logged(),
        f"app-1  | {logged()}",
        f"Started.\n{logged()}\n{DUPLICATE}\n{{}}\n[1]\nnull\n",
        json.dumps([json.loads(logged())]),
        json.dumps(json.loads(logged()), indent=2),
        json.dumps(expected(), indent=2),
        logged(msg="call.outcome").replace('"event": "call.outcome", ', ""),
    ],
)
def test_an_outcome_is_found_in_every_dress(told: Any, content: str) -> None:
    """A delivery, an event, log lines, explain's own JSON and jq's: the same object, redacted."""
    assert told(content) == [expected()]


def test_what_is_cut_hides_nothing_else(told: Any) -> None:
    """It is said, and what follows is read."""
    assert told('{\n"cut": \n' + json.dumps(EVENT, indent=2), not_read=BROKEN.format(1, 1)) == [expected()]


def test_every_outcome_is_explained_in_order(told: Any) -> None:
    """From several values in several lines, also from an event without a result."""
    content = f"{json.dumps(EVENT, indent=1)}\n{json.dumps(RESULTLESS, indent=1)} {logged(RESULTLESS)}\n"
    assert told(content) == [expected(), expected(RESULTLESS), expected(RESULTLESS)]


@pytest.mark.parametrize(
    ("content", "not_read"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"hello", NO_LINE.format(1, 1)),
        (b"{", NO_LINE.format(1, 1)),
        (b"[" * 5000, NO_LINE.format(1, 1)),
        (b"[1,\n2]", NO_LINE.format(1, 1)),
        (json.dumps(CONNECTED).encode(), ""),
        (DUPLICATE.encode(), ""),
        (b'{"event_type": 5}', ""),
        (b'{"event_type": "\xff"\n}', ""),
        (b'{"n":\n' + b"1" * 5000 + b"}", BROKEN.format(1, 1) + NO_LINE.format(1, 2)),
        (b'{"event": "call.outcome", "cause": "bu', BROKEN.format(1, 1)),
    ],
)
def test_nothing_found_is_said(told: Any, content: bytes, not_read: str) -> None:
    """Exit code 1, why what was given could not be read, and one line that says what to give."""
    assert told(content, not_read=not_read) == []


@pytest.mark.parametrize(
    "content",
    [
        "486#560486",
        "486 560486\n",
        "Busy here. DiagCode: 486#560486.@",
        '"Busy here. DiagCode: 486#560486.@"',
        '{"code": 486, "subCode": 560486}',
        '{\n  "code": 486,\n  "subCode": "560486"\n}',
        '[{"code": 486, "subCode": 560486}]',
        'Started.\n{"level": "info", "code": 200, "subCode": 1}\n12\n2026-01-15 10 DiagCode: 486#560486.@\n{"code"\n',
    ],
)
def test_a_result_alone_is_read(told: Any, content: str) -> None:
    """As explain's own argument is; a line of something else is passed over."""
    (outcome,) = told(content)
    assert (outcome["code"], outcome["subcode"], outcome["cause"]) == (486, 560486, "busy")


@pytest.mark.parametrize(
    "detail",
    ['"sipDetails": "603 Decline"', '"sip_details": {"code": "SIP;cause=603"}', '"q850Details": "21 Call Rejected"'],
)
def test_a_result_alone_is_read_as_on_the_wire(told: Any, detail: str) -> None:
    """A carrier's detail may be a text of SIP, and an empty text is no value."""
    (outcome,) = told(f'{{"code": 480, "subCode": "", {detail}}}')
    assert (outcome["code"], outcome["subcode"], outcome["cause"]) == (480, None, "declined")


def test_a_result_without_an_event_has_no_ids(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its page begins with the verdict."""
    monkeypatch.setattr("sys.stdin", Piped(b"486#560486"))
    assert main(["explain"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "486/560486  busy  retryable (later)"


def test_no_text_of_a_sender_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a number in the name of an event, nor a sign in an id that a terminal obeys."""
    data = {"callConnectionId": "<\x1b[2J>", "resultInformation": {"code": 486, "subCode": 560486}}
    content = json.dumps([EVENT | {"type": "Call +1 555 010 0199 ended", "data": data}])
    monkeypatch.setattr("sys.stdin", Piped(content.encode()))
    assert main(["explain"]) == 0
    shown = capsys.readouterr().out
    assert "  event       Call [phone] ended, an operation within a call\n" in shown
    assert shown.replace("\n", "").isprintable()


def test_pages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One for each outcome, below its id and time, with a rule between them."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdin", Piped(f"{logged()}\n{logged(RESULTLESS, occurred_at=None)}\n".encode()))
    assert main(["explain"]) == 0
    first, second = capsys.readouterr().out.split(f"\n\n{'-' * 60}\n\n")
    assert first.splitlines()[:3] == [
        f"call:{LEG}  2026-01-15T09:30:00+00:00",
        "486/560486  busy  retryable (later)",
        "The person called was on another call.",
    ]
    assert "+1555" not in first
    assert second.splitlines()[0] == f"call:{LEG}"
    assert second.splitlines()[-1] == expected(RESULTLESS)["documentation"]


def test_overrides_hold(told: Any, tmp_path: Any) -> None:
    """A log line is judged anew, by the catalog of today."""
    (tmp_path / "o.toml").write_text('[[entry]]\ncode = 486\nsubcode = 560486\nretry = "now"\n', "utf-8")
    (outcome,) = told(logged(), "--overrides", str(tmp_path / "o.toml"))
    assert outcome["retry_class"] == "now"


@pytest.mark.parametrize("stdin", [Piped(b"", terminal=True), None])
def test_a_person_at_a_terminal_is_not_kept_waiting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stdin: Any
) -> None:
    """Without anything piped the code is missing, as ever."""
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["explain"]) == 2
    message = "ringback explain: the following arguments are required: CODE; see ringback explain --help\n"
    assert capsys.readouterr() == ("", message)
    assert main(["explain", "486", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == classify(None, 486, None).to_dict()


def test_a_dash_is_standard_input(
    told: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for `ringback stats` and `ringback whatif`; at a terminal a dash is no code."""
    assert told(logged(), "-") == told(logged())
    monkeypatch.setattr("sys.stdin", Piped(b"", terminal=True))
    assert main(["explain", "-"]) == 2
    message = "code '-' is not a whole number; write for example: ringback explain 486 560486"
    assert capsys.readouterr() == ("", f"ringback explain: {message}\n")


def test_options_of_a_code_need_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """They would say nothing of what is read."""
    monkeypatch.setattr("sys.stdin", Piped(b""))
    assert main(["explain", "--sip", "486"]) == 2
    message = "--event, --sip and --q850 need a code; write for example: ringback explain --sip 486 500"
    assert capsys.readouterr() == ("", f"ringback explain: {message}\n")


def test_a_value_too_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What goes over several lines is read whole, so it has a limit."""
    monkeypatch.setattr(frames, "MOST", 10)
    monkeypatch.setattr("sys.stdin", Piped(b'{\n"n":\n' + b" " * 20))
    assert main(["explain"]) == 2
    message = "standard input: values over several lines are longer than 10 bytes; write each JSON value on one line"
    assert capsys.readouterr() == ("", f"ringback explain: {message}\n")


def test_a_stream_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is as good as none: the code is missing."""

    class Broken(io.BytesIO):
        def readline(self, *_: object) -> bytes:
            raise OSError("gone")

    stdin = Piped(b"")
    monkeypatch.setattr(Piped, "buffer", Broken(), raising=False)
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["explain"]) == 2
    message = "ringback explain: the following arguments are required: CODE; see ringback explain --help\n"
    assert capsys.readouterr() == ("", message)


def test_a_line_about_a_stream_is_explained_by_the_services_own_word() -> None:
    """As its delivery is: the word stands in both."""
    place = Path(__file__).parents[1] / "payloads" / "mediastreamingfailed-authenticationfailure.json"
    ((told, _),) = outcomes(found_in([place.read_bytes()]), Catalog.default())
    line = json.dumps({"event": "call.outcome", **told.to_dict()}).encode()
    ((heard, _),) = outcomes(found_in([line]), Catalog.default())
    assert (heard.cause, heard.refined_by, heard.status_details) == (
        "unauthenticated",
        "status",
        "authenticationFailure",
    )
    assert heard.to_dict() == told.to_dict()
    assert "authenticationFailure" in "\n".join(page(heard, Catalog.default(), 100))


def test_a_line_that_is_cut_is_no_result() -> None:
    """Its code without its verdict is not looked up anew: the verdict may have been another."""
    assert list(outcomes(found_in([b"call.outcome code=486"]), Catalog.default())) == []


@pytest.mark.parametrize(
    ("given", "head"),
    [
        ('{"code": null}', "-"),
        ('{"code": null, "subCode": 0}', "-/0"),
        ('{"subCode": 560486}', "-/560486"),
        ("The call ended by callee [id]. DiagCode: 486#560486.@", "486/560486"),
        ('{"code": 487, "subCode": 10004}', "487/10004"),
    ],
)
def test_an_absent_number_is_a_dash(capsys: pytest.CaptureFixture[str], given: str, head: str) -> None:
    """The page begins with the pair as it was given, and never with Python's word for nothing."""
    assert main(["explain", given]) == 0
    shown = capsys.readouterr().out
    assert shown.split()[0] == head
    assert "None" not in shown
