"""A parsed request and the turn that it causes: the reply, scripts that begin or stop, and what is open in a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.simulator.calls import Direction, Participant, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ringback.simulator.calls import Call, Incoming
    from ringback.simulator.scenarios import Step


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed request: the JSON object, the API version, and the names in the path."""

    content: Mapping[str, Any] = field(repr=False)
    version: str
    call_id: str = ""
    raw_id: str = field(default="", repr=False)
    recording_id: str = field(default="", repr=False)
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

    def address(self, step: Step) -> str:
        """Where the event of a step is posted."""
        return self.call.callback_uri if step.event in OF_THE_CALL else self.uri


@dataclass(frozen=True, slots=True)
class Turn:
    """What a good request brings: ``content`` is the JSON of the reply, and ``None`` an empty body.

    The courier stops the scripts whose keys begin with ``stopped``. ``rings`` is a call that comes in because of the
    request.
    """

    content: Mapping[str, Any] | None = field(default=None, repr=False)
    scripts: tuple[Script, ...] = ()
    stopped: str | None = None
    rings: Incoming | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """What is open in a call, under a name of its own: a prompt, an invitation, a stream.

    A step with ``closes=name`` closes the thing when the courier posts the step. If the call ends first, the courier
    posts this ``step``, with the operation's own ``context`` and callback ``uri``, before the event that ends the call;
    without a step it posts nothing. ``release`` is called once, in the simulator's loop, when the thing closes in
    either way. ``attended``: a callee who hangs up when the call has gone quiet (``Step.quiet``) waits for the thing.
    """

    step: Step | None
    uri: str = field(repr=False)
    context: str | None = field(default=None, repr=False)
    release: Callable[[], object] = field(default=lambda: None, repr=False)
    attended: bool = True


ENDS = frozenset({"CallDisconnected", "CreateCallFailed", "AnswerFailed", "ConnectFailed"})
"""The events that end a call."""

JOINS = frozenset({"AddParticipantSucceeded", "MoveParticipantSucceeded"})
"""The events that somebody has come into a call."""

OF_THE_CALL = ENDS | {"CallConnected", "ParticipantsUpdated"}
"""The events that are none of an operation: the service posts them to the call's own callback URI."""


def happened(script: Script, step: Step) -> None:
    """Change the script's call as the event says that the courier is about to post."""
    call, event = script.call, step.event
    if event == "CallConnected":
        call.state = State.CONNECTED
        present = [call.source] if call.direction is Direction.INBOUND else call.targets
        call.participants = {who["rawId"]: Participant(who) for who in present if who is not None}
    elif event in ENDS:
        call.state = State.DISCONNECTED
    elif event == "CallTransferAccepted":
        if len(call.participants) > 1:
            call.leaves(step.fields["transferee"]["rawId"])
        else:
            call.state = State.TRANSFER_ACCEPTED
    elif event in JOINS:
        call.joins(step.fields["participant"])
    elif event == "RemoveParticipantSucceeded":
        call.leaves(step.fields["participant"]["rawId"])
    if step.closes is not None:
        call.close(step.closes)


def closing(call: Call, prefix: str = "") -> tuple[Script, ...]:
    """Close what is open under names that begin with ``prefix``, the oldest first: one script of one event for each.

    What waits in the call's queue under such a name does not begin any more.
    """
    key = f"{call.call_connection_id}/{prefix}"
    call.queue = [script for script in call.queue if not script.key.startswith(key)]
    return tuple(
        Script(
            f"{call.call_connection_id}/{name}",
            call,
            () if found.step is None else (found.step,),
            found.uri,
            found.context,
        )
        for name in [name for name in call.open if name.startswith(prefix)]
        if (found := call.close(name)) is not None
    )
