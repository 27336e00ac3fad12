"""What a recognition hears: a question and a callee give one event, after so many seconds."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from azure.communication.callautomation._generated.models import RecognizeCompleted as Parsed
from hypothesis import given
from hypothesis import strategies as st

from ringback.simulator.prompts import seconds, spoken
from ringback.simulator.recognition import TONES, YES, Question, heard, question_of
from ringback.simulator.scenarios import Callee, Step
from ringback.simulator.wire import Refused
from ringback.testing import recognize_completed, recognize_failed

WHO = {"kind": "phoneNumber", "phoneNumber": {"value": "+15550100002"}}
CHOICES = [
    {"label": "Confirm", "phrases": ["Confirm", "Yes", "First"], "tone": "one"},
    {"label": "Cancel", "phrases": ["Cancel", "Second"], "tone": "two"},
    {"label": "Agent", "tone": "zero"},
]
MENU = {"kind": "text", "text": {"text": "one two three four five six seven eight nine ten"}}


def asked(kind: str, **options: Any) -> Question:
    """A question without a prompt, whose first wait is five seconds."""
    return question_of({"recognizeInputType": kind, "recognizeOptions": {"targetParticipant": WHO, **options}})


def dtmf(**options: Any) -> Question:
    return asked("dtmf", dtmfOptions=options)


def choices() -> Question:
    return asked("choices", choices=CHOICES)


def result(step: Step) -> tuple[str, int | None, int | None, Any]:
    """The event, its codes, and what was recognized."""
    found = [value for key, value in step.fields.items() if key != "recognition_type"]
    return step.event, step.code, step.subcode, *(found or [None])


def tones(subcode: int, *names: str, code: int = 200) -> tuple[str, int, int, Any]:
    return "RecognizeCompleted", code, subcode, {"tones": list(names)}


def choice(subcode: int, label: str, phrase: str | None) -> tuple[str, int, int, Any]:
    found: dict[str, Any] = {"label": label, "recognizedPhrase": phrase}
    return "RecognizeCompleted", 200, subcode, found | ({} if phrase is None else {"confidence": 0.95})


def failed(code: int, subcode: int) -> tuple[str, int, int, Any]:
    return "RecognizeFailed", code, subcode, None


def speech(words: str) -> tuple[str, int, int, Any]:
    return "RecognizeCompleted", 200, 8569, {"speech": words, "confidence": 0.95}


@pytest.mark.parametrize(
    ("question", "callee", "expected"),
    [
        pytest.param(dtmf(maxTonesToCollect=3), Callee(), tones(8531, "one", "two", "three"), id="as asked"),
        pytest.param(dtmf(maxTonesToCollect=2), Callee(tones="4567"), tones(8531, "four", "five"), id="most"),
        pytest.param(dtmf(maxTonesToCollect=9, stopTones=["pound"]), Callee(tones="12#3"), tones(8514, "one", "two")),
        pytest.param(dtmf(maxTonesToCollect=4), Callee(tones="12"), failed(400, 8532), id="keys are missing"),
        pytest.param(dtmf(), Callee(tones="*A"), tones(8532, "asterisk", "a", code=400), id="no number asked for"),
        pytest.param(dtmf(), Callee(), tones(8531, "one"), id="nobody says how many"),
        pytest.param(dtmf(maxTonesToCollect=1), Callee(tones=""), failed(400, 8510), id="silence"),
        pytest.param(dtmf(maxTonesToCollect=1), Callee(tones="xyz"), failed(400, 8510), id="what is no key"),
        pytest.param(dtmf(maxTonesToCollect=1), Callee(pause=5.5), failed(400, 8510), id="too late"),
        pytest.param(choices(), Callee(), choice(8545, "Confirm", "Confirm"), id="the first choice"),
        pytest.param(choices(), Callee(choice="cancel"), choice(8545, "Cancel", "Cancel"), id="a label"),
        pytest.param(choices(), Callee(choice="second"), choice(8545, "Cancel", "Second"), id="a phrase"),
        pytest.param(choices(), Callee(choice="Agent"), choice(8533, "Agent", None), id="a label without phrases"),
        pytest.param(choices(), Callee(choice="2"), choice(8533, "Cancel", None), id="a key as the choice"),
        pytest.param(choices(), Callee(tones="0"), choice(8533, "Agent", None), id="a key"),
        pytest.param(choices(), Callee(tones="9"), failed(500, 8534), id="a key of no choice"),
        pytest.param(choices(), Callee(choice="maybe"), failed(400, 8547), id="words of no choice"),
        pytest.param(choices(), Callee(choice=""), failed(400, 8510), id="no choice"),
        pytest.param(
            asked("choices", choices=CHOICES[2:]), Callee(), choice(8533, "Agent", None), id="a choice by key alone"
        ),
        pytest.param(asked("speech"), Callee(), speech(YES), id="usual words"),
        pytest.param(asked("speech"), Callee(speech="To Oslo."), speech("To Oslo."), id="words"),
        pytest.param(asked("speech"), Callee(speech=""), failed(400, 8510), id="no words"),
        pytest.param(asked("speechOrDtmf"), Callee(), speech(YES), id="either: words"),
        pytest.param(
            asked("speechOrDtmf", dtmfOptions={"maxTonesToCollect": 1}),
            Callee(tones="0"),
            tones(8531, "zero"),
            id="either: keys",
        ),
        pytest.param(asked("speechOrDtmf"), Callee(tones="1", speech="Oslo"), speech("Oslo"), id="either: both"),
        pytest.param(asked("speechOrDtmf"), Callee(tones="", speech=""), failed(400, 8510), id="either: nothing"),
    ],
)
def test_what_the_callee_does_gives_the_documented_result(question: Question, callee: Callee, expected: Any) -> None:
    """The code, the subcode and the result of the service's event codes."""
    assert result(heard(question, callee)) == expected


