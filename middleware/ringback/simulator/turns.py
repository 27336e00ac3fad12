"""A parsed request, and the turn that it causes: a reply, scripts that begin, and scripts that stop."""

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
    """A parsed request: the JSON object, the API version, and the names in the path."""

    content: Mapping[str, Any] = field(repr=False)
    version: str
    call_id: str = ""
    raw_id: str = field(default="", repr=False)
    action: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """The events that follow one request. The courier stops a script by ``key``, and posts the events to ``uri``.

    The events of the scripts in ``prelude`` come first, each to its own address.
    """

    key: str
    call: Call = field(repr=False)
    steps: tuple[Step, ...]
    uri: str = field(repr=False)
    context: str | None = field(default=None, repr=False)
    prelude: tuple[Script, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """The result of one request. The courier stops the scripts whose keys begin with ``stopped``."""

    reply: Reply
    scripts: tuple[Script, ...] = ()
    stopped: str | None = None


ENDS = frozenset({"CallDisconnected", "CreateCallFailed", "AnswerFailed", "ConnectFailed"})
"""The events that end a call."""


def happened(script: Script, step: Step) -> None:
    """Change the script's call as the event says that the courier is about to post."""
    call, event = script.call, step.event
    if event == "CallConnected":
        call.state = State.CONNECTED
        present = call.targets if call.direction is Direction.OUTBOUND else [call.source]
        call.participants = {who["rawId"]: Participant(who) for who in present if who is not None}
    elif event in ENDS:
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
    if step.closes is not None:
        call.close(step.closes)
