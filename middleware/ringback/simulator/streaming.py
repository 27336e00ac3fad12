"""Media streaming and transcription of a call: what the app subscribes to, and what starts and stops it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ringback.simulator.calls import Direction
from ringback.simulator.scenarios import Step
from ringback.simulator.tone import RATE
from ringback.simulator.wire import Refused, object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ringback.simulator.calls import Call
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked, Turn

STREAMING, TRANSCRIPTION = "MediaStreaming", "Transcription"
"""What the names of the events begin with."""

ACTIONS = {
    "startMediaStreaming": (STREAMING, "Started"),
    "stopMediaStreaming": (STREAMING, "Stopped"),
    "startTranscription": (TRANSCRIPTION, "Started"),
    "stopTranscription": (TRANSCRIPTION, "Stopped"),
    "updateTranscription": (TRANSCRIPTION, "Updated"),
}
"""The stream that an action concerns, and the end of the name of the event that follows."""

RATES = {"pcm16KMono": RATE, "pcm24KMono": 24_000}
"""Samples per second of an ``audioFormat``."""


@dataclass(slots=True)
class Subscription:
    """A stream that a call may have. ``kind`` is MediaStreaming or Transcription, ``options`` are those of the app.

    ``state`` is inactive, active, or disabled where the app gave no URL. ``stopping`` says that a stop has been
    accepted and is not reported yet. ``sent`` counts the frames to the app.
    """

    kind: str
    id: str
    options: Mapping[str, Any] = field(repr=False)
    state: str = "inactive"
    stopping: bool = False
    locale: str | None = None
    model: str | None = field(default=None, repr=False)
    sent: int = 0

    @property
    def url(self) -> str | None:
        """The address of the app's websocket server; ``None`` for an empty one."""
        return self.options.get("transportUrl") or None

    @property
    def starts(self) -> bool:
        """Whether the stream starts as soon as the call is connected."""
        return self.options.get(f"start{self.kind}") is True

    @property
    def rate(self) -> int:
        """Samples of audio per second."""
        return RATES[self.options.get("audioFormat", "pcm16KMono")]

    def to_wire(self) -> dict[str, Any]:
        """``MediaStreamingSubscription`` or ``TranscriptionSubscription``."""
        shared = {"id": self.id, "state": self.state}
        if self.kind == STREAMING:
            return {**shared, "subscribedContentTypes": ["audio"]}
        intermediate = ["intermediate"] if self.options.get("enableIntermediateResults") else []
        return {**shared, "subscribedResultTypes": [*intermediate, "final"], "locale": self.locale}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a stream does not run: the result of the event, and its status details."""

    code: int
    subcode: int
    message: str = field(repr=False)
    details: str


# https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/real-time-transcription-tutorial has
# the faults of transcription. Nothing is documented for media streaming: 400/8581 has been seen, the others are alike.
NO_URL = Fault(405, 8522, "Request not allowed when {kind} url not set during call setup.", "streamUrlMissing")
NO_SPEECH = Fault(
    405, 8522, "Request not allowed when Cognitive Service Configuration not set during call setup.", "badRequest"
)
BAD_URL = Fault(400, 8581, "Action failed, StreamUrl isn't valid.", "streamConnectionUnsuccessful")
UNREACHABLE = {
    STREAMING: Fault(
        400,
        8581,
        "Action failed, Transport url is not valid or web socket server is not operational.",
        "initialWebSocketConnectionFailed",
    ),
    TRANSCRIPTION: Fault(
        500, 8578, "Action failed, not able to establish WebSocket connection.", "streamConnectionUnsuccessful"
    ),
}
LOST = {
    STREAMING: Fault(500, 8603, "Action failed, media streaming failed.", "streamConnectionInterrupted"),
    TRANSCRIPTION: Fault(500, 8578, "Action failed, transcription failed.", "streamConnectionInterrupted"),
}
RUNNING = Fault(412, 8583, "Action failed, {kind} is running already.", "badRequest")
NOT_RUNNING = Fault(412, 8583, "Action failed, {kind} is not running.", "badRequest")
NO_LOCALE = Fault(400, 8523, "Invalid Request, locale is missing.", "badRequest")
NO_REGION = Fault(
    400, 8523, "Invalid Request, only locales that contain region information are supported.", "badRequest"
)
JOINED = Fault(
    405, 8520, "UpdateTranscription is not supported for connection created with Connect interface.", "badRequest"
)


def subscriptions(asked: Asked, new_id: Callable[[], str]) -> dict[str, Subscription]:
    """The streams that the app subscribes to with a call, by kind. Raises :class:`Refused` for wrong options."""
    found: dict[str, Subscription] = {}
    for kind, rules in _OPTIONS.items():
        name = f"{kind[0].lower()}{kind[1:]}Options"
        if (given := asked.content.get(name)) is None:
            continue
        options = object_of(given)
        for option, (required, allowed) in rules.items():
            value = options.get(option)
            if (value is None or value == "") and required:
                raise Refused(400, "8523", f"{name}.{option} is missing.")
            if value is not None and (not isinstance(value, str) or value not in (allowed or (value,))):
                raise Refused(400, "8523", f"{name}.{option} is none of {', '.join(allowed) or 'text'}.")
        found[kind] = Subscription(
            kind,
            new_id(),
            options,
            state="inactive" if options.get("transportUrl") else "disabled",
            locale=options.get("locale"),
            model=options.get("speechModelEndpointId"),
        )
    return found


def begun(call: Call, steps: Sequence[Step]) -> list[Step]:
    """The steps of a call's scenario with those of the streams that start when the call is connected."""
    starting = [
        Step(event=f"{each.kind}Started") if fault is None else failed(each.kind, fault)
        for each in call.subscriptions.values()
        if each.starts
        for fault in [_fault(call, each.kind, "Started")]
    ]
    events = [step.event for step in steps]
    if not starting or "CallConnected" not in events:
        return list(steps)
    at = events.index("CallConnected") + 1
    at += events[at : at + 1] == ["ParticipantsUpdated"]
    return [*steps[:at], *starting, *steps[at:]]


