"""StreamingRecognize through Riva's own client: what comes when, and how a stream ends."""

import asyncio
import threading

import pytest
from grpc import StatusCode
from riva.client import AudioChunkFileIterator, print_streaming
from riva.client.proto.riva_asr_pb2 import StreamingRecognitionConfig, StreamingRecognizeRequest
from riva.client.proto.riva_common_pb2 import RequestId

from support.audio import signal, wav
from support.gateway.deployment import deployed
from support.gateway.fakes import BYTES_PER_SECOND, diarization, early, recognition, turns_update
from support.gateway.riva import calling, config, cut, diarized, refusal, silence
from support.waiting import until

UTTERANCES = (
    (0.5, 2.5, "hello there you"),
    (4.0, 5.0, "well hi my friend"),
    (5.2, 8.0, "how are you doing today"),
)
TURNS = ((0.4, 2.6, "SPEAKER_00"), (3.9, 5.1, "SPEAKER_01"), (5.1, 8.0, "SPEAKER_00"))


class Held:
    """A recording whose last second is sent once it is let go."""

    def __init__(self, seconds: float = 10.0):
        self._chunks = list(cut(silence(seconds), BYTES_PER_SECOND // 2))
        self.release = threading.Event()

    def __iter__(self):
        yield from self._chunks[:-2]
        assert self.release.wait(20)
        yield from self._chunks[-2:]


def shown(responses) -> list[tuple[bool, str]]:
    """Whether each response is final, and its text."""
    return [
        (
            all(result.is_final for result in response.results),
            "".join(result.alternatives[0].transcript for result in response.results),
        )
        for response in responses
    ]


def tags(response) -> list[int]:
    return [word.speaker_tag for result in response.results for word in result.alternatives[0].words]


async def test_final_results_come_once_in_order_and_are_the_whole(tmp_path):
    async with (
        deployed(tmp_path, recognition(*UTTERANCES), diarization(*TURNS)) as door,
        calling(door.address) as caller,
    ):
        plain = await caller.stream(cut(silence()))
        streamed = await caller.stream(cut(silence()), diarized())
        whole = await caller.recognize(silence(), diarized())
    assert shown(plain) == [(True, f"{text} ") for _, _, text in UTTERANCES]
    assert [text for _, text in shown(streamed)] == [
        result.alternatives[0].transcript for result in whole.results
    ]
    assert [tags(response) for response in streamed] == [[1] * 3, [2] * 4, [1] * 5]
    assert all(8.0 <= response.results[0].audio_processed <= 10.0 for response in streamed)


async def test_without_speakers_results_are_final_while_the_recording_is_uploaded(tmp_path):
    held = Held()

    def listen(responses):
        first = next(responses)
        held.release.set()
        return [first, *responses]

    diarizer = diarization(*TURNS)
    async with (
        deployed(tmp_path, recognition(*UTTERANCES), diarizer) as door,
        calling(door.address) as caller,
    ):
        heard = await caller.threaded(listen, caller.responses(held))
    assert shown(heard)[0] == (True, "hello there you ")
    assert 2.5 <= heard[0].results[0].audio_processed < 9.0
    assert diarizer.calls == []


async def test_without_speakers_nothing_is_interim(tmp_path):
    async with (
        deployed(tmp_path, recognition(*UTTERANCES), diarization()) as door,
        calling(door.address) as caller,
    ):
        responses = await caller.stream(cut(silence()), interim=True)
    assert shown(responses) == [(True, f"{text} ") for _, _, text in UTTERANCES]
    assert {result.stability for response in responses for result in response.results} == {0.0}


async def test_with_speakers_a_result_is_interim_until_its_speaker_is_final(tmp_path):
    held, diarizer = Held(), diarization(*TURNS)
    diarizer.script[1:1] = [early(6.0, turns_update([(0.4, 2.6, "SPEAKER_01")], horizon=3.0, final=0))]

    def listen(responses):
        heard = []
        for response in responses:
            heard.append(response)
            if 2 in tags(response) and len(tags(response)) == 12:
                held.release.set()
        return heard

    async with (
        deployed(tmp_path, recognition(*UTTERANCES), diarizer) as door,
        calling(door.address) as caller,
    ):
        heard = await caller.threaded(listen, caller.responses(held, diarized(), interim=True))
    text = shown(heard)
    whole = "hello there you well hi my friend how are you doing today "
    first_final = [is_final for is_final, _ in text].index(True)
    assert text[:2] == [(False, "hello there you "), (False, "hello there you well hi my friend ")]
    assert {result.stability for result in heard[0].results} == {1.0}
    assert text[first_final - 1] == (False, whole)
    assert "".join(words for is_final, words in text if is_final) == whole
    # Nobody, then an early label, which was wrong, then the one that stays.
    assert tags(heard[0]) == [0] * 3
    assert tags(heard[first_final - 1])[:3] == [2] * 3
    assert tags(heard[first_final]) == [1] * 3


async def test_interim_results_do_not_grow_with_the_recording(tmp_path):
    spoken = [(10.0 * n + 0.5, 10.0 * n + 4.5, f"word{n} and more") for n in range(12)]
    async with (
        deployed(tmp_path, recognition(*spoken), diarization()) as door,
        calling(door.address) as caller,
    ):
        responses = await caller.stream(cut(silence(120.0), 320_000), diarized(), interim=True)
    interim = [text for is_final, text in shown(responses) if not is_final]
    assert interim[-1] == "word9 and more word10 and more word11 and more "
    assert len([text for is_final, text in shown(responses) if is_final]) == 12


async def test_the_clients_own_iterator_and_printer_work(tmp_path, capsys):
    recording = tmp_path / "recording.wav"
    recording.write_bytes(wav(signal(10.0, 8_000), 8_000))

    def listen(caller):
        wanted = diarized(encoding=0, sample_rate_hertz=0)
        with AudioChunkFileIterator(recording, 1600) as chunks:
            print_streaming(caller.responses(chunks, wanted, interim=True), show_intermediate=True)

    async with (
        deployed(tmp_path, recognition(*UTTERANCES), diarization(*TURNS)) as door,
        calling(door.address) as caller,
    ):
        await caller.threaded(listen, caller)
    lines = [line.rstrip() for line in capsys.readouterr().out.replace("\r", "\n").splitlines()]
    assert ">> hello there you" in lines
    assert "## hello there you" in lines
    assert "## how are you doing today" in lines


async def test_every_response_bears_the_callers_id(tmp_path):
    asr = recognition(*UTTERANCES)
    async with deployed(tmp_path, asr, diarization()) as door, calling(door.address) as caller:
        responses = await caller.threaded(
            lambda: list(caller.service.stub.StreamingRecognize(requests(id=RequestId(value="call-7"))))
        )
    assert {response.id.value for response in responses} == {asr.calls[0].request_id} == {"call-7"}


def requests(*messages, seconds=10.0, **first):
    """A stream: a config, `messages`, and then the recording."""
    yield StreamingRecognizeRequest(streaming_config=StreamingRecognitionConfig(config=config()), **first)
    yield from messages
    for chunk in cut(silence(seconds)):
        yield StreamingRecognizeRequest(audio_content=chunk)


AUDIO = StreamingRecognizeRequest(audio_content=silence(1.0))
AGAIN = StreamingRecognizeRequest(streaming_config=StreamingRecognitionConfig(config=config()))


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "streaming_config"),
        ([AUDIO], "audio_content"),
        ([StreamingRecognizeRequest()], "streaming_request"),
        ([AGAIN], "audio_content"),
        ([AGAIN, AUDIO, AGAIN], "streaming_config"),
        ([AGAIN, AUDIO, StreamingRecognizeRequest()], "streaming_request"),
        ([AGAIN, StreamingRecognizeRequest(audio_content=b"")], "audio_content"),
        ([AGAIN, StreamingRecognizeRequest(audio_content=bytes(32_001))], "audio_content"),
        ([AGAIN, AUDIO, StreamingRecognizeRequest(audio_content=b"\0")], "audio_content"),
        (requests(StreamingRecognizeRequest(audio_content=b"\0\0", id=RequestId(value="other")),
                  seconds=0, id=RequestId(value="call-7")), "id"),
        (requests(seconds=0, id=RequestId(value="call\n7")), "id"),
        (requests(seconds=0, runtime_config={"stop": "true"}), "runtime_config"),
    ],
)  # fmt: skip
async def test_streams_that_make_no_recording_are_refused(tmp_path, messages, field):
    async with (
        deployed(tmp_path, recognition(*UTTERANCES), diarization(), max_message_bytes=32_000) as door,
        calling(door.address) as caller,
    ):
        stub = caller.service.stub
        refused = await refusal(caller.threaded(lambda: list(stub.StreamingRecognize(iter(messages)))))
    assert (refused.code, refused.field) == (StatusCode.INVALID_ARGUMENT, field)


