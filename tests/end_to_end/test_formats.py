"""One recording in the formats that people have: the words stay the same."""

from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.corpus import Recording, conversation
from benchmarks.scoring import word_error_rate
from support.transcripts import Caller

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def recording() -> Recording:
    return conversation(10)


def encoded(recording: Recording, path: Path, codec: str, rate: int, layout: str = "mono") -> Path:
    """The recording written by FFmpeg; MP4 puts its index at the end."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.expand_dims(recording.samples, 0), format="s16", layout="mono")
        frame.sample_rate = 16_000
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("telephone.wav", "pcm_s16le", 8_000, "mono"),
        ("studio.wav", "pcm_s16le", 48_000, "stereo"),
        ("podcast.mp3", "libmp3lame", 44_100, "stereo"),
        ("voice-memo.m4a", "aac", 44_100, "mono"),
        ("call.ogg", "libopus", 48_000, "mono"),
    ],
)
async def test_words_survive_the_format(
    caller: Caller, recording: Recording, tmp_path: Path, name: str, codec: str, rate: int, layout: str
) -> None:
    transcript = await caller.transcribe_file(encoded(recording, tmp_path / name, codec, rate, layout))
    assert word_error_rate(recording, transcript.text) <= 0.35
    assert transcript.started is not None
    assert transcript.started.recording.sample_rate_hz == rate
