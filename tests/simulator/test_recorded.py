"""A recording of a real app's deliveries holds nothing private, and replays with the ids of its own call."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.exceptions import ConfigurationError
from ringback.simulator import Simulator
from ringback.simulator.recordings.lines import Line, read, written
from ringback.simulator.recordings.pseudonyms import HIDDEN, Pseudonyms
from ringback.simulator.recordings.replay import played_calls, whole_calls
from ringback.simulator.scenarios import Scenario, Step
from ringback.simulator.trigger import trigger
from ringback.testing import call_connected, call_disconnected, recognize_completed
from ringback.testing.calls import Call
from ringback.testing.events import BUILDERS

PAYLOADS = sorted((Path(__file__).parents[1] / "payloads").glob("*.json"))
NUMBER, USER = "+15550100001", "8:acs:1f0e5c1a-0000-4000-8000-000000000001_2a0d7b3c-0000-4000-8000-000000000001"
CALL = Call(caller=NUMBER, callee=USER, operation_context="Zoë's order")
GUID = re.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}")


def lines_of(path: Path, *lines: tuple[float, dict[str, Any]]) -> Path:
    """A recording of single events, as the recorder writes it."""
    pseudonyms = Pseudonyms(texts=True)
    path.write_bytes(b"".join(written(Line(at, [pseudonyms.event(event)], 200)) for at, event in lines))
    return path


@pytest.mark.parametrize("name", sorted(BUILDERS))
@pytest.mark.parametrize("texts", [False, True])
def test_no_event_keeps_an_id_or_a_number(name: str, texts: bool) -> None:
    """Of every kind, with and without the texts: what joins events is a stand-in, and what differs differs."""
    event = BUILDERS[name](call=CALL)
    told = Pseudonyms(texts=texts).event(event)
    text = json.dumps(told)
    own = [event["id"], CALL.call_connection_id, CALL.server_call_id, CALL.correlation_id, CALL.recording_id]
    assert [each for each in [*own, NUMBER, NUMBER[1:], USER] if each in text] == []
    assert GUID.search(text) is None
    assert told["type"] == event["type"]
    assert re.fullmatch(r"call-\d", told["data"]["callConnectionId"])
    assert {key.lower() for key in told} == {key.lower() for key in event} - {"time"}
    assert ("Zoë" in json.dumps(told, ensure_ascii=False)) is (texts and BUILDERS[name].context == "call")


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_no_recorded_payload_keeps_an_id_or_a_number(path: Path) -> None:
    """Of Call Automation and of Event Grid, in any case of the keys."""
    content = json.loads(path.read_text("utf-8"))
    for event in content if isinstance(content, list) else [content]:
        text = json.dumps(Pseudonyms().event(event))
        assert GUID.search(text) is None
        assert re.search(r"\+?1555\d|8:acs:|aHR0c|Zo", text) is None


def test_the_same_id_has_the_same_stand_in_in_all_events_of_a_recording() -> None:
    """So a replay hangs together. A number is one participant in every spelling."""
    pseudonyms = Pseudonyms()
    first, second = (pseudonyms.event(BUILDERS["ParticipantsUpdated"](call=CALL)) for _ in range(2))
    other = pseudonyms.event(call_connected(call=Call()))
    assert {**first, "id": "event-2"} == second
    ids = ("callConnectionId", "serverCallId", "correlationId")
    assert [first["data"][key] for key in ids] == ["call-1", "server-call-1", "correlation-1"]
    assert [other["data"][key] for key in ids] == ["call-2", "server-call-2", "correlation-2"]
    assert first["source"] == first["subject"] == "calling/callConnections/call-1"
    assert [each["identifier"] for each in first["data"]["participants"]] == [
        {"rawId": "participant-1", "kind": "phoneNumber", "phoneNumber": {"value": "participant-1"}},
        {"rawId": "participant-2", "kind": "communicationUser", "communicationUser": {"id": "participant-2"}},
    ]


def test_what_was_said_stays_only_if_asked() -> None:
    """Words, keys and contexts of the app; numbers in them never."""
    said = recognize_completed(
        call=CALL,
        operation_context="ask",
        recognition_type="speech",
        dtmf_result=None,
        speech_result={"speech": f"call me at {NUMBER}", "confidence": 0.9},
    )
    data = Pseudonyms().event(said)["data"]
    assert (data["speechResult"], data["operationContext"]) == ({"speech": HIDDEN, "confidence": 0.9}, HIDDEN)
    data = Pseudonyms(texts=True).event(said)["data"]
    assert (data["speechResult"]["speech"], data["operationContext"]) == ("call me at [phone]", "ask")
    answers = {"type": "x", "data": {"incomingCallContext": "a-context", "n": 15550100001, "few": 7, "on": True}}
    assert Pseudonyms(texts=True).event(answers)["data"] == {
        "incomingCallContext": HIDDEN,
        "n": 0,
        "few": 7,
        "on": True,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=20), JSON, max_size=6))
def test_anything_is_made_private(event: dict[str, Any]) -> None:
    """Whatever a sender writes: no text of an unknown key stays."""
    told = Pseudonyms().event({"unheard": "Zoë at home", **event, "data": {"secretly": "Zoë at home", "more": event}})
    assert "Zoë at home" not in json.dumps(told, ensure_ascii=False)


CONTEXT = {"call": CALL, "operation_context": "ask"}
RECORDED = (
    (0.0, call_connected(call=CALL)),
    (0.25, BUILDERS["PlayStarted"](**CONTEXT)),
    (2.0, BUILDERS["PlayCompleted"](**CONTEXT)),
    (3.0, recognize_completed(**CONTEXT, recognition_type="choices", dtmf_result=None, choice_result={"label": "Yes"})),
    (4.5, call_disconnected(486, 560486, sip=(486, "Busy Here"), q850=17, call=CALL)),
)
NO_FIELDS = {
    "recognition_type": "choices",
    "dtmf_result": None,
    "choice_result": {"label": "Yes"},
    "speech_result": None,
}


def test_a_whole_call_is_replayed_event_by_event(tmp_path: Path) -> None:
    """With the times between its events, and the contexts if the recording has them."""
    (scenario,) = whole_calls(lines_of(tmp_path / "calls.jsonl", *RECORDED))
    ok = {"code": 200, "subcode": 0, "message": "Action completed successfully.", "context": "ask"}
    said = {"subcode": 8531, "message": RECORDED[3][1]["data"]["resultInformation"]["message"]}
    context = "Zoë's order"
    assert scenario == Scenario(
        name="call-1",
        about="recorded, 5 events",
        version=CALL.version,
        steps=(
            Step(event="CallConnected", code=200, subcode=0, message="", context=context),
            Step(event="PlayStarted", lag=0.25, **ok),
            Step(event="PlayCompleted", lag=1.75, **ok),
            Step(event="RecognizeCompleted", lag=1.0, **ok | said, fields=NO_FIELDS),
            Step(
                event="CallDisconnected",
                lag=1.5,
                code=486,
                subcode=560486,
                message="Busy Here. DiagCode: 486#560486.@",
                sip=(486, "Busy Here"),
                q850=17,
                context=context,
            ),
        ),
    )


def test_a_call_with_a_client_gets_what_comes_by_itself_and_answers_to_its_requests(tmp_path: Path) -> None:
    """The contexts are those of the requests."""
    (scenario,) = played_calls(lines_of(tmp_path / "calls.jsonl", *RECORDED))
    assert [(step.event, step.after, step.lag, step.quiet, step.context) for step in scenario.steps] == [
        ("CallConnected", 0.0, 0.0, False, None),
        ("CallDisconnected", 1.75, 0.0, True, None),
    ]
    assert [(step.event, step.context) for step in scenario.results] == [
        ("PlayCompleted", None),
        ("RecognizeCompleted", None),
    ]


def test_the_callee_stays_as_long_as_the_app_was_quiet_unless_the_end_cut_something_off(tmp_path: Path) -> None:
    """A replayed prompt takes another time. A call that was never connected ends when it did; so does a second end."""

    def ends(*events: tuple[float, str]) -> list[tuple[str, float, bool]]:
        recorded = [(at, BUILDERS[name](call=CALL)) for at, name in events]
        (scenario,) = played_calls(lines_of(tmp_path / "calls.jsonl", *recorded))
        return [(step.event, step.after, step.quiet) for step in scenario.steps]

    connected, end = (0.0, "CallConnected"), "CallDisconnected"
    assert ends(connected, (1.0, "PlayCompleted"), (5.0, "PlayCompleted"), (6.0, end), (8.0, end)) == [
        ("CallConnected", 0.0, False),
        (end, 4.0, True),
        (end, 2.0, False),
    ]
    assert ends(connected, (1.0, "PlayStarted"), (3.0, "PlayCanceled"), (3.5, end))[1:] == [(end, 3.5, False)]
    assert ends((0.0, end), (0.5, "CreateCallFailed")) == [(end, 0.0, False), ("CreateCallFailed", 0.5, False)]


def test_where_the_recording_hides_what_was_said_the_scenarios_callee_decides(tmp_path: Path) -> None:
    """A hidden tone is the key 1, because a parser knows no other word for a key."""
    pressed = recognize_completed(call=CALL, dtmf_result={"tones": ["nine", "two"]})
    path = tmp_path / "calls.jsonl"
    pseudonyms = Pseudonyms()
    events = [pseudonyms.event(event) for event in (call_connected(call=CALL), pressed)]
    path.write_bytes(written(Line(0.0, events)))
    assert played_calls(path)[0].results == ()
    step = whole_calls(path)[0].steps[1]
    assert step.fields["dtmf_result"] == {"tones": ["one", "one"]}
    assert (step.lag, step.context) == (0.0, None)


def test_an_event_that_came_again_is_posted_again_with_its_id(tmp_path: Path) -> None:
    """Where a delivery was repeated."""
    end = call_disconnected(call=CALL)
    (scenario,) = whole_calls(lines_of(tmp_path / "calls.jsonl", (0.0, end), (1.0, end)))
    assert [(step.event, step.copies) for step in scenario.steps] == [("CallDisconnected", 2)]


def test_events_of_an_old_version_have_no_result(tmp_path: Path) -> None:
    """As recorded."""
    old = call_disconnected(call=CALL)
    del old["data"]["resultInformation"]
    (scenario,) = whole_calls(lines_of(tmp_path / "calls.jsonl", (0.0, old)))
    assert (scenario.bare, scenario.steps[0].code) == (True, None)


async def test_several_calls_are_posted_as_they_came_each_with_ids_of_its_own(tmp_path: Path) -> None:
    """Lines in any order of time; events of Event Grid and of kinds that no builder knows are left out."""
    other = Call()
    unknown = {**call_connected(call=other), "type": "Microsoft.Communication.SomethingNew"}
    grid = {"id": "1", "eventType": "Microsoft.Communication.IncomingCall", "data": {"serverCallId": "s"}}
    path = lines_of(
        tmp_path / "calls.jsonl",
        (2.0, call_disconnected(603, 0, call=other)),
        (0.5, call_connected(call=CALL)),
        (1.0, unknown),
        (0.0, grid),
        (0.0, {"type": "x", "data": "no object"}),
        (3.0, BUILDERS["PlayCompleted"](call=Call())),
    )
    first, second, third = whole_calls(path)
    assert (first.about, second.about) == ("recorded, 1 events", "recorded, 1 events; 1 of unknown kinds are left out")
    assert [step.lag for each in (first, second, third) for step in each.steps] == [0.0, 1.5, 2.5]
    assert whole_calls(path, second.name)[0].steps[0].lag == 0.0
    assert [each.name for each in played_calls(path)] == [first.name, second.name]
    posted: list[dict[str, Any]] = []

    async def post(uri: str, body: bytes, headers: Any) -> int:
        posted.extend(json.loads(body))
        return 200

    for each in (first, second):
        await trigger(each, "http://127.0.0.1:1/cb", delay=0, post=post)
    ids = [event["data"]["callConnectionId"] for event in posted]
    assert len(set(ids)) == 2
    assert not {"call-1", "call-2", CALL.call_connection_id} & set(ids)
    assert posted[0]["data"]["operationContext"] == "Zoë's order"
    assert posted[1]["data"]["resultInformation"]["code"] == 603


def test_an_event_with_keys_in_any_case_is_replayed(tmp_path: Path) -> None:
    """One documented example of Microsoft has such keys, and `ringback record` keeps them as they came."""
    spoken = {key.capitalize(): value for key, value in call_disconnected(603, 0, call=CALL).items()}
    (scenario,) = whole_calls(lines_of(tmp_path / "calls.jsonl", (0.0, spoken)))
    assert [(step.event, step.code) for step in scenario.steps] == [("CallDisconnected", 603)]


def test_an_event_without_its_envelope_is_replayed(tmp_path: Path) -> None:
    """Some relays forward the data alone. A result without a code is none: the event has its type's usual result."""
    whole = BUILDERS["RecordingStateChanged"](call=CALL, state="inactive")["data"]
    bare = BUILDERS["PlayFailed"](400, 8535, call=CALL)["data"]
    del bare["resultInformation"]["code"]
    (scenario,) = whole_calls(lines_of(tmp_path / "calls.jsonl", (0.0, whole), (1.0, bare)))
    assert [(step.event, step.code, step.fields.get("state")) for step in scenario.steps] == [
        ("RecordingStateChanged", 200, "inactive"),
        ("PlayFailed", None, None),
    ]


