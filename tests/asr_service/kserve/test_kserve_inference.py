"""Recordings through Triton's client: real client, real server, fake engine."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor

from support.kserve import WORDS, KServeDoor, batch, floats, kserve_door, tensor, texts
from support.recognition import INFO, FakeEngine, asr_config, speech

TALK = speech((0.5, 4.0))
LOUD, QUIET = (floats(speech((0.5, 3.0), loudness=loudness)) for loudness in (0.8, 0.2))


@pytest.fixture
async def kserve() -> AsyncIterator[KServeDoor]:
    async with kserve_door() as opened:
        yield opened


async def test_a_recording_has_the_words_that_the_services_own_call_gives_it(kserve: KServeDoor) -> None:
    expected = await kserve.door.recognize(TALK)
    result = await kserve.infer(floats(TALK), outputs=("decoded_texts", *WORDS))
    assert texts(result) == [expected.text]
    assert [word.decode() for word in result.as_numpy("words")] == [word.text for word in expected.words]
    starts = [word.start.ToNanoseconds() / 1e9 for word in expected.words]
    ends = [word.end.ToNanoseconds() / 1e9 for word in expected.words]
    assert result.as_numpy("word_start_times") == pytest.approx(starts)
    assert result.as_numpy("word_end_times") == pytest.approx(ends)
    assert result.as_numpy("word_confidences") == pytest.approx([0.905] * len(starts), abs=0.001)


async def test_the_engine_gets_the_very_samples_that_the_services_own_call_gives_it() -> None:
    engine = FakeEngine()
    async with kserve_door(engine) as kserve:
        await kserve.door.recognize(TALK)
        for dtype in (np.float32, np.float64):
            await kserve.infer(floats(TALK).astype(dtype))
    native, single, double = (heard.samples for heard in engine.asked)
    assert np.array_equal(native, single)
    assert np.array_equal(native, double)


async def test_only_what_was_asked_for_comes_back(kserve: KServeDoor) -> None:
    plain = (await kserve.infer(floats(TALK))).get_response()
    assert [output.name for output in plain.outputs] == ["decoded_texts"]
    asked = (await kserve.infer(floats(TALK), outputs=("words", "decoded_texts"))).get_response()
    assert [output.name for output in asked.outputs] == ["words", "decoded_texts"]


@pytest.mark.parametrize(("datatype", "field"), [("FP32", "fp32_contents"), ("FP64", "fp64_contents")])
async def test_tensors_may_come_as_numbers_too(kserve: KServeDoor, datatype: str, field: str) -> None:
    samples = floats(TALK)
    stub = service_pb2_grpc.GRPCInferenceServiceStub(kserve.door.channel)
    request = service_pb2.ModelInferRequest(model_name="fake")
    audio = request.inputs.add(name="audio_signal", datatype=datatype, shape=samples.shape)
    getattr(audio.contents, field).extend(samples.tolist())
    request.inputs.add(name="audio_lengths", datatype="INT32", shape=[1]).contents.int_contents.append(
        len(samples)
    )
    response = await stub.ModelInfer(request)
    expected = (await kserve.texts(samples))[0]
    assert response.raw_output_contents[0] == serialize_byte_tensor(np.array([expected], object)).item()


async def test_rows_of_a_batch_end_where_their_lengths_say(kserve: KServeDoor) -> None:
    result = await kserve.infer(batch(LOUD, QUIET[:24_000], LOUD[:32_000]))
    assert result.as_numpy("decoded_texts").shape == (3, 1)
    assert texts(result) == ["w80 w80 w80", "w20", "w80 w80"]


async def test_rows_without_lengths_are_as_long_as_the_tensor(kserve: KServeDoor) -> None:
    assert await kserve.texts(np.stack((LOUD, QUIET))) == ["w80 w80 w80", "w20 w20 w20"]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
async def test_a_single_recording_may_have_a_length(kserve: KServeDoor, dtype: type) -> None:
    inputs = [tensor("audio_signal", LOUD), tensor("audio_lengths", np.array([24_000], dtype))]
    assert await kserve.texts(inputs) == ["w80"]


async def test_rows_of_a_batch_have_as_many_words_as_the_longest(kserve: KServeDoor) -> None:
    silence = np.zeros(16_000, np.float32)
    result = await kserve.infer(batch(LOUD, silence, QUIET[:24_000]), outputs=WORDS)
    assert result.as_numpy("words").tolist() == [[b"w80"] * 3, [b""] * 3, [b"w20", b"", b""]]
    for name in WORDS[1:]:
        missing = np.isnan(result.as_numpy(name))
        assert missing.tolist() == [[False] * 3, [True] * 3, [False, True, True]]


async def test_silence_has_no_words_and_does_not_trouble_the_engine() -> None:
    engine = FakeEngine()
    async with kserve_door(engine) as kserve:
        result = await kserve.infer(np.zeros(48_000, np.float32), outputs=("decoded_texts", "words"))
    assert (texts(result), result.as_numpy("words").shape) == ([""], (0,))
    assert not engine.asked


async def test_what_the_model_takes_at_once_is_one_utterance_whatever_the_pauses() -> None:
    engine = FakeEngine()
    async with kserve_door(engine) as kserve:
        await kserve.infer(floats(speech((0.5, 3.0), (4.0, 3.0), (2.0, 3.0))))
    assert len(engine.asked) == 1


async def test_what_is_longer_is_cut() -> None:
    engine = FakeEngine()
    async with kserve_door(engine) as kserve:
        (text,) = await kserve.texts(floats(speech((0.5, 60.0))))
    assert len(engine.asked) > 2
    assert max(heard.seconds for heard in engine.asked) <= INFO.max_seconds
    assert 58 <= len(text.split()) <= 62


async def test_another_sample_rate_is_resampled() -> None:
    engine = FakeEngine()
    async with kserve_door(engine) as kserve:
        await kserve.infer(floats(TALK)[::2].copy(), parameters={"sample_rate": 8000})
    assert engine.asked[0].seconds == pytest.approx(4.3, abs=0.2)


async def test_the_language_reaches_the_engine() -> None:
    engine = FakeEngine()
    async with kserve_door(engine) as kserve:
        await kserve.infer(floats(TALK), parameters={"language": "de-AT"})
    assert engine.asked[0].language == "de"


async def test_the_id_comes_back_with_the_name_and_version_of_the_model(kserve: KServeDoor) -> None:
    response = (await kserve.infer(floats(TALK), request_id="call-7", model_version="1")).get_response()
    assert (response.id, response.model_name, response.model_version) == ("call-7", "fake", "1")


async def test_the_model_answers_to_the_names_that_scripts_have_for_it() -> None:
    async with kserve_door(config=asr_config(kserve_name=("asr_ensemble",))) as kserve:
        assert await kserve.texts(LOUD, model_name="asr_ensemble") == ["w80 w80 w80"]
        assert await kserve.client.is_model_ready("asr_ensemble")
        index = await kserve.client.get_model_repository_index()
    assert [model.name for model in index.models] == ["fake", "asr_ensemble"]


async def test_rows_and_other_callers_share_batches_and_keep_their_words() -> None:
    engine = FakeEngine(info=replace(INFO, max_batch=8), gate=(gate := threading.Event()))
    async with kserve_door(engine) as kserve:
        first = asyncio.create_task(kserve.infer(LOUD))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        rows = asyncio.create_task(kserve.texts(batch(LOUD, QUIET, LOUD)))
        native = asyncio.create_task(kserve.door.recognize(TALK))
        await kserve.door.queued(4)
        gate.set()
        assert await rows == ["w80 w80 w80", "w20 w20 w20", "w80 w80 w80"]
        assert (await native).words
        await first
    assert [len(heard) for heard in engine.batches[:2]] == [1, 4]


async def test_many_recordings_of_a_request_hold_others_back_no_more_than_a_long_one() -> None:
    """Two of its rows are at the engine; the other caller comes right behind them."""
    engine = FakeEngine(gate=(gate := threading.Event()))
    async with kserve_door(engine, asr_config(backlog=2)) as kserve:
        many = asyncio.create_task(kserve.infer(batch(*[LOUD] * 6)))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        await kserve.door.queued(1)
        other = asyncio.create_task(kserve.infer(QUIET))
        await kserve.door.queued(2)
        gate.set()
        await asyncio.gather(many, other)
    loudness = [round(float(np.abs(heard.samples).max()), 1) for heard in engine.asked]
    assert loudness == [0.8, 0.8, 0.2, 0.8, 0.8, 0.8, 0.8]


async def test_recordings_of_a_request_share_batches_with_their_like_whatever_their_order() -> None:
    """As they do where the engine takes equal lengths together."""
    short, long = LOUD[:24_000], QUIET
    engine = FakeEngine(
        info=replace(INFO, max_batch=4),
        gate=(gate := threading.Event()),
        bucket=lambda heard: int(heard.seconds > 2),
    )
    async with kserve_door(engine, asr_config(backlog=8)) as kserve:
        first = asyncio.create_task(kserve.infer(LOUD))
        assert await asyncio.to_thread(engine.started.acquire, timeout=5)
        mixed = asyncio.create_task(kserve.texts(batch(short, long, short, long, short, long)))
        await kserve.door.queued(6)
        gate.set()
        await first
        assert await mixed == ["w80", "w20 w20 w20"] * 3
    assert [len(heard) for heard in engine.batches] == [1, 3, 3]
