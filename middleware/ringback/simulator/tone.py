"""The sound of a simulated call: a steady tone for each participant, as PCM and as a WAV file.

16-bit PCM, little-endian, in pieces of 20 ms:
https://learn.microsoft.com/azure/communication-services/concepts/call-automation/audio-streaming-concept
"""

from __future__ import annotations

import io
import math
import struct
import wave
from functools import lru_cache

PIECE = 0.02
"""Seconds of one piece of audio."""

RATE = 16_000
"""Samples per second, unless the app asks for another rate."""

LONGEST = 600.0
"""Seconds of the longest WAV file; ten minutes are 19 MB for each channel."""

_LOUDNESS = 8000


@lru_cache(maxsize=16)
def piece(rate: int, speaker: int = 0) -> bytes:
    """20 ms of the tone of a speaker: 400 Hz for the first, 50 Hz more for each further one.

    All of these tones have whole periods in 20 ms, so that the pieces join without a click.
    """
    count, pitch = round(rate * PIECE), 400 + 50 * speaker
    samples = (round(_LOUDNESS * math.sin(2 * math.pi * pitch * at / rate)) for at in range(count))
    return struct.pack(f"<{count}h", *samples)


def silence(rate: int) -> bytes:
    """20 ms without a sound."""
    return bytes(2 * round(rate * PIECE))


def wav(seconds: float, channels: int = 1) -> bytes:
    """A WAV file with a speaker's tone on each channel, ``LONGEST`` at most."""
    tones = [piece(RATE, speaker) for speaker in range(channels)]
    block = b"".join(tone[at : at + 2] for at in range(0, len(tones[0]), 2) for tone in tones)
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(block * round(min(seconds, LONGEST) / PIECE))
    return made.getvalue()
