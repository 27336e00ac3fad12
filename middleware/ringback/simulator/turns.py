"""What a request asks for and leads to: a reply, the scripts of events that begin, and those that end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.simulator.calls import Direction, Participant, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.simulator.calls import Call
    from ringback.simulator.scenarios import Step
    from ringback.simulator.wire import Reply


@dataclass(frozen=True, slots=True)
class Asked:
    """A request once it was read: its JSON object, the API version, and what its path names."""

    content: Mapping[str, Any] = field(repr=False)
    version: str
    call_id: str = ""
    raw_id: str = field(default="", repr=False)
    action: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """Events that follow one request: ``key`` names it, so that it can be stopped; ``uri`` gets the callbacks."""

    key: str
    call: Call = field(repr=False)
    steps: tuple[Step, ...]
    uri: str = field(repr=False)
    context: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one request leads to; ``stopped`` are the beginnings of keys."""

    reply: Reply
    scripts: tuple[Script, ...] = ()
    stopped: str | None = None


def happened(script: Script, step: Step) -> None:
    """What an event that is about to be posted has changed in its call."""
    call, event = script.call, step.event
    if event == "CallConnected":
        call.state = State.CONNECTED
        present = call.targets if call.direction is Direction.OUTBOUND else [call.source]
        call.participants = {each["rawId"]: Participant(each) for each in present if each is not None}
    elif event in ("CallDisconnected", "CreateCallFailed", "AnswerFailed", "ConnectFailed"):
        call.state = State.DISCONNECTED
    elif event == "CallTransferAccepted":
        call.state = State.TRANSFER_ACCEPTED
    elif event in ("AddParticipantSucceeded", "AddParticipantFailed"):
        added = call.invitations.pop(script.key.rpartition("/")[2])
        if event == "AddParticipantSucceeded":
            call.participants[added["rawId"]] = Participant(added)
    elif event == "MoveParticipantSucceeded":
        call.participants[step.fields["participant"]["rawId"]] = Participant(step.fields["participant"])
    elif event == "RemoveParticipantSucceeded":
        call.participants.pop(step.fields["participant"]["rawId"], None)
    call.media.pop(script.key, None)