async def test_a_caller_who_says_nothing_is_not_waited_for(tmp_path):
    async with (
        deployed(tmp_path, recognition(), diarization(), max_idle_seconds=0.3) as door,
        calling(door.address) as caller,
    ):
        held = Held()
        refused = await refusal(caller.stream(held))
        held.release.set()
    assert refused.code is StatusCode.DEADLINE_EXCEEDED
    assert "then close the stream" in refused.message


@pytest.mark.parametrize("ending", ["cancelled", "timed out"])
async def test_a_stream_that_its_caller_gives_up_is_not_taken_for_a_whole_recording(tmp_path, ending):
    asr, held = recognition(*UTTERANCES), Held()
    async with deployed(tmp_path, asr, diarization()) as door, calling(door.address) as caller:
        messages = (StreamingRecognizeRequest(audio_content=chunk) for chunk in held)
        timeout = 3.0 if ending == "timed out" else None
        stream = (message for part in ([AGAIN], messages) for message in part)
        call = caller.service.stub.StreamingRecognize(stream, timeout=timeout)
        async with asyncio.timeout(30):
            await asr.called.wait()
            if ending == "cancelled":
                call.cancel()
            assert await asr.calls[0].ending in {"CancelledError", "Abandoned"}
        held.release.set()

        def ended(outcome: str) -> float:
            return sum(
                sample.value
                for metric in door.registry.collect()
                for sample in metric.samples
                if sample.name == "duoscribe_gateway_recordings_total" and sample.labels["outcome"] == outcome
            )

        await until(lambda: ended("cancelled") == 1)
        assert ended("complete") == 0


async def test_many_streams_at_once_are_each_answered(tmp_path):
    async with (
        deployed(tmp_path, recognition(*UTTERANCES), diarization(*TURNS)) as door,
        calling(door.address) as caller,
    ):
        answers = await asyncio.gather(*(caller.stream(cut(silence()), diarized()) for _ in range(12)))
    assert {tuple(shown(answer)) for answer in answers} == {tuple(shown(answers[0]))}
    assert len({answer[0].id.value for answer in answers}) == 12