GOOD = written(Line(0.0, [Pseudonyms().event(call_connected(call=CALL))]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GOOD + b"{", r", line 2: Input data was truncated; mend or delete the line, or record anew with"),
        (GOOD + b"\n\xff", r", line 3: .*; mend or delete"),
        (b"[]", r", line 1: Expected `object`, got `array`; mend"),
        (b'{"at": 1}', r", line 1: Object missing required field `events`; mend"),
        (b'{"at": -1, "events": []}', r", line 1: at is -1, and has to be 0 or more seconds; mend"),
        (b'{"at": 0, "events": [{"Type": 1}]}', r", line 1: no type \(CloudEvents\) and no eventType \(Event Grid\); "),
        (
            b'{"at": 0, "events": [{"type": "PlayFailed", "data": {"callConnectionId": "c", "resultInformation": '
            b'{"code": "x"}}}]}',
            r", line 1: code is a JSON string, not a whole number; mend",
        ),
        (b"", r" has no event of a call; record a call with: ringback record --to URL --out FILE$"),
    ],
)
def test_a_broken_file_is_told_by_line(tmp_path: Path, content: bytes, said: str) -> None:
    """With the rule, and what to do."""
    path = tmp_path / "calls.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=re.escape(f"recording '{path}'") + said):
        whole_calls(path)


