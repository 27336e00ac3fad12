"""Recordings of calls: start, state, pause, resume and stop, and the events that report the state.

https://learn.microsoft.com/azure/communication-services/concepts/voice-video-calling/call-recording
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.simulator.calls import State
from ringback.simulator.scenarios import Step
from ringback.simulator.turns import Open, Script, Turn
from ringback.simulator.wire import Refused, object_of
from ringback.testing.calls import Call as Ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.simulator.calls import Call
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked

FORMATS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("audioVideo", "mixed"): ("mp4",),
    ("audio", "mixed"): ("mp3", "wav"),
    ("audio", "unmixed"): ("wav",),
}
"""The formats of a content and a channel type; the first one is the default."""


@dataclass(slots=True)
class Recording:
    """The recording of one call. ``leg`` is its own ``callConnectionId``; times are in seconds since 1970.

    ``resumed`` is when the recording went on last, ``None`` while it is paused; ``recorded`` are the seconds
    before that.
    """

    id: str = field(repr=False)
    leg: str
    document: str
    call: Call = field(repr=False)
    callback_uri: str = field(repr=False)
    content: str
    channel: str
    format: str
    began: float
    resumed: float | None = None
    recorded: float = 0.0
    pauses: list[tuple[float, float | None]] = field(default_factory=list[tuple[float, "float | None"]], repr=False)
    ended: float | None = None
    deleted: bool = False

    @property
    def state(self) -> str:
        return "inactive" if self.resumed is None else "active"

    def pause(self, now: float) -> None:
        if self.resumed is not None:
            self.recorded += now - self.resumed
            self.resumed = None
            self.pauses.append((now, None))

    def resume(self, now: float) -> None:
        self.resumed = now
        if self.pauses:
            self.pauses[-1] = (self.pauses[-1][0], now)

    def end(self, now: float) -> None:
        self.pause(now)
        self.ended = now

    def to_wire(self) -> dict[str, Any]:
        """``RecordingStateResponse``."""
        return {"recordingId": self.id, "recordingState": self.state, "recordingKind": "azureCommunicationServices"}


def start(switchboard: Switchboard, asked: Asked) -> Turn:
    call = _recorded_call(switchboard, asked)
    content, channel, kind = _mode(asked)
    uri = ""
    if asked.content.get("recordingStateCallbackUri") is not None:
        uri = switchboard.callback_uri(asked, "recordingStateCallbackUri")
    if any(each.call.server_call_id == call.server_call_id for each in _running(switchboard)):
        raise Refused(400, "8553", "Duplicate recording: the call is being recorded already.")
    leg, now = switchboard.new_id(), switchboard.outside.clock()
    recording = Recording(
        id=Ids(call_connection_id=leg).recording_id,
        leg=leg,
        document=f"0-sim-d1-{leg.replace('-', '')}",
        call=call,
        callback_uri=uri,
        content=content,
        channel=channel,
        format=kind,
        began=now,
    )
    if asked.content.get("pauseOnStart") is not True:
        recording.resume(now)
    switchboard.recordings.append(recording)

    def release() -> None:
        recording.end(switchboard.outside.clock())
        switchboard.outside.filed(recording)

    step = _told(recording, "inactive") if uri else None
    call.open[_name(recording)] = Open(step, uri, None, release, attended=False)
    return _turn(switchboard, recording, recording.to_wire())


def state(switchboard: Switchboard, asked: Asked) -> Turn:
    return Turn(_found(switchboard, asked).to_wire())


def pause(switchboard: Switchboard, asked: Asked) -> Turn:
    """Pause a recording, or resume a paused one."""
    recording = _found(switchboard, asked)
    if (recording.state == "active") != (asked.action == "pause"):
        raise Refused(400, "8573", f"The recording is {recording.state}: there is nothing to {asked.action}.")
    change = recording.pause if asked.action == "pause" else recording.resume
    change(switchboard.outside.clock())
    return _turn(switchboard, recording)


def stop(switchboard: Switchboard, asked: Asked) -> Turn:
    recording = _found(switchboard, asked)
    recording.call.close(_name(recording))
    return _turn(switchboard, recording)


def _turn(switchboard: Switchboard, recording: Recording, content: Mapping[str, Any] | None = None) -> Turn:
    if not recording.callback_uri:
        return Turn(content)
    # The key begins with the recording's own leg, so that the end of the call does not stop the script.
    key = f"{recording.leg}/{switchboard.new_id()}"
    steps = (_told(recording, recording.state),)
    return Turn(content, (Script(key, recording.call, steps, recording.callback_uri),))


def _told(recording: Recording, told: str) -> Step:
    fields: dict[str, Any] = {"state": told}
    if told == "inactive":
        # As the recorded deliveries have it.
        fields["start_date_time"] = "0001-01-01T00:00:00+00:00"
    return Step(event="RecordingStateChanged", leg=recording.leg, fields=fields)


def _name(recording: Recording) -> str:
    return f"recording-{recording.leg}"


def _running(switchboard: Switchboard) -> list[Recording]:
    return [each for each in switchboard.recordings if each.ended is None]


def _found(switchboard: Switchboard, asked: Asked) -> Recording:
    """The recording that goes on. Raises :class:`Refused` if there is none of this id, or it has ended."""
    found = next((each for each in _running(switchboard) if each.id == asked.recording_id), None)
    if found is None:
        raise Refused(404, "8522", "Recording not found.")
    return found


def _recorded_call(switchboard: Switchboard, asked: Asked) -> Call:
    locator = object_of(asked.content.get("callLocator"))
    call_id, server_call_id = asked.content.get("callConnectionId"), locator.get("serverCallId")
    if not call_id and not locator:
        raise Refused(400, "8523", "callLocator and callConnectionId are missing; give one of them.")
    legs = [call for call in switchboard.calls if not call.ended]
    found = next(
        (leg for leg in legs if leg.call_connection_id == call_id or leg.server_call_id == server_call_id), None
    )
    if found is None:
        raise Refused(404, "8522", "Call not found; the simulator finds calls by serverCallId and callConnectionId.")
    if found.state is State.CONNECTING:
        raise Refused(400, "8501", "Action is not supported: the call is not established.")
    return found


def _mode(asked: Asked) -> tuple[str, str, str]:
    """The content, the channels and the format that the app asks for. Raises :class:`Refused` for what cannot be."""
    content = _choice(asked, "recordingContentType", ("audioVideo", "audio"))
    channel = _choice(asked, "recordingChannelType", ("mixed", "unmixed"))
    formats = FORMATS.get((content, channel))
    if formats is None:
        raise Refused(400, "8562", f"The recording mode is not supported: {content}, {channel}.")
    kind = _choice(asked, "recordingFormatType", (formats[0], "wav", "mp3", "mp4"))
    if kind not in formats:
        raise Refused(400, "8557", f"Wrong format type: {content}, {channel} can be {' or '.join(formats)}.")
    return content, channel, kind


def _choice(asked: Asked, name: str, allowed: tuple[str, ...]) -> str:
    """The value of an option in the service's spelling; the first one allowed is the default."""
    value = asked.content.get(name) or allowed[0]
    found = next((each for each in allowed if each.lower() == str(value).lower()), None)
    if found is None:
        raise Refused(400, "8523", f"{name} is none of {', '.join(sorted(set(allowed)))}.")
    return found
