"""The operations on whole calls: create, answer, connect, reject, redirect, get properties, hang up, transfer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.simulator.built_in_scenarios import TRANSFERRED
from ringback.simulator.calls import Direction, State, identifier, number_of
from ringback.simulator.participants import INVITATION, UPDATED, failing, present
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Script, Turn
from ringback.simulator.wire import Refused, list_of, scripted

if TYPE_CHECKING:
    from ringback.simulator.calls import Call, Identifier
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked


def create(switchboard: Switchboard, asked: Asked) -> Turn:
    targets = [identifier(target, "targets") for target in list_of(asked.content.get("targets"))]
    if not targets:
        raise Refused(400, "8523", "targets is missing; name at least one.")
    number = next((found for target in targets if (found := number_of(target)) is not None), None)
    if number is not None and not asked.content.get("sourceCallerIdNumber"):
        raise Refused(400, "8523", "sourceCallerIdNumber is required to call a phone number.")
    uri = switchboard.callback_uri(asked)
    scenario = switchboard.playbook.next_for(number)
    if scenario.answer is not None:
        raise scripted(scenario.answer)
    call = switchboard.begin(Direction.OUTBOUND, scenario, uri, targets, asked)
    return Turn(call.to_wire(), switchboard.script_of(call))


def answer(switchboard: Switchboard, asked: Asked) -> Turn:
    incoming = switchboard.ringing(asked)
    uri = switchboard.callback_uri(asked)
    if incoming.scenario.answer is not None:
        raise scripted(incoming.scenario.answer)
    call = switchboard.begin(Direction.INBOUND, incoming.scenario, uri, [incoming.callee], asked)
    call.server_call_id, call.correlation_id = incoming.server_call_id, incoming.correlation_id
    call.source = incoming.caller
    incoming.state, incoming.call = "answered", call
    return Turn(call.to_wire(), switchboard.script_of(call))


def connect(switchboard: Switchboard, asked: Asked) -> Turn:
    """Join a call. The participants are those of the call of this server call id, if it is one of the simulator's."""
    if not isinstance(asked.content.get("callLocator"), dict):
        raise Refused(400, "8523", "callLocator is missing.")
    uri = switchboard.callback_uri(asked)
    wanted = asked.content["callLocator"].get("serverCallId")
    there = [call for call in switchboard.calls if call.server_call_id == wanted and not call.ended]
    people = {raw_id: who.identifier for call in there for raw_id, who in call.participants.items()}
    call = switchboard.begin(Direction.JOINED, switchboard.playbook.next_for(None), uri, list(people.values()), asked)
    call.server_call_id = wanted if isinstance(wanted, str) else call.server_call_id
    return Turn(call.to_wire(), switchboard.script_of(call))


def reject(switchboard: Switchboard, asked: Asked) -> Turn:
    incoming = switchboard.ringing(asked)
    incoming.state, incoming.reason = "rejected", asked.content.get("callRejectReason") or "none"
    # The service posts nothing to the app that rejects.
    return Turn()


def redirect(switchboard: Switchboard, asked: Asked) -> Turn:
    incoming = switchboard.ringing(asked)
    target = identifier(asked.content.get("target"), "target")
    return Turn(rings=switchboard.redirected(incoming, target))


def properties(switchboard: Switchboard, asked: Asked) -> Turn:
    return Turn(switchboard.found(asked.call_id).to_wire())


def end(switchboard: Switchboard, asked: Asked) -> Turn:
    """Hang up, or terminate the call for all participants: only the subcodes differ."""
    call = switchboard.found(asked.call_id)
    code, subcode = 200, 7000 if asked.action == "terminate" else 5001
    if call.state is State.CONNECTING:
        code, subcode = 487, 0
    call.state = State.DISCONNECTING
    step = Step(event="CallDisconnected", code=code, subcode=subcode)
    script = Script(f"{asked.call_id}/end", call, (step,), call.callback_uri)
    return Turn(scripts=(script,), stopped=asked.call_id)


def transfer(switchboard: Switchboard, asked: Asked) -> Turn:
    """Transfer the other party of a call; of a call with several, the one who is named, and the call goes on."""
    call = switchboard.established(asked.call_id)
    target = identifier(asked.content.get("targetParticipant"), "targetParticipant")
    transferee = _transferee(call, asked)
    scenario = switchboard.playbook.next_for(number_of(target))
    failure = failing(call, "CallTransfer", {}) or (scenario.failure if scenario.steps else _UNANSWERED)
    if failure is not None:
        return switchboard.operation(call, asked, replace(failure, event="CallTransferFailed", copies=1))
    rings = next(step.after for step in scenario.steps if step.event == "CallConnected")
    fields = {"transfer_target": target, "transferee": transferee}
    accepted = Step(event="CallTransferAccepted", after=rings, fields=fields)
    followed_by = (UPDATED,) if len(call.participants) > 1 else TRANSFERRED
    return switchboard.operation(call, asked, accepted, *followed_by)


def _transferee(call: Call, asked: Asked) -> Identifier | None:
    if asked.content.get("transferee") is not None:
        return present(call, identifier(asked.content["transferee"], "transferee")).identifier
    return next((participant.identifier for participant in call.participants.values()), None)


_UNANSWERED = Step(event="CallTransferFailed", after=INVITATION, code=487, subcode=10004)
