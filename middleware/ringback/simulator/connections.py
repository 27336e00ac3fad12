"""The operations on a whole call: get properties, hang up, terminate, transfer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.simulator.built_in_scenarios import TRANSFERRED
from ringback.simulator.calls import State, identifier, number_of
from ringback.simulator.participants import INVITATION, UPDATED, failing, present
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Script, Turn
from ringback.simulator.wire import Reply

if TYPE_CHECKING:
    from ringback.simulator.calls import Call, Identifier
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked


def properties(switchboard: Switchboard, asked: Asked) -> Turn:
    return Turn(Reply(200, switchboard.found(asked.call_id).to_wire()))


def end(switchboard: Switchboard, asked: Asked) -> Turn:
    """Hang up, or terminate the call for all participants: only the subcodes differ."""
    call = switchboard.found(asked.call_id)
    code, subcode = 200, 7000 if asked.action == "terminate" else 5001
    if call.state is State.CONNECTING:
        code, subcode = 487, 0
    call.state = State.DISCONNECTING
    step = Step(event="CallDisconnected", code=code, subcode=subcode)
    script = Script(f"{asked.call_id}/end", call, (step,), call.callback_uri)
    return Turn(Reply(204), (script,), stopped=asked.call_id)


def transfer(switchboard: Switchboard, asked: Asked) -> Turn:
    """Transfer the other party of a call; of a call with several, the one who is named, and the call goes on."""
    call = switchboard.established(asked.call_id)
    target = identifier(asked.content.get("targetParticipant"), "targetParticipant")
    transferee = _transferee(call, asked)
    scenario = switchboard.playbook.next_for(number_of(target))
    failure = failing(call, "CallTransfer", {}) or (scenario.failure if scenario.steps else _UNANSWERED)
    if failure is not None:
        return switchboard.operation(call, asked, 202, replace(failure, event="CallTransferFailed", copies=1))
    rings = next(step.after for step in scenario.steps if step.event == "CallConnected")
    fields = {"transfer_target": target, "transferee": transferee}
    accepted = Step(event="CallTransferAccepted", after=rings, fields=fields)
    if len(call.participants) > 1:
        return switchboard.operation(call, asked, 202, accepted, UPDATED)
    return switchboard.operation(call, asked, 202, accepted, *TRANSFERRED)


def _transferee(call: Call, asked: Asked) -> Identifier | None:
    if asked.content.get("transferee") is not None:
        return present(call, identifier(asked.content["transferee"], "transferee")).identifier
    return next((participant.identifier for participant in call.participants.values()), None)


_UNANSWERED = Step(event="CallTransferFailed", after=INVITATION, code=487, subcode=10004)
