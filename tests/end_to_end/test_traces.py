"""One trace a recording, through the real services as processes, with engines that compute next to nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.deterministic.recordings import recording
from gateway.client import Transcript, TranscriptionClient, configuration
from support.audio import wav_header
from support.processes import ServiceProcess
from support.traces import Collector, SeenSpan, collecting

SECONDS = 40.0
GATEWAY, ASR, DIARIZATION = "duoscribe-gateway", "duoscribe-asr", "duoscribe-diarization"
TRANSCRIBE = "speech.gateway.v1.Transcription/Transcribe"
RECOGNIZE = "speech.asr.v1.SpeechRecognition/Recognize"
DIARIZE = "speech.diarization.v1.SpeakerDiarization/Diarize"


@dataclass(frozen=True)
class Traced:
    """A transcribed recording: what its caller saw, what was collected, what the services logged."""

    caller: str
    span: str
    transcript: Transcript
    collector: Collector
    logs: dict[str, list[dict[str, str]]]

    @property
    def call(self) -> SeenSpan:
        (call,) = self.collector.named(TRANSCRIBE)
        return call

    def under(self, *path: tuple[str, str]) -> SeenSpan:
        """The span that is found from the gateway's by services and names."""
        found = self.call
        for service, name in path:
            (found,) = (
                span
                for span in self.collector.children(found)
                if (span.service, span.name) == (service, name)
            )
        return found


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    with collecting() as collector:
        with ExitStack() as processes:

            def start(module: str, *flags: str) -> ServiceProcess:
                flags = ("--address", "127.0.0.1:0", "--traces-endpoint", collector.endpoint, *flags)
                return processes.enter_context(ServiceProcess(module, flags, folder / f"{module}.log"))

            asr = start("benchmarks.deterministic.asr")
            diarization = start("benchmarks.deterministic.diarization")
            gateway = start("gateway", "--asr", asr.address, "--diarization", diarization.address)
            for process in (asr, diarization, gateway):
                process.wait_serving()
            caller, span, transcript = asyncio.run(transcribed(gateway.address))
        # All processes have ended, so that whatever they had to tell has been told.
        logs = {
            module: [json.loads(line) for line in (folder / f"{module}.log").read_text().splitlines()]
            for module in (asr.module, diarization.module, gateway.module)
        }
        yield Traced(caller, span, transcript, collector, logs)


async def transcribed(address: str) -> tuple[str, str, Transcript]:
    """Trace and span of a caller with spans of its own, and what it got."""
    transcript = Transcript()
    with TracerProvider().get_tracer("caller").start_as_current_span("caller") as span:
        async with TranscriptionClient(address) as client:
            async for event in client.transcribe(
                chunks(), configuration(name="talk.wav", request_id="talk-7")
            ):
                transcript.apply(event)
    context = span.get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", transcript


async def chunks() -> AsyncIterator[bytes]:
    pcm = recording(people=2, seconds=SECONDS, seed=1)
    yield wav_header(16_000, data_bytes=len(pcm))
    for start in range(0, len(pcm), 64_000):
        yield pcm[start : start + 64_000]


def test_all_spans_of_a_recording_are_one_trace_that_begins_at_the_caller(traced: Traced) -> None:
    assert {span.trace for span in traced.collector.spans} == {traced.caller}
    assert (traced.call.service, traced.call.parent) == (GATEWAY, traced.span)
    ids = {span.id for span in traced.collector.spans}
    assert {span.parent for span in traced.collector.spans} - ids == {traced.span}


def test_stages_are_where_they_belong(traced: Traced) -> None:
    def tree(span: SeenSpan) -> dict[tuple[str, str], object]:
        return {(child.service, child.name): tree(child) for child in traced.collector.children(span)}

    recognition: dict[tuple[str, str], object] = {
        (ASR, "upload"): {},
        (ASR, "listen"): {},
        (ASR, "queue"): {},
        (ASR, "compute"): {(ASR, "batch"): {}},
    }
    diarization: dict[tuple[str, str], object] = {
        (DIARIZATION, name): {} for name in ("upload", "segmentation", "embedding", "clustering")
    }
    assert tree(traced.call) == {
        **{(GATEWAY, name): {} for name in ("upload", "decode", "spool", "merge")},
        (GATEWAY, RECOGNIZE): {(ASR, RECOGNIZE): recognition},
        (GATEWAY, DIARIZE): {(DIARIZATION, DIARIZE): diarization},
    }


