"""The sample recording: two people on the telephone, 30 s, mono 16 kHz."""

import importlib.util
import wave
from pathlib import Path

import numpy as np
import pytest

from asr_service.engines.base import Samples


@pytest.fixture(scope="session")
def sample_pcm() -> bytes:
    """s16 bytes of pyannote.audio's sample.wav; the package is found, not imported."""
    # The package around it first: where that is missing, looking inside it raises.
    spec = importlib.util.find_spec("pyannote") and importlib.util.find_spec("pyannote.audio")
    if spec is None or spec.origin is None:
        pytest.fail("pyannote.audio is not installed, and the sample recording with it")
    with wave.open(str(Path(spec.origin).parent / "sample" / "sample.wav")) as file:
        return file.readframes(file.getnframes())


@pytest.fixture(scope="session")
def sample(sample_pcm: bytes) -> Samples:
    return np.frombuffer(sample_pcm, np.int16).astype(np.float32) / 32768
