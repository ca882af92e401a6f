"""Riva's own client, real models and real speech, over the sockets of services in processes of their own."""

import asyncio
import json
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import riva.client
from riva.client.proto import riva_asr_pb2

from benchmarks.corpus import Recording, conversation
from benchmarks.scoring import word_error_rate
from support.audio import encoded
from support.deployment import Deployment
from support.gateway.riva import RivaCaller, calling, config, cut, diarized, refusal
from support.transcripts import Caller, spoken_words

pytestmark = pytest.mark.models

SPOKEN = conversation(12)
MANUAL = (Path(__file__).parents[2] / "docs" / "riva.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SPOKEN.write_wav(tmp_path_factory.mktemp("recordings") / "conversation.wav")


@pytest.fixture
async def riva_caller(deployment: Deployment) -> AsyncIterator[RivaCaller]:
    async with calling(deployment.gateway.address) as made:
        yield made


def recording_bytes(wav: Path) -> bytes:
    return wav.read_bytes()


def words_of(results) -> list[riva_asr_pb2.WordInfo]:
    return [word for result in results for word in result.alternatives[0].words]


def text_of(results) -> str:
    return "".join(result.alternatives[0].transcript for result in results)


async def test_a_file_in_one_message_has_the_words_and_speakers_of_the_gateways_own_call(
    caller: Caller, riva_caller: RivaCaller, wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = diarized(encoding=0, sample_rate_hertz=0, enable_automatic_punctuation=True)
    riva.client.add_audio_file_specs_to_config(wanted, wav)
    answer = await riva_caller.recognize(recording_bytes(wav), wanted)
    own = spoken_words(await caller.transcribe_file(wav))
    assert [
        (f"SPEAKER_{word.speaker_tag - 1:02}", word.word, word.start_time, word.end_time)
        for word in words_of(answer.results)
    ] == [(who, word, round(1000 * start), round(1000 * end)) for who, word, start, end in own]
    assert {word.speaker_tag for word in words_of(answer.results)} == {1, 2}
    assert answer.results[-1].audio_processed == pytest.approx(SPOKEN.seconds, abs=0.01)
    riva.client.print_offline(answer)
    assert f"Final transcript: {text_of(answer.results)}" in capsys.readouterr().out


async def test_the_manuals_example_works(deployment: Deployment, wav: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", MANUAL, re.DOTALL)[0]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, deployment.gateway.address, str(wav)), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    final = output.decode().partition("Final transcript: ")[2]
    assert word_error_rate(SPOKEN, final) < 0.1


async def test_a_file_streamed_by_the_clients_own_helpers_is_told_as_it_goes(
    riva_caller: RivaCaller, wav: Path, tmp_path: Path
) -> None:
    """As Riva's script transcribe_file.py does it."""
    heard: list[riva_asr_pb2.StreamingRecognizeResponse] = []
    output, seglst = tmp_path / "output.txt", tmp_path / "conversation"

    def kept(responses):
        for response in responses:
            heard.append(response)
            yield response

    def listen() -> None:
        wanted = diarized(2, encoding=0, sample_rate_hertz=0, verbatim_transcripts=True)
        with riva.client.AudioChunkFileIterator(wav, 1600) as chunks:
            riva.client.print_streaming(
                kept(riva_caller.responses(chunks, wanted, interim=True)),
                output_file=str(output),
                additional_info="time",
                word_time_offsets=True,
                speaker_diarization=True,
                seglst_output_file=str(seglst),
            )

    await riva_caller.threaded(listen)
    finals = [result for response in heard for result in response.results if result.is_final]
    interim = [result for response in heard for result in response.results if not result.is_final]
    # Measured: 0 %.
    assert word_error_rate(SPOKEN, text_of(finals)) < 0.1
    assert interim
    assert {word.speaker_tag for word in words_of(finals)} == {1, 2}
    starts = [word.start_time for word in words_of(finals)]
    assert starts == sorted(starts)
    printed = output.read_text()
    assert all(f"Transcript 0: {result.alternatives[0].transcript}" in printed for result in finals)
    told = json.loads(seglst.with_suffix(".seglst.json").read_text())
    assert " ".join(part["words"] for part in told) == text_of(finals).strip()


async def test_without_speakers_results_are_final_before_the_recording_has_ended(
    riva_caller: RivaCaller,
) -> None:
    said = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield from cut(SPOKEN.samples.tobytes())
        assert said.wait(120)

    def listen() -> list[riva_asr_pb2.StreamingRecognizeResponse]:
        responses = riva_caller.responses(chunks())
        first = next(responses)
        said.set()
        return [first, *responses]

    heard = await riva_caller.threaded(listen)
    finals = [result for response in heard for result in response.results]
    assert all(result.is_final for result in finals)
    assert word_error_rate(SPOKEN, text_of(finals)) < 0.1


async def test_telephone_calls_are_understood(riva_caller: RivaCaller) -> None:
    floats = (SPOKEN.samples / 32768).astype(np.float32)
    mulaw = encoded("mulaw", "pcm_mulaw", floats[::2], 8_000)
    wanted = config(encoding=riva.client.AudioEncoding.MULAW, sample_rate_hertz=8_000)
    answer = await riva_caller.recognize(mulaw, wanted)
    # Measured: 0 %.
    assert word_error_rate(SPOKEN, text_of(answer.results)) < 0.1


async def test_many_at_once_get_what_each_gets_alone(riva_caller: RivaCaller) -> None:
    short: list[Recording] = [conversation(4, seed) for seed in range(3)]
    alone = [text_of((await riva_caller.recognize(each.samples.tobytes())).results) for each in short]
    whole = [riva_caller.recognize(each.samples.tobytes()) for each in short]
    streamed = [riva_caller.stream(cut(each.samples.tobytes(), 3200)) for each in short]
    together = await asyncio.gather(*whole, *streamed)
    texts = [text_of(answer.results) for answer in together[:3]]
    texts += ["".join(text_of(part.results) for part in answer) for answer in together[3:]]
    assert texts == alone * 2


async def test_a_stream_that_is_cancelled_leaves_nothing_behind(
    deployment: Deployment, riva_caller: RivaCaller
) -> None:
    held = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield from cut(SPOKEN.samples.tobytes())
        held.wait(120)

    def give_up() -> grpc.StatusCode:
        stub = riva_caller.service.stub
        wanted = riva.client.StreamingRecognitionConfig(config=config(), interim_results=True)
        call = stub.StreamingRecognize(riva.client.asr.streaming_request_generator(chunks(), wanted))
        assert next(call).results
        assert deployment.temporary_files()
        call.cancel()
        held.set()
        return call.code()

    assert await riva_caller.threaded(give_up) is grpc.StatusCode.CANCELLED
    deadline = time.monotonic() + 30
    while deployment.temporary_files():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_bad_input_is_refused_and_the_models_are_named(riva_caller: RivaCaller) -> None:
    refused = await refusal(riva_caller.recognize(b"no recording at all " * 500, config(encoding=0)))
    assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, "audio")
    refused = await refusal(riva_caller.recognize(SPOKEN.samples.tobytes(), config(language_code="de-DE")))
    assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, "config.language_code")
    ask = riva_asr_pb2.RivaSpeechRecognitionConfigRequest()
    listed = await riva_caller.threaded(riva_caller.service.stub.GetRivaSpeechRecognitionConfig, ask)
    assert {model.model_name for model in listed.model_config} == {"whisper-tiny.en"}
    assert {model.parameters["language_code"] for model in listed.model_config} == {"en"}
    answer = await riva_caller.recognize(SPOKEN.samples.tobytes(), config(model="whisper-tiny.en"))
    assert answer.results
