"""The calls of a simulator: each call's ids, participants and state."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError
from ringback.simulator.frames import Heard
from ringback.simulator.wire import Refused, object_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.simulator.scenarios import Callee, Scenario, Step
    from ringback.simulator.streaming import Subscription
    from ringback.simulator.turns import Open, Script
    from ringback.testing.grid import Schema

CALLER, CALLEE = "+15550100001", "+15550100002"
"""Who calls whom where nobody says. The numbers are reserved for fiction."""

Identifier = dict[str, Any]
"""A participant in the service's format: rawId, kind, and an object named after the kind."""


class Direction(StrEnum):
    """Who began the leg: the app called, the app was called, or the app joined an existing call."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    JOINED = "joined"


class State(StrEnum):
    """The values of ``callConnectionState``."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    TRANSFER_ACCEPTED = "transferAccepted"
    DISCONNECTING = "disconnecting"
    DISCONNECTED = "disconnected"


@dataclass(slots=True)
class Participant:
    """A participant of a call; the app is none."""

    identifier: Identifier
    muted: bool = False
    on_hold: bool = False

    def to_wire(self) -> dict[str, Any]:
        return {"identifier": self.identifier, "isMuted": self.muted, "isOnHold": self.on_hold}


@dataclass(slots=True)
class Call:
    """One leg of a call. Replies and events carry its ids.

    ``open`` is what ends with an event of its own, by name; ``queue`` are the scripts of prompts and recognitions that
    wait for their turn. ``counts`` says how many operations of a kind there were, ``stirred`` how often anything has
    happened, ``posting`` how many callbacks wait for their answer.
    ``invitations`` has every person who was invited, by the invitation's id; an invitation without an answer is
    ``open``. ``left`` has the raw ids of those who are gone.
    ``subscriptions`` are the streams that the app asked for, by kind: MediaStreaming and Transcription; ``heard`` is
    what the app sent into the call. ``cognitive`` says that the app gave an endpoint of Cognitive Services.
    """

    call_connection_id: str
    server_call_id: str = field(repr=False)
    correlation_id: str = field(repr=False)
    direction: Direction
    scenario: Scenario = field(repr=False)
    callback_uri: str = field(repr=False)
    targets: list[Identifier] = field(repr=False)
    version: str
    operation_context: str | None = field(default=None, repr=False)
    source: Identifier | None = field(default=None, repr=False)
    source_caller_id_number: Identifier | None = field(default=None, repr=False)
    state: State = State.CONNECTING
    participants: dict[str, Participant] = field(default_factory=dict[str, Participant], repr=False)
    invitations: dict[str, Identifier] = field(default_factory=dict[str, Identifier], repr=False)
    left: set[str] = field(default_factory=set[str], repr=False)
    open: dict[str, Open] = field(default_factory=dict["str", "Open"], repr=False)
    queue: list[Script] = field(default_factory=list["Script"], repr=False)
    counts: Counter[str] = field(default_factory=Counter[str], repr=False)
    stirred: int = field(default=0, repr=False)
    posting: int = field(default=0, repr=False)
    sequence_number: int = field(default=0, repr=False)
    subscriptions: dict[str, Subscription] = field(default_factory=dict["str", "Subscription"], repr=False)
    cognitive: bool = False
    heard: Heard = field(default_factory=Heard)

    def present(self) -> list[dict[str, Any]]:
        """The participants, in the service's format."""
        return [participant.to_wire() for participant in self.participants.values()]

    def joins(self, who: Identifier) -> None:
        """Note that somebody is in the call, neither muted nor on hold."""
        self.participants[who["rawId"]] = Participant(who)

    def leaves(self, raw_id: str) -> None:
        """Note that somebody is gone."""
        self.participants.pop(raw_id, None)
        self.left.add(raw_id)

    def knows(self, raw_id: str) -> bool:
        """Whether somebody is in the call, was in the call, or was invited."""
        invited = any(who["rawId"] == raw_id for who in self.invitations.values())
        return raw_id in self.participants or raw_id in self.left or invited

    @property
    def attended(self) -> bool:
        """Whether the callee stays on the line for what is open, or for a callback without an answer."""
        return self.posting > 0 or any(each.attended for each in self.open.values())

    def callee(self) -> Callee:
        """What the callee does at the next recognition."""
        return self.scenario.callee(self._next("Callee"))

    def scripted(self, operation: str) -> Step | None:
        """The scenario's event for the end of the next such operation, for example of the next ``Play``."""
        return self.scenario.result(operation, self._next(operation))

    def _next(self, what: str) -> int:
        self.counts[what] += 1
        return self.counts[what] - 1

    def close(self, name: str) -> Open | None:
        """Take what is open under this name out of the call, and release it. ``None`` if nothing is."""
        found = self.open.pop(name, None)
        if found is not None:
            found.release()
        return found

    @property
    def number(self) -> str | None:
        """The first phone number among the targets; ``None`` if there is none."""
        return next((number for target in self.targets if (number := number_of(target)) is not None), None)

    @property
    def ended(self) -> bool:
        return self.state in (State.DISCONNECTING, State.DISCONNECTED)

    def to_wire(self) -> dict[str, Any]:
        """``CallConnectionProperties``."""
        optional = {
            "operationContext": self.operation_context,
            "source": self.source,
            "sourceCallerIdNumber": self.source_caller_id_number,
        }
        streams = {f"{kind[0].lower()}{kind[1:]}": each.to_wire() for kind, each in self.subscriptions.items()}
        return {
            "callConnectionId": self.call_connection_id,
            "serverCallId": self.server_call_id,
            "correlationId": self.correlation_id,
            "callConnectionState": self.state.value,
            "callbackUri": self.callback_uri,
            "targets": self.targets,
            **{name: value for name, value in optional.items() if value is not None},
            **{f"{name}Subscription": value for name, value in streams.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Where a call comes in, and who calls whom: phone numbers or raw ids.

    ``to`` is the endpoint of the IncomingCall event, ``schema`` "eventgrid" or "cloudevents". ``scenario`` decides what
    follows the app's answer; ``None`` leaves that to the caller's number.
    """

    to: str = field(repr=False)
    caller: str = field(default=CALLER, repr=False)
    callee: str = field(default=CALLEE, repr=False)
    display_name: str = field(default="", repr=False)
    scenario: str | Scenario | None = None
    schema: Schema = "eventgrid"


@dataclass(slots=True)
class Incoming:
    """A call that rings for the app: ``state`` is ringing, answered, rejected or redirected.

    ``status`` is the status with which the app's endpoint answered the IncomingCall event, ``reason`` the app's
    reason for the rejection, ``call`` the leg after the app's answer.
    """

    context: str = field(repr=False)
    server_call_id: str = field(repr=False)
    correlation_id: str = field(repr=False)
    caller: Identifier = field(repr=False)
    callee: Identifier = field(repr=False)
    scenario: Scenario = field(repr=False)
    arrival: Arrival = field(repr=False)
    state: str = "ringing"
    status: int | None = None
    reason: str | None = None
    redirected_to: Identifier | None = field(default=None, repr=False)
    call: Call | None = None

    @property
    def accepted(self) -> bool:
        """Whether the endpoint took the event: the statuses that Event Grid takes for a success."""
        return self.status in (200, 201, 202, 203, 204)


def identifier(given: object, what: str) -> Identifier:
    """An identifier of a request, with the rawId and kind that the service adds. Raises :class:`Refused`."""
    content = object_of(given)
    for kind, (name, prefix) in _KINDS.items():
        value = object_of(content.get(kind)).get(name)
        if isinstance(value, str) and value:
            raw_id = content.get("rawId") or f"{prefix}{value}"
            return {"rawId": raw_id, "kind": kind, kind: content[kind]}
    if isinstance(content.get("rawId"), str) and content["rawId"]:
        return of_raw_id(content["rawId"])
    raise Refused(400, "8523", f"{what} is missing, or identifies nobody.")


def of_raw_id(raw_id: str) -> Identifier:
    """The identifier of a phone number or of a raw id such as ``4:+15550100200`` or ``8:acs:...``."""
    if raw_id.startswith("+"):
        raw_id = f"4:{raw_id}"
    for kind, (name, prefix) in _KINDS.items():
        if raw_id.startswith(prefix or "8:acs:"):
            return {"rawId": raw_id, "kind": kind, kind: {name: raw_id.removeprefix(prefix)}}
    return {"rawId": raw_id, "kind": "unknown"}


def party(text: str, name: str) -> str:
    """A phone number or a raw id as it was given. Raises :class:`ConfigurationError`, which does not repeat it."""
    if re.fullmatch(r"(4:)?\+[0-9]{3,15}|\d+:[!-~]+", text) is None:
        raise ConfigurationError(f"{name} is no phone number and no raw id; write for example +15550100001")
    return text


def number_of(given: Mapping[str, Any]) -> str | None:
    """The phone number of an identifier; ``None`` for another kind."""
    return given["phoneNumber"]["value"] if given.get("kind") == "phoneNumber" else None


# Kind: the member that holds the id, and the prefix of a raw id. A user's raw id is the id itself.
_KINDS = {
    "phoneNumber": ("value", "4:"),
    "communicationUser": ("id", ""),
    "microsoftTeamsUser": ("userId", "8:orgid:"),
    "microsoftTeamsApp": ("appId", "28:orgid:"),
}
