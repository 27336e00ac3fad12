"""The media operations of a call: play, recognize, tones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.simulator import prompts
from ringback.simulator.recognition import TONES, heard, question_of
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Script, Turn, closing
from ringback.simulator.wire import Refused, list_of, object_of

if TYPE_CHECKING:
    from ringback.simulator.calls import Call
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked


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
    lasts = prompts.seconds(prompts.sources(asked.content), "playSources")
    end = _ended(call, "Play", Step(event="PlayCompleted", after=lasts))
    looped = object_of(asked.content.get("playOptions")).get("loop") is True
    begun = end.event != "PlayFailed"
    steps = [Step(event="PlayStarted")] if begun and call.version >= PLAY_STARTED else []
    steps += [] if looped and begun else [end]
    return _staged(switchboard, call, asked, steps, Step(event="PlayCanceled"), attended=not looped)


def recognize(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    end = _ended(call, "Recognize", heard(question_of(asked.content), call.callee()))
    return _staged(switchboard, call, asked, [end], Step(event="RecognizeCanceled"))


def _ended(call: Call, operation: str, usual: Step) -> Step:
    """The event that ends the operation: the scenario's or the usual one, after the time that either says."""
    scripted = call.scripted(operation)
    if scripted is not None and scripted.after:
        return scripted
    after = usual.after if call.scenario.media is None else call.scenario.media
    return replace(scripted or usual, after=after)


def _staged(
    switchboard: Switchboard, call: Call, asked: Asked, steps: list[Step], canceled: Step, *, attended: bool = True
) -> Turn:
    """Begin what plays or listens: behind what the call has under way, or in its place where the request says so."""
    name = f"{MEDIA}{switchboard.new_id()}"
    closed = [each if each.event == "PlayStarted" else replace(each, closes=name) for each in steps]
    script = switchboard.script(call, asked, closed, name)
    interrupts = asked.content.get("interruptCallMediaOperation") is True
    waits = not interrupts and any(each.startswith(MEDIA) for each in call.open)
    if interrupts:
        script = replace(script, prelude=closing(call, MEDIA))
    switchboard.opens(call, asked, name, canceled, attended=attended)
    if waits:
        call.queue.append(script)
        return Turn()
    return Turn(scripts=(script,), stopped=f"{asked.call_id}/{MEDIA}" if interrupts else None)


def cancel(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    script = Script(f"{asked.call_id}/canceled", call, (), call.callback_uri, prelude=closing(call, MEDIA))
    return Turn(scripts=(script,), stopped=f"{asked.call_id}/{MEDIA}")


def send_tones(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    if not 1 <= len(list_of(asked.content.get("tones"))) <= MOST_TONES:
        raise Refused(400, "8523", f"tones has none, or more than {MOST_TONES}.")
    return switchboard.operation(call, asked, Step(event="SendDtmfTonesCompleted"))


def listen(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    if asked.action == "stop":
        stopped = Step(event="ContinuousDtmfRecognitionStopped", closes=KEYS)
        return replace(switchboard.operation(call, asked, stopped), content=None)
    pressed = [TONES[key] for key in "".join(call.scenario.tones or "").lower()]
    steps = [
        Step(
            event="ContinuousDtmfRecognitionToneReceived",
            after=call.scenario.pause,
            fields={"tone": tone, "sequence_id": index},
        )
        for index, tone in enumerate(pressed, 1)
    ]
    turn = switchboard.operation(call, asked, *steps, key=KEYS)
    switchboard.opens(call, asked, KEYS, Step(event="ContinuousDtmfRecognitionStopped"), attended=False)
    return replace(turn, content=None)
