"""The sound of a simulated call: tones whose pieces join without a click, and WAV files of them."""

from __future__ import annotations

import io
import struct
import wave
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.simulator.tone import LONGEST, piece, silence, wav


@pytest.mark.parametrize("rate", [16_000, 24_000])
@given(speaker=st.integers(0, 9))
def test_a_piece_lasts_20_ms_and_joins_the_next(rate: int, speaker: int) -> None:
    """The step over the joint is no larger than the largest step within."""
    samples = struct.unpack(f"<{rate // 50}h", piece(rate, speaker))
    steps = [abs(after - before) for before, after in pairwise(samples)]
    assert abs(samples[0] - samples[-1]) <= max(steps)
    assert silence(rate) == bytes(len(piece(rate, speaker)))


@pytest.mark.parametrize(("seconds", "channels", "frames"), [(0.0, 1, 0), (1.5, 1, 24_000), (0.02, 3, 320)])
def test_a_file_lasts_as_long_as_its_recording(seconds: float, channels: int, frames: int) -> None:
    """16 kHz, 16 bits; each channel has its own tone."""
    with wave.open(io.BytesIO(wav(seconds, channels))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (channels, 2, 16_000)
        assert file.getnframes() == frames
        content = file.readframes(frames)
    for channel in range(channels if frames == 320 else 0):
        assert b"".join(content[at : at + 2] for at in range(2 * channel, len(content), 2 * channels)) == piece(
            16_000, channel
        )


def test_a_file_has_an_end() -> None:
    """A call of days does not fill the memory."""
    with wave.open(io.BytesIO(wav(1e9))) as file:
        assert file.getnframes() == LONGEST * 16_000
