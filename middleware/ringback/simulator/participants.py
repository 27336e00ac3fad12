"""The operations on participants: list, get, add, remove, mute, move.

A request that names somebody whom the call never had is refused with 404, 8522. A request that names somebody whom the
call had or invited before is accepted, and ends with its Failed event. Microsoft documents the code and the events, and
not where one ends and the other begins.
https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/actions-for-call-control
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ringback.simulator.calls import Participant, identifier, number_of, of_raw_id
from ringback.simulator.endings import closing
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Script, Turn
from ringback.simulator.wire import Refused, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.simulator.calls import Call, Identifier
    from ringback.simulator.scenarios import Scenario
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked

INVITATION = 60
"""Seconds for which an invited person's phone rings where the request does not say; Microsoft documents no number."""

LONGEST_INVITATION = 180
UPDATED = Step(event="ParticipantsUpdated")
"""Follows whatever changed the participants; the event lists all of them."""


def listed(switchboard: Switchboard, asked: Asked) -> Turn:
    return Turn(Reply(200, {"value": switchboard.found(asked.call_id).present()}))


def one(switchboard: Switchboard, asked: Asked) -> Turn:
    return Turn(Reply(200, present(switchboard.found(asked.call_id), of_raw_id(asked.raw_id)).to_wire()))


def add(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    added = identifier(asked.content.get("participantToAdd"), "participantToAdd")
    if number_of(added) is not None and not asked.content.get("sourceCallerIdNumber"):
        raise Refused(400, "8523", "sourceCallerIdNumber is required to add a phone number.")
    patience = _patience(asked)
    invitation = switchboard.new_id()
    fields = {"participant": added}
    failed = failing(call, "AddParticipant", fields)
    if failed is not None:
        steps: tuple[Step, ...] = (replace(failed, closes=invitation),)
    else:
        steps = _answered(switchboard.playbook.next_for(number_of(added)), added, invitation, patience)
    call.invitations[invitation] = added
    gone = Step(event="AddParticipantFailed", code=487, subcode=0, fields=fields)
    switchboard.opens(call, asked, invitation, gone)
    turn = switchboard.operation(call, asked, 202, *steps, key=invitation)
    content = {"participant": Participant(added).to_wire(), "invitationId": invitation}
    return replace(turn, reply=Reply(202, content | turn.reply.content))


def _patience(asked: Asked) -> int:
    given = asked.content.get("invitationTimeoutInSeconds")
    if given is None:
        return INVITATION
    if not isinstance(given, int) or not 1 <= given <= LONGEST_INVITATION:
        raise Refused(400, "8523", f"invitationTimeoutInSeconds is not from 1 to {LONGEST_INVITATION}.")
    return given


def _answered(scenario: Scenario, added: Identifier, invitation: str, patience: float) -> tuple[Step, ...]:
    """The invited person's answer, as the scenario says, or the time-out if that comes before."""
    late = Step(event="", after=patience, code=408, subcode=10057)
    first = scenario.failure or next((step for step in scenario.steps if step.event == "CallConnected"), late)
    if first.after > patience:
        first = late
    event = "AddParticipantSucceeded" if first.event == "CallConnected" else "AddParticipantFailed"
    step = replace(first, event=event, fields={"participant": added}, copies=1, closes=invitation)
    return (step, UPDATED) if event == "AddParticipantSucceeded" else (step,)


def cancel_add(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    invitation = asked.content.get("invitationId")
    if not isinstance(invitation, str) or invitation not in call.invitations:
        raise Refused(404, "8522", "Invitation not found.")
    fields = {"invitation_id": invitation}
    failed = failing(call, "CancelAddParticipant", fields)
    if failed is None and call.close(invitation) is None:
        failed = _missed("CancelAddParticipantFailed", fields)
    done = Step(event="CancelAddParticipantSucceeded", fields=fields)
    turn = switchboard.operation(call, asked, 202, failed or done)
    content = {"invitationId": invitation} | turn.reply.content
    # What follows an answer to the invitation still comes.
    stopped = None if failed else f"{asked.call_id}/{invitation}"
    return replace(turn, reply=Reply(202, content), stopped=stopped)


def remove(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    removed = identifier(asked.content.get("participantToRemove"), "participantToRemove")
    fields = {"participant": removed}
    missed = None if sought(call, removed) else _missed("RemoveParticipantFailed", fields)
    failed = missed or failing(call, "RemoveParticipant", fields)
    if failed is not None:
        return switchboard.operation(call, asked, 202, failed)
    turn = switchboard.operation(call, asked, 202, Step(event="RemoveParticipantSucceeded", fields=fields), UPDATED)
    return replace(turn, scripts=(replace(turn.scripts[0], prelude=closing(call, holding(removed))),))


def mute(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    muted = [present(call, target) for target in targets(asked)]
    steps = () if all(each.muted for each in muted) else (UPDATED,)
    for each in muted:
        each.muted = True
    return switchboard.operation(call, asked, 200, *steps)


def move(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    other = switchboard.established(str(asked.content.get("fromCall")))
    if other is call:
        raise Refused(400, "8523", "fromCall is the call itself.")
    steps: list[Step] = []
    silenced: tuple[Script, ...] = ()
    for target in targets(asked):
        fields = {"participant": target, "from_call": other.call_connection_id}
        missed = None if sought(other, target) else _missed("MoveParticipantFailed", fields)
        failed = missed or failing(call, "MoveParticipant", fields)
        if failed is not None:
            steps.append(failed)
        else:
            other.leaves(target["rawId"])
            silenced += closing(other, holding(target))
            steps += [Step(event="MoveParticipantSucceeded", fields=fields), UPDATED]
    turn = switchboard.operation(call, asked, 202, *steps)
    scripts = turn.scripts
    if UPDATED in steps:
        name = f"{other.call_connection_id}/{switchboard.new_id()}"
        scripts += (Script(name, other, (UPDATED,), other.callback_uri, prelude=silenced),)
    content = {"participants": call.present(), "fromCall": other.call_connection_id}
    return Turn(Reply(202, content | turn.reply.content), scripts)


def present(call: Call, who: Identifier) -> Participant:
    """The participant. Raises :class:`Refused` for somebody who is not in the call."""
    found = call.participants.get(who["rawId"])
    if found is None:
        raise Refused(404, "8522", "Participant not found.")
    return found


def sought(call: Call, who: Identifier) -> Participant | None:
    """The participant; ``None`` for one whom the call invited or had before. Raises :class:`Refused` for a stranger."""
    return call.participants.get(who["rawId"]) if call.knows(who["rawId"]) else present(call, who)


def failing(call: Call, operation: str, fields: Mapping[str, Any]) -> Step | None:
    """The failure that the call's scenario has for the next such operation; ``None`` for a success."""
    step = call.scripted(operation)
    if step is None or not step.event.endswith("Failed"):
        return None
    return replace(step, fields={**step.fields, **fields})


def holding(who: Identifier) -> str:
    """The name under which the audio for somebody on hold is open."""
    return f"hold-{who['rawId']}/"


def _missed(event: str, fields: Mapping[str, Any]) -> Step:
    return Step(event=event, code=404, subcode=8522, fields=fields)


def targets(asked: Asked, name: str = "targetParticipants") -> list[Identifier]:
    """The people whom a request names, one at least. Raises :class:`Refused`."""
    given = asked.content.get(name)
    named = cast("list[object]", given) if isinstance(given, list) and given else [None]
    return [identifier(target, name) for target in named]
