"""Triton's client, Whisper tiny.en and real speech, over the sockets of a service in a process of its own."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from asr_service.loading import load_models
from benchmarks.corpus import Recording, clips, conversation
from benchmarks.scoring import word_error_rate
from serving.models.store import ModelStore
from support.kserve import WORDS, batch, blocking_client, kserve_door, tensor, texts
from support.processes import ServiceProcess
from support.recognition import asr_config

pytestmark = pytest.mark.models

NAME = "asr_ensemble"
OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("kserve") / "log"
    flags = ("--address", "127.0.0.1:0", "--kserve-name", NAME)
    with ServiceProcess("asr_service", flags, log) as process:
        yield process.wait_serving().address


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    with blocking_client(address) as made:
        yield made


def samples(recording: Recording, dtype: Any = np.float32) -> Any:
    return recording.samples.astype(dtype) / dtype(32768)


def infer(client: triton.InferenceServerClient, audio: Any, *outputs: str, **request: Any) -> Any:
    """As scripts for Triton do it."""
    inputs = [triton.InferInput("audio_signal", audio.shape, "FP64" if audio.dtype == np.float64 else "FP32")]
    inputs[0].set_data_from_numpy(audio)
    wanted = [triton.InferRequestedOutput(name) for name in outputs or ("decoded_texts",)]
    return client.infer(model_name=NAME, inputs=inputs, outputs=wanted, **request)


def test_a_script_for_a_triton_ensemble(client: triton.InferenceServerClient) -> None:
    """Measured: a quarter of the words wrong in one of the four clips, none in the others."""
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    rates = []
    for recording in clips()[:4]:
        single, double = (infer(client, samples(recording, dtype)) for dtype in (np.float32, np.float64))
        text = single.as_numpy("decoded_texts")[0].decode("utf-8")
        rates.append(word_error_rate(recording, text))
        assert double.as_numpy("decoded_texts")[0].decode("utf-8") == text
    assert sum(rates) / len(rates) < 0.1


def test_the_manuals_example(address: str, tmp_path: Path) -> None:
    section = OPERATIONS.partition("\n## KServe's protocol\n")[2].partition("\n## ")[0]
    (example,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    wav = clips()[1].write_wav(tmp_path / "clip.wav")
    command = (sys.executable, tmp_path / "example.py", address, wav)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert word_error_rate(clips()[1], done.stdout) == 0


def test_a_conversation_longer_than_the_model_takes(client: triton.InferenceServerClient) -> None:
    """Measured: 5.5 % of its words wrong."""
    recording = conversation(40)
    result = infer(client, samples(recording), "decoded_texts", *WORDS)
    words = [word.decode() for word in result.as_numpy("words")]
    assert texts(result)[0].split() == words
    assert word_error_rate(recording, " ".join(words)) < 0.1
    starts, ends = (result.as_numpy(name) for name in ("word_start_times", "word_end_times"))
    assert (starts < ends).all()
    assert (np.diff(starts) > 0).all()
    assert 35 < ends[-1] <= recording.samples.size / 16_000


def test_callers_at_once_get_what_each_gets_alone(address: str, client: triton.InferenceServerClient) -> None:
    recordings = [samples(recording) for recording in clips()[:4]]
    alone = [texts(infer(client, audio)) for audio in recordings]

    def ask(audio: Any) -> list[str]:
        with blocking_client(address) as own:
            return texts(infer(own, audio))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, recordings)) == alone
    together = client.infer(NAME, batch(*recordings))
    assert [[text] for text in texts(together)] == alone


def test_who_cancels_or_asks_nonsense_leaves_others_alone(client: triton.InferenceServerClient) -> None:
    recording = clips()[0]
    expected = texts(infer(client, samples(recording)))
    ended: list[InferenceServerException] = []
    done = threading.Event()

    def callback(result: Any, error: InferenceServerException) -> None:
        ended.append(error)
        done.set()

    audio = [tensor("audio_signal", samples(conversation(40)))]
    client.async_infer(NAME, audio, callback).cancel()
    with pytest.raises(InferenceServerException, match="between -1 and 1"):
        infer(client, recording.samples.astype(np.float32))
    with pytest.raises(InferenceServerException, match="sequence_"):
        infer(client, samples(recording), sequence_id=5)
    assert texts(infer(client, samples(recording))) == expected
    assert done.wait(10)
    assert ended[0].status() == "StatusCode.CANCELLED"


async def test_statistics_are_what_prometheus_counts() -> None:
    """ONNX Runtime's batches, whose sizes depend on what arrives while one is computed."""
    config = asr_config(engine="ort", provider="cpu", model="whisper-tiny.en-fp32", max_batch=4)
    async with kserve_door(config=config, load=lambda: load_models(config, ModelStore())) as kserve:
        recordings = [samples(recording) for recording in clips()[:6]]
        answers = await asyncio.gather(
            *(kserve.infer(audio, model_name="whisper-tiny.en-fp32") for audio in recordings)
        )
        (told,) = (await kserve.client.get_inference_statistics()).model_stats
        metric = kserve.door.metric
        assert all(texts(answer)[0] for answer in answers)
        assert told.execution_count == metric("duoscribe_asr_batch_utterances_count")
        assert told.inference_count == metric("duoscribe_asr_batch_utterances_sum") >= 6
        assert (
            sum(each.batch_size * each.compute_infer.count for each in told.batch_stats)
            == told.inference_count
        )
        assert sum(each.compute_infer.count for each in told.batch_stats) == told.execution_count
        spent = sum(each.compute_infer.ns for each in told.batch_stats)
        assert spent == pytest.approx(metric("duoscribe_asr_compute_seconds_sum") * 1e9, rel=1e-6)
