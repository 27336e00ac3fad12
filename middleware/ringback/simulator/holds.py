"""The operations on people on hold: hold, with or without audio, unhold, and an announcement into that audio."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from ringback.simulator.calls import identifier
from ringback.simulator.endings import closing
from ringback.simulator.participants import UPDATED, failing, holding, present, sought, targets
from ringback.simulator.prompts import seconds
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Script, Turn
from ringback.simulator.wire import Refused, Reply

if TYPE_CHECKING:
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked

# The generic subcode for somebody who is not present, among those of media operations:
# https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/voice-video-calling/troubleshooting-codes
_ABSENT = Step(event="HoldFailed", code=400, subcode=8558)


def hold(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    who = identifier(asked.content.get("targetParticipant"), "targetParticipant")
    held = sought(call, who)
    failed = _ABSENT if held is None else failing(call, "Hold", {})
    steps: tuple[Step, ...] = () if failed is None else (failed,)
    if held is not None and failed is None:
        steps = () if held.on_hold else (UPDATED,)
        held.on_hold = True
        if asked.content.get("playSourceInfo") and holding(who) not in call.open:
            switchboard.opens(call, asked, holding(who), Step(event="HoldAudioCompleted"), attended=False)
            steps = (Step(event="HoldAudioStarted"), *steps)
    return replace(switchboard.operation(call, asked, 200, *steps), reply=Reply(200))


def unhold(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    who = identifier(asked.content.get("targetParticipant"), "targetParticipant")
    held = sought(call, who)
    if held is None:
        return replace(switchboard.operation(call, asked, 200, _ABSENT), reply=Reply(200))
    steps = (UPDATED,) if held.on_hold else ()
    held.on_hold = False
    # The audio is of the operation that began it, and so are its context and its address.
    key = f"{asked.call_id}/{switchboard.new_id()}"
    script = Script(key, call, steps, call.callback_uri, prelude=closing(call, holding(who)))
    return Turn(Reply(200), (script,))


def announce(switchboard: Switchboard, asked: Asked) -> Turn:
    """Play a prompt into the audio of people on hold, which pauses and goes on. An operation of the preview API.

    https://learn.microsoft.com/dotnet/api/azure.communication.callautomation.callmedia.interruptaudioandannounceasync
    """
    call = switchboard.established(asked.call_id)
    sources = asked.content.get("playSources")
    if not isinstance(sources, list) or not sources:
        raise Refused(400, "8523", "playSources is missing.")
    listeners = [present(call, who).identifier for who in targets(asked, "playTo")]
    lasts = seconds(cast("list[object]", sources), "playSources")
    name = f"announcement-{switchboard.new_id()}"
    steps = [Step(event="PlayStarted"), Step(event="PlayCompleted", after=lasts, closes=name)]
    if any(holding(who) in call.open for who in listeners):
        steps = [Step(event="HoldAudioPaused"), *steps, Step(event="HoldAudioResumed")]
    turn = switchboard.operation(call, asked, 202, *steps, key=name)
    switchboard.opens(call, asked, name, Step(event="PlayCanceled"))
    return replace(turn, reply=Reply(202))
