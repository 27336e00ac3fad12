"""What a recognition hears: the request's question and what the callee does give one event, after so many seconds.

The codes are those of https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/recognize-action
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringback.simulator.calls import identifier
from ringback.simulator.prompts import seconds, spoken
from ringback.simulator.scenarios import Callee, Step
from ringback.simulator.wire import Refused, list_of, object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TONES = dict(
    zip(
        "0123456789abcd#*",
        "zero one two three four five six seven eight nine a b c d pound asterisk".split(),
        strict=True,
    )
)
"""The keys of a telephone, and the service's words for them."""

YES = "Yes, please."
"""What a callee says whose scenario does not say it."""

KEY = 0.5
"""Seconds that a callee takes to press a key."""

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Option:
    """A choice that a request offers; ``tone`` is the service's word for its key."""

    label: str
    phrases: tuple[str, ...]
    tone: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """A recognize request: what it listens for, and how long. All times are in seconds."""

    kind: str
    options: tuple[Option, ...]
    most: int | None
    stops: frozenset[str]
    prompt: float
    silence: float
    gap: float
    end_silence: float


def question_of(content: Mapping[str, Any]) -> Question:
    """The question of a request's content. Raises :class:`Refused` for one that the service refuses."""
    kind = content.get("recognizeInputType")
    if not isinstance(kind, str) or kind not in _HEARD:
        raise Refused(400, "8523", f"recognizeInputType {kind!r} is unknown; the types are {', '.join(_HEARD)}.")
    options = object_of(content.get("recognizeOptions"))
    identifier(options.get("targetParticipant"), "recognizeOptions.targetParticipant")
    dtmf, speech = object_of(options.get("dtmfOptions")), object_of(options.get("speechOptions"))
    single = content.get("playPrompt")
    prompt = seconds(_list(content, "playPrompts") or ([] if single is None else [single]), "playPrompts")
    return Question(
        kind=kind,
        options=_options(_list(options, "choices")) if kind == "choices" else (),
        most=None if dtmf.get("maxTonesToCollect") is None else int(_number(dtmf, "maxTonesToCollect", 1, 1000, 1)),
        stops=frozenset(_tone(stop, "stopTones") for stop in _list(dtmf, "stopTones")),
        # Whoever may interrupt a prompt does so halfway.
        prompt=prompt / 2 if options.get("interruptPrompt") else prompt,
        silence=_number(options, "initialSilenceTimeoutInSeconds", 0, 300 if kind == "dtmf" else 20, 5),
        gap=_number(dtmf, "interToneTimeoutInSeconds", 1, 60, 2),
        end_silence=_number(speech, "endSilenceTimeoutInMs", 0, 60000, 500) / 1000,
    )


def heard(question: Question, callee: Callee) -> Step:
    """The event that ends the recognition, and after how many seconds it comes."""
    step = _HEARD[question.kind](question, callee)
    if step is None or callee.pause > question.silence:
        return _failed(400, 8510, question.prompt + question.silence)
    return step


def _pressed(question: Question, callee: Callee) -> Step | None:
    """Keys: as many as are asked for, until a stop tone, or until no further key comes."""
    keys = "1234567890" * 100 if callee.tones is None else callee.tones
    most = question.most or (1 if callee.tones is None else len(keys))
    tones: list[str] = []
    begun = question.prompt + callee.pause
    for count, tone in enumerate((TONES[key] for key in keys.lower() if key in TONES), 1):
        if tone in question.stops:
            return _tones(200, 8514, tones, begun + KEY * count)
        tones.append(tone)
        if len(tones) == most and (question.most is not None or callee.tones is None):
            return _tones(200, 8531, tones, begun + KEY * count)
    if not tones:
        return None
    late = begun + KEY * len(tones) + question.gap
    # Microsoft lists 400/8532 both as completed and as failed: failed where keys are missing.
    return _tones(400, 8532, tones, late) if question.most is None else _failed(400, 8532, late)


