"""The media operations of a call: play, recognize, tones, streams."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.simulator.endings import closing
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Turn
from ringback.simulator.wire import Refused, Reply

if TYPE_CHECKING:
    from ringback.simulator.calls import Call
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked

STREAMS = {
    "startMediaStreaming": "MediaStreamingStarted",
    "stopMediaStreaming": "MediaStreamingStopped",
    "startTranscription": "TranscriptionStarted",
    "stopTranscription": "TranscriptionStopped",
    "updateTranscription": "TranscriptionUpdated",
}
"""The event that follows an action on a stream."""


def play(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    if not asked.content.get("playSources"):
        raise Refused(400, "8523", "playSources is missing.")
    return _medium(switchboard, call, asked, "PlayCanceled", Step(event="PlayCompleted"))


def recognize(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    step = Step(event="RecognizeFailed")
    if call.scenario.tones:
        tones = [_TONES[tone] for tone in call.scenario.tones if tone in _TONES]
        fields = {"recognition_type": "dtmf", "dtmf_result": {"tones": tones}}
        step = Step(event="RecognizeCompleted", fields=fields)
    return _medium(switchboard, call, asked, "RecognizeCanceled", step)


def _medium(switchboard: Switchboard, call: Call, asked: Asked, canceled: str, step: Step) -> Turn:
    key = f"media-{switchboard.new_id()}"
    switchboard.opens(call, asked, key, Step(event=canceled))
    step = replace(step, after=call.scenario.media, closes=key)
    turn = switchboard.operation(call, asked, 202, step, key=key)
    return replace(turn, reply=Reply(202))


def cancel(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    scripts = closing(call, "media-")
    return Turn(Reply(202), scripts, stopped=f"{asked.call_id}/media-")


def send_tones(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    if not asked.content.get("tones"):
        raise Refused(400, "8523", "tones is missing.")
    return switchboard.operation(call, asked, 202, Step(event="SendDtmfTonesCompleted"))


def listen(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    steps = [
        Step(event="ContinuousDtmfRecognitionToneReceived", fields={"tone": _TONES[tone], "sequence_id": index})
        for index, tone in enumerate(call.scenario.tones, 1)
        if tone in _TONES
    ]
    if asked.action == "stop":
        steps = [Step(event="ContinuousDtmfRecognitionStopped")]
    turn = switchboard.operation(call, asked, 200, *steps)
    return replace(turn, reply=Reply(200))


def stream(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    turn = switchboard.operation(call, asked, 202, Step(event=STREAMS[asked.action]))
    return replace(turn, reply=Reply(202))


_TONES = dict(
    zip(
        "0123456789abcd#*",
        "zero one two three four five six seven eight nine a b c d pound asterisk".split(),
        strict=True,
    )
)