def test_the_call_says_what_came_of_it(traced: Traced) -> None:
    attributes = traced.call.attributes
    assert attributes["rpc.response.status_code"] == "OK"
    assert attributes["duoscribe.request_id"] == "talk-7"
    assert attributes["duoscribe.audio_seconds"] == SECONDS
    assert attributes["duoscribe.segments"] == len(traced.transcript.segments) > 1
    assert attributes["duoscribe.speakers"] == 2
    assert attributes["duoscribe.partial"] is False
    assert traced.call.events == ["first segment"]


@pytest.mark.parametrize(("call", "service"), [(RECOGNIZE, ASR), (DIARIZE, DIARIZATION)])
def test_calls_to_backends_name_the_replica_and_its_models(traced: Traced, call: str, service: str) -> None:
    client = traced.under((GATEWAY, call))
    assert client.span.kind == client.span.SPAN_KIND_CLIENT
    assert client.attributes["duoscribe.attempt"] == 1
    assert client.attributes["duoscribe.replica"].startswith("ipv4:127.0.0.1:")
    assert client.events == ["audio sent"]

    server = traced.under((GATEWAY, call), (service, call))
    assert server.span.kind == server.span.SPAN_KIND_SERVER
    assert server.attributes["duoscribe.request_id"] == "talk-7"
    assert server.attributes["duoscribe.audio_seconds"] == SECONDS
    assert server.attributes["duoscribe.models"] == client.attributes["duoscribe.models"]
    assert server.resource["service.instance.id"]


def test_what_waited_and_what_computed_is_counted(traced: Traced) -> None:
    recognition = ((GATEWAY, RECOGNIZE), (ASR, RECOGNIZE))
    queue, compute = (traced.under(*recognition, (ASR, name)).attributes for name in ("queue", "compute"))
    utterances = traced.under(*recognition).attributes["duoscribe.utterances"]
    assert queue["duoscribe.utterances"] == compute["duoscribe.utterances"] == utterances > 1
    assert 0 <= queue["duoscribe.longest_wait_seconds"] <= queue["duoscribe.wait_seconds"]

    embedding = traced.under((GATEWAY, DIARIZE), (DIARIZATION, DIARIZE), (DIARIZATION, "embedding"))
    assert embedding.attributes["duoscribe.items"] >= embedding.attributes["duoscribe.batches"] > 0
    assert embedding.span.end_time_unix_nano > embedding.span.start_time_unix_nano


def test_spans_lie_within_the_call(traced: Traced) -> None:
    call = traced.call.span
    # A backend may be done a moment after its last message, and clocks are read one after the other, on machines that are busy.
    slack = 5_000_000_000
    for span in (seen.span for seen in traced.collector.spans):
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.start_time_unix_nano >= call.start_time_unix_nano - slack
        assert span.end_time_unix_nano <= call.end_time_unix_nano + slack


def test_neither_sound_nor_words_are_told(traced: Traced) -> None:
    sent = b"".join(traced.collector.requests)
    words = [word.text for segment in traced.transcript.segments for word in segment.words]
    assert words
    assert not [word for word in words if word.encode() in sent]
    assert recording(people=2, seconds=1.0, seed=1)[:64] not in sent


def test_log_lines_of_all_services_lead_to_the_trace(traced: Traced) -> None:
    for module, event in (
        ("benchmarks.deterministic.asr", "recognised"),
        ("benchmarks.deterministic.diarization", "diarized"),
    ):
        (line,) = (line for line in traced.logs[module] if line["event"] == event)
        assert line["trace_id"] == traced.caller
        assert line["span_id"] in {span.id for span in traced.collector.spans}