@pytest.mark.parametrize(
    ("question", "callee", "after"),
    [
        pytest.param(dtmf(maxTonesToCollect=2), Callee(), 2.0, id="a pause, and half a second for a key"),
        pytest.param(dtmf(maxTonesToCollect=3, interToneTimeoutInSeconds=4), Callee(tones="1"), 5.5, id="gap"),
        pytest.param(asked("speech"), Callee(speech="To Oslo."), 2.3, id="words, and the end of them"),
        pytest.param(
            asked("speech", speechOptions={"endSilenceTimeoutInMs": 2000}), Callee(speech="Oslo"), 3.4, id="end silence"
        ),
        pytest.param(asked("speech", initialSilenceTimeoutInSeconds=20), Callee(speech=""), 20.0, id="silence"),
        pytest.param(replace(choices(), prompt=4.0), Callee(choice="2", pause=0.0), 4.5, id="after the prompt"),
        pytest.param(replace(choices(), prompt=4.0), Callee(choice=""), 9.0, id="silence begins after the prompt"),
    ],
)
def test_it_takes_as_long_as_a_person_takes(question: Question, callee: Callee, after: float) -> None:
    """Prompt, pause, keys or words; or the service's patience."""
    assert heard(question, callee).after == pytest.approx(after)


@pytest.mark.parametrize(("interruptible", "prompt"), [(False, 4.0), (True, 2.0)])
def test_a_prompt_that_may_be_interrupted_is(interruptible: bool, prompt: float) -> None:
    """Halfway. The SDK sends one prompt apart from several."""
    options = {"targetParticipant": WHO, "interruptPrompt": interruptible}
    content = {"recognizeInputType": "speech", "recognizeOptions": options}
    assert question_of({**content, "playPrompt": MENU}).prompt == pytest.approx(prompt)
    assert question_of({**content, "playPrompts": [MENU, MENU]}).prompt == pytest.approx(2 * prompt)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "recognizeInputType None is unknown; the types are dtmf, choices, speech, speechOrDtmf"),
        ({"recognizeInputType": ["dtmf"]}, "is unknown"),
        ({"recognizeOptions": {}}, "targetParticipant is missing"),
        ({"recognizeOptions": 1}, "targetParticipant is missing"),
        ({"recognizeInputType": "choices"}, "choices is missing; offer at least one"),
        ({"choices": 1}, "choices is no list"),
        ({"choices": [1]}, r"choices\[0\] has no label"),
        ({"choices": [{"label": "a", "tone": "eleven"}]}, r"choices\[0\].tone has 'eleven'"),
        ({"choices": [{"label": "a", "phrases": "b"}]}, "phrases is no list"),
        ({"dtmfOptions": {"maxTonesToCollect": 0}}, "maxTonesToCollect is 0; give 1 to 1000"),
        ({"dtmfOptions": {"interToneTimeoutInSeconds": 61}}, "interToneTimeoutInSeconds is 61; give 1 to 60"),
        ({"dtmfOptions": {"stopTones": ["#"]}}, "stopTones has '#'; the tones are zero, one"),
        ({"dtmfOptions": {"stopTones": [1]}}, "stopTones has 1"),
        ({"initialSilenceTimeoutInSeconds": 301}, "initialSilenceTimeoutInSeconds is 301; give 0 to 300"),
        ({"initialSilenceTimeoutInSeconds": "5"}, "give 0 to 300"),
        ({"recognizeInputType": "speech", "initialSilenceTimeoutInSeconds": 21}, "give 0 to 20"),
        ({"playPrompts": {}}, "playPrompts is no list"),
        ({"playPrompts": [{"kind": "tape"}]}, r"playPrompts\[0\] has kind 'tape'; the kinds are file, text, ssml"),
    ],
)
def test_what_the_service_cannot_do_is_refused(content: dict[str, Any], said: str) -> None:
    """400 with the field, the rule and the remedy; nothing is a fault of the simulator."""
    top = {"recognizeInputType", "recognizeOptions", "playPrompts"}
    kind = "choices" if "choices" in content else "dtmf"
    request: dict[str, Any] = {"recognizeInputType": kind, "recognizeOptions": {"targetParticipant": WHO}}
    request |= {key: value for key, value in content.items() if key in top}
    options = request["recognizeOptions"]
    if content.keys() - top:
        request["recognizeOptions"] = options | {key: value for key, value in content.items() if key not in top}
    if not content:
        request = {}
    with pytest.raises(Refused, match=said) as raised:
        question_of(request)
    assert (raised.value.status, raised.value.code) == (400, "8523")


