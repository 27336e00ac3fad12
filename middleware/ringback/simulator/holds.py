"""The operations on people on hold: hold, with or without audio, unhold, and an announcement into that audio."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.simulator.calls import identifier
from ringback.simulator.endings import closing
from ringback.simulator.participants import UPDATED, holding, sought
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Turn
from ringback.simulator.wire import Reply

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
    steps: tuple[Step, ...] = (_ABSENT,)
    if held is not None:
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
    audio = closing(call, holding(who))
    if not audio:
        return replace(switchboard.operation(call, asked, 200, *steps), reply=Reply(200))
    return Turn(Reply(200), (replace(audio[0], steps=(*audio[0].steps, *steps)),))