def _chosen(question: Question, callee: Callee) -> Step | None:
    """A choice: by its label, by one of its phrases, or by its key."""
    first = question.options[0]
    words = callee.choice
    if words is None and callee.tones:
        words = callee.tones[0]
    if words is None:
        words = first.phrases[0] if first.phrases else first.label
    if not words:
        return None
    after = question.prompt + callee.pause
    said, key = words.casefold(), TONES.get(words.lower())
    for option in question.options:
        if said == option.label.casefold() or said in (phrase.casefold() for phrase in option.phrases):
            if option.phrases:
                phrase = next((each for each in option.phrases if each.casefold() == said), option.phrases[0])
                return _choice(8545, option, phrase, after + spoken(phrase) + question.end_silence)
            return _choice(8533, option, None, after + KEY)
    if key is None:
        return _failed(400, 8547, after + spoken(words) + question.end_silence)
    pressed = next((option for option in question.options if option.tone == key), None)
    return _failed(500, 8534, after + KEY) if pressed is None else _choice(8533, pressed, None, after + KEY)


def _said(question: Question, callee: Callee) -> Step | None:
    """Words."""
    speech = YES if callee.speech is None else callee.speech
    if not speech:
        return None
    result = {"speech": speech, "confidence": CONFIDENCE}
    after = question.prompt + callee.pause + spoken(speech) + question.end_silence
    return _completed(200, 8569, after, "speech", speech_result=result)


def _said_or_pressed(question: Question, callee: Callee) -> Step | None:
    """Words, or the keys of a callee who has keys to press and nothing to say."""
    return _pressed(question, callee) if callee.tones and not callee.speech else _said(question, callee)


_HEARD: Mapping[str, Callable[[Question, Callee], Step | None]] = {
    "dtmf": _pressed,
    "choices": _chosen,
    "speech": _said,
    "speechOrDtmf": _said_or_pressed,
}


def _completed(code: int, subcode: int, after: float, kind: str, **result: Any) -> Step:
    fields = {"recognition_type": kind, **result}
    return Step(event="RecognizeCompleted", after=after, code=code, subcode=subcode, fields=fields)


def _tones(code: int, subcode: int, tones: list[str], after: float) -> Step:
    return _completed(code, subcode, after, "dtmf", dtmf_result={"tones": tones})


def _choice(subcode: int, option: Option, phrase: str | None, after: float) -> Step:
    # The SDK's model: by a key, "phrases will be set to null".
    result: dict[str, Any] = {"label": option.label, "recognizedPhrase": phrase}
    if phrase is not None:
        result["confidence"] = CONFIDENCE
    return _completed(200, subcode, after, "choices", choice_result=result)


def _failed(code: int, subcode: int, after: float) -> Step:
    return Step(event="RecognizeFailed", after=after, code=code, subcode=subcode)


def _options(given: list[object]) -> tuple[Option, ...]:
    if not given:
        raise Refused(400, "8523", "recognizeOptions.choices is missing; offer at least one.")
    found: list[Option] = []
    for index, each in enumerate(given):
        row = object_of(each)
        label, tone = row.get("label"), row.get("tone")
        if not isinstance(label, str) or not label:
            raise Refused(400, "8523", f"choices[{index}] has no label.")
        tone = None if tone is None else _tone(tone, f"choices[{index}].tone")
        found.append(Option(label, tuple(str(phrase) for phrase in _list(row, "phrases")), tone))
    return tuple(found)


def _list(content: Mapping[str, Any], name: str) -> list[object]:
    given = content.get(name)
    if given is not None and not isinstance(given, list):
        raise Refused(400, "8523", f"{name} is no list.")
    return list_of(content.get(name))


def _number(content: Mapping[str, Any], name: str, least: float, most: float, default: float) -> float:
    given = content.get(name)
    if given is None:
        return default
    if not isinstance(given, int | float) or not least <= given <= most:
        raise Refused(400, "8523", f"{name} is {given!r}; give {least:g} to {most:g}.")
    return given


def _tone(given: object, name: str) -> str:
    if not isinstance(given, str) or given not in _NAMES:
        raise Refused(400, "8523", f"{name} has {given!r}; the tones are {', '.join(TONES.values())}.")
    return given


_NAMES = frozenset(TONES.values())
