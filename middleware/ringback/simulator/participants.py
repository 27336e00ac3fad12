"""The operations on participants: list, get, add, remove, mute, move, hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.simulator.calls import Participant, identifier, number_of, of_raw_id
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Turn
from ringback.simulator.wire import Refused, Reply

if TYPE_CHECKING:
    from ringback.simulator.calls import Call, Identifier
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked


def listed(switchboard: Switchboard, asked: Asked) -> Turn:
    return Turn(Reply(200, {"value": switchboard.found(asked.call_id).present()}))


def one(switchboard: Switchboard, asked: Asked) -> Turn:
    return Turn(Reply(200, _member(switchboard.found(asked.call_id), of_raw_id(asked.raw_id)).to_wire()))


def add(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    added = identifier(asked.content.get("participantToAdd"), "participantToAdd")
    scenario = switchboard.playbook.next_for(number_of(added))
    invitation = switchboard.new_id()
    call.invitations[invitation] = added
    steps: tuple[Step, ...] = ()
    if scenario.steps:
        first = scenario.failure or Step(event="")
        event = "AddParticipantSucceeded" if scenario.failure is None else "AddParticipantFailed"
        steps = (replace(first, event=event, fields={"participant": added}, copies=1),)
    turn = switchboard.operation(call, asked, 202, *steps, key=invitation)
    content = {"participant": Participant(added).to_wire(), "invitationId": invitation}
    return replace(turn, reply=Reply(202, content | turn.reply.content))


def cancel_add(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    invitation = asked.content.get("invitationId")
    if not isinstance(invitation, str) or call.invitations.pop(invitation, None) is None:
        raise Refused(404, "8522", "Invitation not found.")
    step = Step(event="CancelAddParticipantSucceeded", fields={"invitation_id": invitation})
    turn = switchboard.operation(call, asked, 202, step)
    content = {"invitationId": invitation} | turn.reply.content
    return replace(turn, reply=Reply(202, content), stopped=f"{asked.call_id}/{invitation}")


def remove(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    removed = _member(call, identifier(asked.content.get("participantToRemove"), "participantToRemove"))
    step = Step(event="RemoveParticipantSucceeded", fields={"participant": removed.identifier})
    return switchboard.operation(call, asked, 202, step)


def mute(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    for target in asked.content.get("targetParticipants") or [None]:
        _member(call, identifier(target, "targetParticipants")).muted = True
    return switchboard.operation(call, asked, 200)


def move(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    other = switchboard.established(str(asked.content.get("fromCall")))
    steps: list[Step] = []
    for target in asked.content.get("targetParticipants") or [None]:
        moved = _member(other, identifier(target, "targetParticipants"))
        del other.participants[moved.identifier["rawId"]]
        fields = {"participant": moved.identifier, "from_call": other.call_connection_id}
        steps.append(Step(event="MoveParticipantSucceeded", fields=fields))
    turn = switchboard.operation(call, asked, 202, *steps)
    return replace(turn, reply=Reply(202, {"fromCall": other.call_connection_id} | turn.reply.content))


def hold(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    held = _member(call, identifier(asked.content.get("targetParticipant"), "targetParticipant"))
    held.on_hold = asked.action == "hold"
    return switchboard.operation(call, asked, 200)


def _member(call: Call, given: Identifier) -> Participant:
    found = call.participants.get(given["rawId"])
    if found is None:
        raise Refused(404, "8522", "Participant not found.")
    return found
