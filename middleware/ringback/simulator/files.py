"""The files of finished recordings: announced by Event Grid, served, and deleted.

https://learn.microsoft.com/azure/communication-services/concepts/voice-video-calling/call-recording
The client downloads from hosts of the service alone; any HTTP client downloads from here, without a signature.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ringback.simulator.arrivals import HandshakeFailed
from ringback.simulator.tone import RATE, wav
from ringback.simulator.wire import Refused, Reply, stamp
from ringback.testing.grid import recording_file_status_updated
from ringback.testing.signing import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.simulator.arrivals import Arrivals
    from ringback.simulator.recording import Recording
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.wire import Request

OBJECTS = "/v1/objects"

_MADE = 0.1
"""Seconds from the end of a recording to its file; the service takes minutes."""

_OBJECT = re.compile(rf"{OBJECTS}/(?P<document>[^/]+)(?:/content/(?P<part>audio|video|acsmetadata))?")


class Files:
    """``url`` gives the simulator's own address, ``grid`` is where Event Grid's events go, ``None`` for nowhere."""

    def __init__(
        self, switchboard: Switchboard, arrivals: Arrivals, *, grid: str | None, url: Callable[[], str]
    ) -> None:
        self._switchboard = switchboard
        self._outside = switchboard.outside
        self._arrivals = arrivals
        self._grid = grid
        self._url = url

    def ready(self, recording: Recording) -> None:
        """Announce the file of a recording that has ended. A recording that was never resumed has none."""
        if self._grid is not None and recording.recorded > 0:
            self._arrivals.later(self._announce(recording, self._grid))

    def answer(self, request: Request) -> Reply:
        """Serve or delete a file. 404 for a recording that is unknown, goes on, or has been deleted."""
        found = _OBJECT.fullmatch(request.path)
        document, part = (found["document"], found["part"]) if found is not None else (None, None)
        recording = next((each for each in self._switchboard.recordings if each.document == document), None)
        if recording is not None and recording.ended is not None and not recording.deleted:
            if (request.method, part) == ("DELETE", None):
                recording.deleted = True
                return Reply(200)
            if (request.method, part) == ("GET", "acsmetadata"):
                return Reply(200, _metadata(recording))
            if request.method == "GET" and part is not None:
                # A WAV file whatever the format: a tone, or one on each participant's channel.
                return Reply(200, wav(recording.recorded, _channels(recording)))
        return Refused(404, "NotFound", "There is no such file.").reply

    async def _announce(self, recording: Recording, grid: str) -> None:
        await self._outside.sleep(_MADE)
        call = recording.call
        event = recording_file_status_updated(
            call=self._switchboard.ids(
                call_connection_id=recording.leg, server_call_id=call.server_call_id, correlation_id=call.correlation_id
            ),
            document=recording.document,
            place=f"{self._url()}{OBJECTS}",
            content="audio" if recording.content == "audio" else "video",
            start=datetime.fromtimestamp(recording.began, UTC),
            duration=recording.recorded,
        )
        try:
            await self._arrivals.subscribed(grid, "eventgrid")
        except HandshakeFailed as failed:
            self._outside.say(str(failed))
        else:
            await self._arrivals.deliver("RecordingFileStatusUpdated", grid, event)


def _metadata(recording: Recording) -> dict[str, Any]:
    """The file that says what a recording holds."""
    channels = _channels(recording)
    return {
        "resourceId": AUDIENCE,
        "callId": recording.call.correlation_id,
        "chunkDocumentId": recording.document,
        "chunkIndex": 0,
        "chunkStartTime": stamp(recording.began),
        "chunkDuration": round(recording.recorded * 1000, 3),
        "pauseResumeIntervals": [
            {"startTime": stamp(start), "duration": round((end - start) * 1000, 3)}
            for start, end in recording.pauses
            if end is not None
        ],
        "recordingInfo": {
            "contentType": recording.content,
            "channelType": recording.channel,
            "format": recording.format,
            "audioConfiguration": {"sampleRate": RATE, "bitRate": RATE * 16 * channels, "channels": channels},
        },
        "participants": [
            {"participantId": raw_id, **({"channel": at} if recording.channel == "unmixed" else {})}
            for at, raw_id in enumerate(recording.call.participants)
        ],
    }


def _channels(recording: Recording) -> int:
    return max(1, len(recording.call.participants)) if recording.channel == "unmixed" else 1
