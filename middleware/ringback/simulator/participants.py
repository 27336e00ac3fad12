"""The operations on participants: list, get, add, remove, mute, move, hold with or without audio, and unhold.

A request that names somebody whom the call never had is refused with 404, 8522. A request that names somebody whom the
call had or invited before is accepted, and ends with its Failed event. Microsoft documents the code and the events, and
not where one ends and the other begins.
https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/actions-for-call-control
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ringback.simulator.calls import Participant, identifier, number_of, of_raw_id
from ringback.simulator.prompts import seconds, sources
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Script, Turn, closing
from ringback.simulator.wire import Refused, list_of

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
    return Turn({"value": switchboard.found(asked.call_id).present()})


def one(switchboard: Switchboard, asked: Asked) -> Turn:
    return Turn(present(switchboard.found(asked.call_id), of_raw_id(asked.raw_id)).to_wire())


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
    content = {"participant": Participant(added).to_wire(), "invitationId": invitation}
    return switchboard.operation(call, asked, *steps, key=invitation, content=content)


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
    turn = switchboard.operation(call, asked, failed or done, content={"invitationId": invitation})
    # What follows an answer to the invitation still comes.
    return replace(turn, stopped=None if failed else f"{asked.call_id}/{invitation}")


def remove(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    removed = identifier(asked.content.get("participantToRemove"), "participantToRemove")
    fields = {"participant": removed}
    missed = None if sought(call, removed) else _missed("RemoveParticipantFailed", fields)
    failed = missed or failing(call, "RemoveParticipant", fields)
    if failed is not None:
        return switchboard.operation(call, asked, failed)
    turn = switchboard.operation(call, asked, Step(event="RemoveParticipantSucceeded", fields=fields), UPDATED)
    return replace(turn, scripts=(replace(turn.scripts[0], prelude=closing(call, holding(removed))),))


def mute(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    muted = [present(call, target) for target in targets(asked)]
    steps = () if all(each.muted for each in muted) else (UPDATED,)
    for each in muted:
        each.muted = True
    return switchboard.operation(call, asked, *steps)


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
    content = {"participants": call.present(), "fromCall": other.call_connection_id}
    turn = switchboard.operation(call, asked, *steps, content=content)
    if UPDATED not in steps:
        return turn
    name = f"{other.call_connection_id}/{switchboard.new_id()}"
    updated = Script(name, other, (UPDATED,), other.callback_uri, prelude=silenced)
    return replace(turn, scripts=(*turn.scripts, updated))


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
    return replace(switchboard.operation(call, asked, *steps), content=None)


def unhold(switchboard: Switchboard, asked: Asked) -> Turn:
    call = switchboard.established(asked.call_id)
    who = identifier(asked.content.get("targetParticipant"), "targetParticipant")
    held = sought(call, who)
    if held is None:
        return replace(switchboard.operation(call, asked, _ABSENT), content=None)
    steps = (UPDATED,) if held.on_hold else ()
    held.on_hold = False
    # The audio is of the operation that began it, and so are its context and its address.
    key = f"{asked.call_id}/{switchboard.new_id()}"
    return Turn(scripts=(Script(key, call, steps, call.callback_uri, prelude=closing(call, holding(who))),))


def announce(switchboard: Switchboard, asked: Asked) -> Turn:
    """Play a prompt into the audio of people on hold, which pauses and goes on. An operation of the preview API.

    https://learn.microsoft.com/dotnet/api/azure.communication.callautomation.callmedia.interruptaudioandannounceasync
    """
    call = switchboard.established(asked.call_id)
    played = sources(asked.content)
    listeners = [present(call, who).identifier for who in targets(asked, "playTo")]
    lasts = seconds(played, "playSources")
    name = f"announcement-{switchboard.new_id()}"
    steps = [Step(event="PlayStarted"), Step(event="PlayCompleted", after=lasts, closes=name)]
    if any(holding(who) in call.open for who in listeners):
        steps = [Step(event="HoldAudioPaused"), *steps, Step(event="HoldAudioResumed")]
    turn = switchboard.operation(call, asked, *steps, key=name)
    switchboard.opens(call, asked, name, Step(event="PlayCanceled"))
    return replace(turn, content=None)


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
    return [identifier(target, name) for target in list_of(asked.content.get(name)) or [None]]


# The generic subcode for somebody who is not present, among those of media operations:
# https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/voice-video-calling/troubleshooting-codes
_ABSENT = Step(event="HoldFailed", code=400, subcode=8558)
