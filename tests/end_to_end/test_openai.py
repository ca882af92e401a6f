"""OpenAI's own client, real models and real speech, over the sockets of services in processes of their own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import openai
import pytest

from benchmarks.corpus import conversation
from benchmarks.scoring import word_error_rate
from gateway.client import Transcript, configuration, read_file
from gateway.rendering import OutputFormat, render
from serving.times import seconds
from support.audio import encoded
from support.deployment import Deployment
from support.transcripts import Caller, spoken_words
from support.waiting import until

pytestmark = pytest.mark.models

SPOKEN = conversation(12)
OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
MODEL = "gpt-4o-transcribe-diarize"


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SPOKEN.write_wav(tmp_path_factory.mktemp("recordings") / "conversation.wav")


@pytest.fixture
async def client(deployment: Deployment) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"http://{deployment.gateway.announced['http_address']}/v1"
    async with openai.AsyncOpenAI(
        base_url=url, api_key="unasked", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def test_every_form_of_answer_has_the_words_of_the_gateways_own_call(
    caller: Caller, client: openai.AsyncOpenAI, wav: Path
) -> None:
    create = client.audio.transcriptions.create
    whole = await caller.client.transcribe_file(read_file(wav), configuration(name=wav.name))
    own = Transcript.from_response(whole)
    verbose, diarized, srt, streamed = await asyncio.gather(
        create(
            file=wav,
            model=MODEL,
            language="en",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        ),
        create(file=wav, model=MODEL, response_format="diarized_json", chunking_strategy="auto"),
        create(file=wav, model=MODEL, response_format="srt"),
        create(file=wav, model=MODEL, response_format="diarized_json", stream=True),
    )
    assert word_error_rate(SPOKEN, own.text) <= 0.35
    assert verbose.text == diarized.text == own.text
    assert [(word.word, word.start, word.end) for word in verbose.words] == [
        (text, round(start, 3), round(end, 3)) for _, text, start, end in spoken_words(own)
    ]
    assert all(-2 < segment.avg_logprob <= 0 for segment in verbose.segments)
    segments = [(each.speaker, each.text, each.start) for each in diarized.segments]
    assert segments == [
        (each.speaker, each.text, round(seconds(each.span.start), 3)) for each in own.segments
    ]
    assert {speaker for speaker, *_ in segments} == {"SPEAKER_00", "SPEAKER_01"}
    assert srt == render(whole, OutputFormat.SRT, name="")
    events = [event async for event in streamed]
    told = [event for event in events if event.type == "transcript.text.segment"]
    assert [(each.speaker, each.text, each.start) for each in told] == segments
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "".join(deltas) == events[-1].text == own.text
    assert events[0].type == "transcript.text.delta"


async def test_words_survive_a_format_that_people_have(client: openai.AsyncOpenAI) -> None:
    data = encoded("mp3", "libmp3lame", SPOKEN.samples.astype(np.float32) / 32768, 16_000)
    transcription = await client.audio.transcriptions.create(file=("talk.mp3", data), model=MODEL)
    assert word_error_rate(SPOKEN, transcription.text) <= 0.35


async def test_whoever_goes_leaves_nothing_and_disturbs_nobody(
    deployment: Deployment, client: openai.AsyncOpenAI, wav: Path
) -> None:
    async def text(file: object = wav) -> str:
        return (await client.audio.transcriptions.create(file=file, model=MODEL)).text

    leaving, staying = asyncio.create_task(text()), asyncio.create_task(text())
    await until(lambda: len(deployment.temporary_files()) == 2)
    leaving.cancel()
    with pytest.raises(openai.BadRequestError) as caught:
        await text(("talk.wav", b"RIFF and nothing more"))
    assert caught.value.param == "file"
    with pytest.raises(openai.BadRequestError) as caught:
        await client.audio.transcriptions.create(file=wav, model=MODEL, language="de")
    assert caught.value.param == "language"
    assert word_error_rate(SPOKEN, await staying) <= 0.35
    assert not deployment.temporary_files()


async def test_the_manuals_example_runs(deployment: Deployment, wav: Path) -> None:
    example = OPERATIONS.partition("## OpenAI's clients")[2].partition("```python\n")[2].partition("```")[0]
    url = f"http://{deployment.gateway.announced['http_address']}/v1"
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", example, url, str(wav), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await run.communicate()
    assert run.returncode == 0
    assert {line.split(":")[0] for line in told.decode().splitlines()} == {"SPEAKER_00", "SPEAKER_01"}