def test_a_file_that_cannot_be_replayed_is_told(tmp_path: Path) -> None:
    """None there, a call that it has not, and none that a client could play."""
    with pytest.raises(ConfigurationError, match=r"cannot be read \(No such file"):
        read(tmp_path / "none.jsonl")
    path = lines_of(tmp_path / "calls.jsonl", (0.0, BUILDERS["PlayCompleted"](call=CALL)))
    with pytest.raises(ConfigurationError, match=r"has no call 'call-2'; it has call-1$"):
        whole_calls(path, "call-2")
    with pytest.raises(ConfigurationError, match=r"has no call that begins or ends; post it with ringback trigger$"):
        played_calls(path)


def test_a_file_of_scenarios_names_a_recording(tmp_path: Path) -> None:
    """Beside it; of a recording of several calls it names one. What the scenario says beside that holds."""
    lines_of(tmp_path / "calls.jsonl", *RECORDED, (9.0, call_connected(call=Call())))
    file = tmp_path / "mine.toml"

    def scenario(text: str) -> Scenario:
        file.write_text(f"[scenarios.real]\n{text}", "utf-8")
        return Simulator(scenarios=file).scenarios["real"]

    real = scenario('recording = "calls.jsonl"\ncall = "call-1"\nnumber = "+15550100007"\nspeech = "No."')
    (recorded,) = played_calls(tmp_path / "calls.jsonl", "call-1")
    assert (real.steps, real.results, real.version) == (recorded.steps, recorded.results, CALL.version)
    assert (real.name, real.number, real.speech, real.about) == ("real", "+15550100007", "No.", "recorded, 5 events")
    assert scenario('like = "silent"\nrecording = "calls.jsonl"\ncall = "call-1"').tones == ""
    with pytest.raises(
        ConfigurationError, match=r"'real' is one call, and '.*' has call-1, call-2; add call = 'call-1'"
    ):
        scenario('recording = "calls.jsonl"')
    with pytest.raises(ConfigurationError, match=r"names the call 'call-1' of no recording; add recording = 'FILE'"):
        scenario('call = "call-1"')
