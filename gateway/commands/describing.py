"""A gateway's description of itself, in words."""

import datetime as dt
from collections.abc import Iterable, Iterator

import click
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson

from gateway.client import TranscriptionError
from gateway.commands.failures import explain
from gateway.commands.reaching import Reaching
from gateway.commands.running import run
from speech.asr.v1 import asr_pb2
from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2

_TIMEOUT_SECONDS = 10.0
_SHOWN_FINGERPRINT = 12


def describe_gateway(server: str, reaching: Reaching, *, as_json: bool) -> int:
    """The exit code: 0, or 1 where the gateway does not answer."""
    return run(_describe(server, reaching, as_json=as_json))


async def _describe(server: str, reaching: Reaching, *, as_json: bool) -> int:
    try:
        async with reaching.client(server) as client:
            described = await client.describe(timeout=_TIMEOUT_SECONDS)
    except TranscriptionError as error:
        click.echo(f"duoscribe: {server}: {explain(error, request_id='')}", err=True)
        return 1
    if as_json:
        click.echo(MessageToJson(described, preserving_proto_field_name=True))
    else:
        click.echo("\n".join(description_lines(server, described)))
    return 0


def description_lines(server: str, described: gateway_pb2.DescribeTranscriptionResponse) -> Iterator[str]:
    """A few lines for the gateway and for each backend."""
    yield f"gateway {server}"
    yield from _limits(described.limits)
    yield "recognition" if described.HasField("asr") else "recognition: cannot be reached"
    if described.HasField("asr"):
        yield from _recognition(described.asr)
    yield "diarization" if described.HasField("diarization") else "diarization: cannot be reached"
    if described.HasField("diarization"):
        yield from _diarization(described.diarization)


def _recognition(asr: asr_pb2.DescribeRecognitionResponse) -> Iterator[str]:
    timing = "measured" if asr.word_timing == asr_pb2.WORD_TIMING_MEASURED else "estimated"
    yield f"  {asr.family}; languages: {', '.join(asr.languages) or 'not said'}; word times are {timing}"
    yield from _models(asr.models)
    if asr.provider_reason:
        yield f"  provider: {asr.provider_reason}"
    if asr.max_batch > 1:
        yield f"  decodes up to {asr.max_batch} utterances together"
    yield from _limits(asr.limits)


def _diarization(diarization: diarization_pb2.DescribeDiarizationResponse) -> Iterator[str]:
    mode = f"{diarization.mode} mode; " if diarization.mode else ""
    yield f"  {mode}turns come {'while audio arrives' if diarization.early_turns else 'when the audio has ended'}"
    yield from _models(diarization.models)
    yield from _limits(diarization.limits)


def _models(models: Iterable[audio_pb2.ModelInfo]) -> Iterator[str]:
    for model in models:
        license_name = model.license or "licence not said"
        fingerprint = model.fingerprint[:_SHOWN_FINGERPRINT]
        yield f"  {model.role}: {model.name} {fingerprint} ({license_name}), {model.engine} on {model.provider}"


def _limits(limits: audio_pb2.ServiceLimits) -> Iterator[str]:
    longest = _clock(limits.max_audio_duration)
    yield f"  takes {limits.max_concurrent_streams} recordings at once, of up to {longest}"


def _clock(duration: Duration) -> str:
    return str(dt.timedelta(seconds=duration.seconds))
