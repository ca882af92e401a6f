"""The default set as it was pulled, on pyannote.audio's sample: two speakers, 30 s, with its words."""

import importlib.util
import re
import wave
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import sherpa_onnx
import torch

from serving.models import ModelStore
from serving.models.pull import fetch

pytestmark = [
    pytest.mark.models,
    # pyannote.audio says at import that torchcodec does not load; no file is read through it here.
    pytest.mark.filterwarnings("ignore"),
]

RATE = 16000
# From the transcript beside the recording: one piece each that begins and ends with a turn, below 30 s.
PIECES = ((6.5, 14.3), (14.3, 30.0))


@pytest.fixture(scope="session")
def store() -> ModelStore:
    store = ModelStore()
    store.pull()
    return store


@pytest.fixture(scope="session")
def sample() -> Path:
    spec = importlib.util.find_spec("pyannote.audio")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "sample" / "sample.wav"


@pytest.fixture(scope="session")
def audio(sample: Path) -> npt.NDArray[np.float32]:
    with wave.open(str(sample)) as file:
        assert file.getframerate() == RATE
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


def said(sample: Path, start: float, end: float) -> str:
    """Words of the STM transcript (file channel speaker start end words) that begin within the piece."""
    lines = (line.split(maxsplit=5) for line in sample.with_suffix(".stm").read_text().splitlines())
    return plain(" ".join(words for _, _, _, begin, _, words in lines if start <= float(begin) < end))


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())


@pytest.fixture(
    scope="module", params=[("whisper-tiny.en-fp32", ""), ("whisper-tiny.en", ".int8")], ids=["fp32", "int8"]
)
def decoded(request: pytest.FixtureRequest, store: ModelStore, audio: npt.NDArray[np.float32]) -> list[Any]:
    """What Whisper makes of each piece."""
    name, precision = request.param
    folder = store.path(name)
    whisper = sherpa_onnx.OfflineRecognizer.from_whisper(
        encoder=str(folder / f"encoder{precision}.onnx"),
        decoder=str(folder / f"decoder{precision}.onnx"),
        tokens=str(folder / "tokens.txt"),
        num_threads=2,
        enable_token_timestamps=True,
    )
    streams = [whisper.create_stream() for _ in PIECES]
    for (start, end), stream in zip(PIECES, streams, strict=True):
        stream.accept_waveform(RATE, audio[int(start * RATE) : int(end * RATE)])
        whisper.decode_stream(stream)
    return [stream.result for stream in streams]


def test_whisper_transcribes(decoded, sample):
    references = [said(sample, *piece) for piece in PIECES]
    hypotheses = [plain(result.text) for result in decoded]

    # Seen: 16.0 % in full precision, 17.3 % in 8 bits. Quantised by matrix the first piece becomes "hello" 23 times.
    assert jiwer.wer(references, hypotheses) < 0.22


def test_every_token_has_a_time_in_order_and_within_the_piece(decoded):
    for (start, end), result in zip(PIECES, decoded, strict=True):
        assert len(result.timestamps) == len(result.tokens)
        assert sorted(result.timestamps) == result.timestamps
        assert 0 <= result.timestamps[0] <= result.timestamps[-1] <= end - start


def test_token_times_follow_the_words(decoded):
    """Jersey is said at 13.7 s and at 20.7 s of the recording."""
    for (start, _), result, spoken in zip(PIECES, decoded, (13.7, 20.7), strict=True):
        time = result.timestamps[result.tokens.index(" Jersey")]
        assert start + time == pytest.approx(spoken, abs=0.3)


def test_wespeaker_equals_its_onnx_export(store, audio, tmp_path):
    """Within pyannote.audio, features included, against the published network on the same features."""
    from diarization_service.networks import load_network  # noqa: PLC0415 - importing it warns, here it may

    network = load_network(store.path("wespeaker-resnet34"))
    waveform = torch.from_numpy(audio[7 * RATE : 12 * RATE])[None, None]
    with torch.inference_mode():
        ours = network(waveform)[0].numpy()
        features = network.compute_fbank(waveform).numpy()
    published = onnxruntime.InferenceSession(published_file(store, "wespeaker-resnet34", tmp_path))
    theirs = published.run(None, {"feats": features})[0][0]

    cosine = float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))
    assert cosine >= 0.99999


def test_segmentation_loads_into_pyannote_and_hears_the_silence(store, audio):
    from diarization_service.networks import load_network  # noqa: PLC0415 - importing it warns, here it may

    network = load_network(store.path("pyannote-segmentation-3.0"))
    with torch.inference_mode():
        scores = network(torch.from_numpy(audio[: 10 * RATE])[None, None])[0]

    assert scores.shape[1] == 7
    silent = (scores.argmax(dim=1) == 0).numpy()
    # Nobody speaks before 6.7 s; afterwards somebody does nearly all the time.
    assert silent[: int(0.6 * len(silent))].mean() > 0.95
    assert silent[int(0.7 * len(silent)) :].mean() < 0.3


def published_file(store: ModelStore, name: str, folder: Path) -> Path:
    """The one file that a model was made of, fetched as `pull` does."""
    entry = next(entry for entry in store.entries() if entry.name == name)
    [file] = entry.inputs.values()
    target = folder / "published"
    fetch(file.sources[0], target, lambda _: None)
    return target
