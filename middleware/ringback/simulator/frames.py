"""The text frames on the websocket of a stream: those that the service sends, and those that an app sends back.

https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/audio-streaming-quickstart
https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/real-time-transcription-tutorial
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringback.simulator.wire import object_of, stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

TICKS = 10_000_000
"""Offsets and durations are in ticks of 100 ns."""


@dataclass(slots=True)
class Heard:
    """What an app sent into the call: frames of audio, their bytes of PCM, and requests to stop the audio.

    ``refused`` counts what the service does not play: frames of another shape, and all of them unless the app asked
    for bidirectional streaming.
    """

    frames: int = 0
    audio: int = 0
    stops: int = 0
    refused: int = 0

    def take(self, text: str | bytes, *, played: bool) -> None:
        """Count one frame of the app; the names in a frame may be in any case, as Microsoft's samples write them."""
        kind, audio = _sent(text)
        if played and kind == "audiodata" and audio is not None:
            self.frames += 1
            self.audio += len(audio)
        elif played and kind == "stopaudio":
            self.stops += 1
        else:
            self.refused += 1


def audio_metadata(subscription_id: str, rate: int, length: int) -> str:
    """The first frame of an audio stream; ``length`` is the bytes of PCM in each frame."""
    return _frame(
        "AudioMetadata", subscriptionId=subscription_id, encoding="PCM", sampleRate=rate, channels=1, length=length
    )


def audio_data(pcm: bytes, at: float, participant: str | None, *, silent: bool = False) -> str:
    """20 ms of audio, ``at`` so many seconds since 1970. Mixed audio is of no single participant."""
    whose = {} if participant is None else {"participantRawID": participant}
    return _frame("AudioData", timestamp=stamp(at), **whose, data=base64.b64encode(pcm).decode(), silent=silent)


def dtmf_data(tone: str) -> str:
    """A key that somebody pressed: a digit, ``*`` or ``#``."""
    return _frame("DtmfData", data=tone)


def transcription_metadata(
    subscription_id: str, locale: str, call_connection_id: str, correlation_id: str, model: str | None
) -> str:
    """The first frame of a transcription; ``model`` is the id of the endpoint of a custom speech model."""
    return _frame(
        "TranscriptionMetadata",
        subscriptionId=subscription_id,
        locale=locale,
        callConnectionId=call_connection_id,
        correlationId=correlation_id,
        **({} if model is None else {"speechRecognitionModelEndpointId": model}),
    )


def transcription_data(words: Sequence[str], began: float, pace: float, participant: str | None, *, final: bool) -> str:
    """Words that were said: ``began`` so many seconds after the stream's beginning, one every ``pace`` seconds."""
    offset, each = round(began * TICKS), round(pace * TICKS)
    said = [{"text": word, "offset": offset + at * each, "duration": each} for at, word in enumerate(words)]
    details = {"confidence": 0.95, "words": said} if final else {}
    return _frame(
        "TranscriptionData",
        text=" ".join(words),
        format="display",
        offset=offset,
        duration=each * len(words),
        **details,
        participantRawID=participant,
        resultStatus="Final" if final else "Intermediate",
    )


def _frame(kind: str, **content: Any) -> str:
    return json.dumps({"kind": kind, kind[0].lower() + kind[1:]: content})


def _sent(text: str | bytes) -> tuple[str, bytes | None]:
    """The kind of an app's frame in lower case, and its audio; an empty kind if the frame is none."""
    try:
        frame = _lower(json.loads(text))
        data = _lower(frame.get("audiodata")).get("data")
        audio = base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except (ValueError, RecursionError):
        return "", None
    return str(frame.get("kind", "")).lower(), audio


def _lower(found: object) -> dict[str, Any]:
    return {name.lower(): value for name, value in object_of(found).items()}
