"""The media operations of a call: play, recognize, tones, streams."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ringback.simulator import prompts
from ringback.simulator.endings import closing
from ringback.simulator.recognition import TONES, heard, question_of
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Script, Turn
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


PLAY_STARTED = "2024-06-15"
"""The first API version whose callbacks have PlayStarted."""

MOST_TONES = 18
"""Tones that one request may send: https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/control-mid-call-media-actions"""

KEYS = "keys"
"""The name of continuous recognition among what is open in a call."""

MEDIA = "media-"
"""The names of what plays or listens in a call begin so; the service lets one of them run at a time."""


def play(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    sources = asked.content.get("playSources")
    if not isinstance(sources, list) or not sources:
        raise Refused(400, "8523", "playSources is missing.")
    lasts = prompts.seconds(cast("list[object]", sources), "playSources")
    end = call.scripted("Play") or Step(event="PlayCompleted")
    options = asked.content.get("playOptions")
    looped = isinstance(options, dict) and cast("dict[str, Any]", options).get("loop") is True
    steps = [] if end.event == "PlayFailed" or call.version < PLAY_STARTED else [Step(event="PlayStarted")]
    if not looped or end.event == "PlayFailed":
        steps.append(_taking(call, end, lasts))
    return _staged(switchboard, call, asked, steps, "PlayCanceled", attended=not looped)


def recognize(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    question = question_of(asked.content)
    outcome = heard(question, call.callee())
    end = call.scripted("Recognize") or outcome
    return _staged(switchboard, call, asked, [_taking(call, end, outcome.after)], "RecognizeCanceled")


def _taking(call: Call, step: Step, seconds: float) -> Step:
    """The step after the seconds that it says, or else the scenario, or else a person takes."""
    usual = seconds if call.scenario.media is None else call.scenario.media
    return replace(step, after=step.after if step.after and step in call.scenario.results else usual)


def _staged(
    switchboard: Switchboard, call: Call, asked: Asked, steps: list[Step], canceled: str, *, attended: bool = True
) -> Turn:
    """Begin what plays or listens: behind what the call has under way, or in its place where the request says so."""
    name = f"{MEDIA}{switchboard.new_id()}"
    steps[-1] = replace(steps[-1], closes=None if steps[-1].event == "PlayStarted" else name)
    turn = switchboard.operation(call, asked, 202, *steps, key=name)
    script, stopped = turn.scripts[0], None
    if asked.content.get("interruptCallMediaOperation") is True:
        stopped = f"{asked.call_id}/{MEDIA}"
        script = replace(script, prelude=closing(call, MEDIA))
    elif any(each.startswith(MEDIA) for each in call.open):
        call.queue.append(script)
        script = None
    switchboard.opens(call, asked, name, Step(event=canceled), attended=attended)
    return Turn(Reply(202), (script,) if script else (), stopped)


def cancel(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    script = Script(f"{asked.call_id}/canceled", call, (), call.callback_uri, prelude=closing(call, MEDIA))
    return Turn(Reply(202), (script,), stopped=f"{asked.call_id}/{MEDIA}")


def send_tones(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    tones = asked.content.get("tones")
    if not isinstance(tones, list) or not 1 <= len(cast("list[object]", tones)) <= MOST_TONES:
        raise Refused(400, "8523", f"tones has none, or more than {MOST_TONES}.")
    return switchboard.operation(call, asked, 202, Step(event="SendDtmfTonesCompleted"))


def listen(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    if asked.action == "stop":
        steps = [Step(event="ContinuousDtmfRecognitionStopped", closes=KEYS)]
        return replace(switchboard.operation(call, asked, 200, *steps), reply=Reply(200))
    pressed = [TONES[key] for key in "".join(call.scenario.tones or "").lower() if key in TONES]
    steps = [
        Step(
            event="ContinuousDtmfRecognitionToneReceived",
            after=call.scenario.pause,
            fields={"tone": tone, "sequence_id": index},
        )
        for index, tone in enumerate(pressed, 1)
    ]
    turn = switchboard.operation(call, asked, 200, *steps, key=KEYS)
    switchboard.opens(call, asked, KEYS, Step(event="ContinuousDtmfRecognitionStopped"), attended=False)
    return replace(turn, reply=Reply(200))


def stream(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    turn = switchboard.operation(call, asked, 202, Step(event=STREAMS[asked.action]))
    return replace(turn, reply=Reply(202))