@pytest.mark.parametrize(
    ("source", "code", "lasts"),
    [
        ({"kind": "text", "text": {"text": "Good morning, everybody."}}, None, 1.2),
        ({"kind": "ssml", "ssml": {"ssmlText": "<speak>Good <b>day</b></speak>"}}, None, 0.8),
        ({"kind": "file", "file": {"uri": "https://app.example.com/hello.wav"}}, None, 3.0),
        ({"kind": "text", "text": {"text": " "}}, "8582", None),
        ({"kind": "ssml"}, "8582", None),
        ({"kind": "file", "file": {"uri": ""}}, "8523", None),
        ({"kind": []}, "8523", None),
        (None, "8523", None),
    ],
)
def test_a_prompt_lasts_as_long_as_its_words(source: Any, code: str | None, lasts: float | None) -> None:
    """150 words in a minute; a file, which nobody fetches, three seconds. Empty text has a code of its own."""
    if code is None:
        assert seconds([source], "playSources") == pytest.approx(lasts)
        return
    with pytest.raises(Refused) as raised:
        seconds([source], "playSources")
    assert raised.value.code == code


words = st.one_of(st.none(), st.text(max_size=8), st.text("0123456789*#abcd", max_size=8))


@given(
    question=st.builds(
        Question,
        kind=st.sampled_from(["dtmf", "choices", "speech", "speechOrDtmf"]),
        options=st.just(choices().options),
        most=st.one_of(st.none(), st.integers(1, 12)),
        stops=st.frozensets(st.sampled_from(sorted(TONES.values())), max_size=3),
        prompt=st.floats(0, 60),
        silence=st.floats(0, 300),
        gap=st.floats(1, 60),
        end_silence=st.floats(0, 60),
    ),
    callee=st.builds(Callee, words, words, words, st.floats(0, 400)),
)
def test_every_callee_gives_an_event_that_the_sdk_reads(question: Question, callee: Callee) -> None:
    """One event with one result, not before the prompt is over; the SDK's own model finds the result in it."""
    step = heard(question, callee)
    assert step.after >= question.prompt
    if step.event == "RecognizeFailed":
        event = recognize_failed(step.code, step.subcode)
        assert event["data"]["resultInformation"]["message"].startswith("Action failed, ")
        return
    assert step.event == "RecognizeCompleted"
    data = recognize_completed(step.code, step.subcode, **step.fields)["data"]
    parsed = Parsed.deserialize(data)
    results = {"dtmf": parsed.dtmf_result, "choices": parsed.choice_result, "speech": parsed.speech_result}
    assert [kind for kind, found in results.items() if found is not None] == [parsed.recognition_type]
    assert not any(value is None for key, value in data.items())
    if parsed.dtmf_result is not None:
        assert len(parsed.dtmf_result.tones or []) <= (question.most or 8)
        assert question.stops.isdisjoint(parsed.dtmf_result.tones or [])


leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just("one"))
anything = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
)
KEYS = ["interruptPrompt", "initialSilenceTimeoutInSeconds", "dtmfOptions", "choices", "speechOptions"]
OPTIONS = ["interToneTimeoutInSeconds", "maxTonesToCollect", "stopTones", "endSilenceTimeoutInMs"]
PARTS = st.dictionaries(
    st.sampled_from(["kind", "file", "text", "ssml", "uri", "ssmlText", "label", "phrases", "tone"]), anything
)


@given(
    kind=st.one_of(anything, st.sampled_from(["dtmf", "choices", "speech", "speechOrDtmf"])),
    options=st.dictionaries(
        st.sampled_from(KEYS),
        st.one_of(anything, st.lists(PARTS, max_size=3), st.dictionaries(st.sampled_from(OPTIONS), anything)),
    ),
    prompt=st.one_of(anything, PARTS, st.lists(st.one_of(anything, PARTS), max_size=3)),
)
def test_any_request_is_a_question_or_refused(kind: Any, options: Any, prompt: Any) -> None:
    """No JSON is a fault of the simulator; what is accepted can be answered."""
    content = {"recognizeInputType": kind, "recognizeOptions": {**options, "targetParticipant": WHO}}
    for key in ("playPrompt", "playPrompts"):
        with suppress(Refused):
            assert heard(question_of({**content, key: prompt}), Callee()).after >= 0


def test_a_word_takes_its_time() -> None:
    """However much space stands between two."""
    assert spoken("  one   two ") == pytest.approx(0.8)