def stream(switchboard: Switchboard, asked: Asked) -> Turn:
    """Start, stop or update a stream: a fault is an event, and the request is accepted."""
    call = switchboard.established(asked.call_id)
    kind, ending = ACTIONS[asked.action]
    fault = _fault(call, kind, ending, asked.content.get("locale"))
    if fault is not None:
        step = failed(kind, fault)
    else:
        step = Step(event=f"{kind}{ending}", closes=kind if ending == "Stopped" else None)
        subscription = call.subscriptions[kind]
        subscription.stopping = ending == "Stopped"
        subscription.locale = asked.content.get("locale") or subscription.locale
        subscription.model = asked.content.get("speechModelEndpointId") or subscription.model
    return replace(switchboard.operation(call, asked, step), content=None)


def failed(kind: str, fault: Fault, closes: str | None = None) -> Step:
    """The event of a fault."""
    name = f"{kind[0].lower()}{kind[1:]}"
    update = {f"{name}Status": f"{name}Failed", f"{name}StatusDetails": fault.details}
    if kind == STREAMING:
        fields = {"media_streaming_update": {"contentType": "Audio", **update}}
    else:
        fields = {"transcription_update": update}
    return Step(
        event=f"{kind}Failed",
        code=fault.code,
        subcode=fault.subcode,
        message=fault.message.format(kind=_SPOKEN[kind]),
        fields=fields,
        closes=closes,
    )


def _fault(call: Call, kind: str, ending: str, locale: object = None) -> Fault | None:
    """Why the stream cannot be started, stopped or updated; ``None`` if it can."""
    if ending == "Updated":
        if call.direction is Direction.JOINED:
            return JOINED
        if not locale:
            return NO_LOCALE
        if "-" not in str(locale):
            return NO_REGION
    subscription = call.subscriptions.get(kind)
    if subscription is None or subscription.url is None:
        return NO_URL
    if ending != "Started":
        return None if subscription.state == "active" and not subscription.stopping else NOT_RUNNING
    if kind == TRANSCRIPTION and not call.cognitive:
        return NO_SPEECH
    return RUNNING if subscription.state == "active" else None


_SPOKEN = {STREAMING: "Media streaming", TRANSCRIPTION: "Transcription"}

# Whether an option is required, and the values that it may have: of the client's generated models.
_OPTIONS: Mapping[str, Mapping[str, tuple[bool, tuple[str, ...]]]] = {
    STREAMING: {
        "transportType": (True, ("websocket",)),
        "transportUrl": (False, ()),
        "audioChannelType": (True, ("mixed", "unmixed")),
        "contentType": (False, ("audio",)),
        "audioFormat": (False, tuple(RATES)),
    },
    TRANSCRIPTION: {"transportType": (True, ("websocket",)), "transportUrl": (False, ()), "locale": (True, ())},
}
