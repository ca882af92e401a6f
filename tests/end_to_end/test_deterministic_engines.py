"""What the tests of faults rest on: audio that is lost, repeated or reordered on the way shows in the transcript."""

import pytest

from benchmarks.faults.replicas import Deployment
from benchmarks.faults.uploads import PCM
from benchmarks.faults.verdicts import Reference
from gateway.client import Transcript, TranscriptionClient, configuration
from support.endings import AUDIO, Caller

pytestmark = pytest.mark.asyncio(loop_scope="session")

PIECE = 8_000
"""A quarter of a second."""


async def transcribed(replicated: Deployment, audio: bytes) -> Reference:
    async def whole():
        yield audio

    async with TranscriptionClient(replicated.gateways[0].proxy.address) as client:
        answer = await client.transcribe_file(whole(), configuration(pcm=PCM))
    return Reference.of(Transcript.from_response(answer))


@pytest.mark.parametrize(
    "audio",
    [
        AUDIO[: 3 * PIECE] + AUDIO[4 * PIECE :],
        AUDIO[: 4 * PIECE] + AUDIO[3 * PIECE :],
        AUDIO[: 3 * PIECE] + AUDIO[4 * PIECE : 5 * PIECE] + AUDIO[3 * PIECE : 4 * PIECE] + AUDIO[5 * PIECE :],
        AUDIO[:-PIECE],
        AUDIO[: 5 * PIECE] + bytes(2) + AUDIO[5 * PIECE + 2 :],
    ],
    ids=["lost", "repeated", "reordered", "cut off", "one sample silenced"],
)
async def test_other_audio_has_another_transcript(
    replicated: Deployment, undisturbed: Reference, audio: bytes
) -> None:
    found = await transcribed(replicated, audio)
    assert [word.text for word in found.words] != [word.text for word in undisturbed.words]


async def test_the_same_audio_has_the_same_transcript(replicated: Deployment, undisturbed: Reference) -> None:
    assert Reference.of(await Caller(replicated).whole()) == undisturbed
    assert {word.speaker for word in undisturbed.words} == {"SPEAKER_00", "SPEAKER_01"}
