"""What callers may use at a real gateway: streams, audio, and what of it is told as metrics."""

import asyncio
import contextlib

import pytest
from grpc import StatusCode

from gateway.access.tokens import line_for
from gateway.client import configuration
from support.calling import bearer, client, describe, refusal, replace, transcribe
from support.gateway.deployment import PCM, audio, deployed
from support.gateway.fakes import BYTES_PER_SECOND, diarization, recognition
from support.waiting import until

CONFIG = configuration(pcm=PCM)
TOKENS = "\n".join(line_for(name, name) for name in ("billing", "archive"))


@contextlib.asynccontextmanager
async def gateway(tmp_path, limits):
    for name, content in (("tokens", TOKENS), ("callers.toml", limits)):
        (tmp_path / name).write_text(content)
    files = {"tokens_file": tmp_path / "tokens", "callers_file": tmp_path / "callers.toml"}
    async with deployed(tmp_path, recognition(), diarization(), **files) as door:
        yield door


class Upload:
    """A recording that goes on until it is let go."""

    def __init__(self, caller):
        self.ending = asyncio.Event()
        self._events = caller.transcribe(self._audio(), CONFIG)

    async def begin(self):
        assert (await anext(self._events)).HasField("started")

    async def end(self):
        self.ending.set()
        assert [event async for event in self._events][-1].HasField("completed")

    async def _audio(self):
        yield bytes(32_000)
        await self.ending.wait()


async def test_a_caller_has_so_many_streams_and_leaves_others_theirs(tmp_path):
    limits = "default.streams = 1\ncallers.archive.streams = 2"
    async with (
        gateway(tmp_path, limits) as door,
        client(door, "billing") as billing,
        client(door, "archive") as archive,
    ):
        uploads = [Upload(billing), Upload(archive), Upload(archive)]
        for upload in uploads:
            await upload.begin()
        for caller in (billing, archive):
            error = await refusal(caller.transcribe_file(audio(1.0), CONFIG))
            assert error.code is StatusCode.RESOURCE_EXHAUSTED
            assert error.retry_after >= 1.0
            assert "recordings in flight here" in error.message
        # Calls that upload nothing are not counted.
        assert (await describe(door, bearer("billing")))[0] is StatusCode.OK
        for upload in uploads:
            await upload.end()
        await billing.transcribe_file(audio(1.0), CONFIG)


async def test_a_caller_has_so_much_audio_and_leaves_others_theirs(tmp_path):
    async with (
        gateway(tmp_path, "default.audio_minutes_per_hour = 0.1") as door,
        client(door, "billing") as billing,
        client(door, "archive") as archive,
    ):
        # Goes over the budget of 6 s, and is not cut.
        assert (await billing.transcribe_file(audio(9.0), CONFIG)).completed.duration.seconds == 9
        error = await refusal(billing.transcribe_file(audio(1.0), CONFIG))
        assert error.code is StatusCode.RESOURCE_EXHAUSTED
        assert "0.1 minutes of audio in each hour" in error.message
        # 3 s are owed, of which 6 s come back in an hour.
        assert 1000 < error.retry_after <= 1800
        await archive.transcribe_file(audio(1.0), CONFIG)
        replace(tmp_path / "callers.toml", "default.audio_minutes_per_hour = 1")
        await billing.transcribe_file(audio(1.0), CONFIG)


async def test_short_recordings_and_those_that_break_off_count_as_well(tmp_path):
    async with (
        gateway(tmp_path, "default.audio_minutes_per_hour = 0.03") as door,
        client(door, "billing") as billing,
        client(door, "archive") as archive,
    ):
        asr, _ = door.replicas
        for _ in range(4):
            await billing.transcribe_file(audio(0.5), CONFIG)
        assert (await refusal(billing.transcribe_file(audio(0.5), CONFIG))).retry_after > 0

        async def breaking_off():
            async for chunk in audio(5.0):
                yield chunk
            await until(lambda: asr.calls[-1].received >= 4 * BYTES_PER_SECOND)
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            _ = [event async for event in archive.transcribe(breaking_off(), CONFIG)]
        await until(lambda: value(door, "caller_audio_seconds_total", caller="archive"))
        assert (await refusal(archive.transcribe_file(audio(0.5), CONFIG))).retry_after > 0


async def test_refusals_are_counted_by_reason_and_audio_by_caller(tmp_path):
    limits = "default.streams = 1\ndefault.audio_minutes_per_hour = 0.1\ncallers.archive.allowed = false"
    async with gateway(tmp_path, limits) as door, client(door, "billing") as billing:
        await describe(door)
        await describe(door, bearer("nobody's"))
        await describe(door, bearer("archive"))
        upload = Upload(billing)
        await upload.begin()
        assert value(door, "caller_streams", caller="billing") == 1
        await refusal(billing.transcribe_file(audio(1.0), CONFIG))
        await upload.end()
        await billing.transcribe_file(audio(9.0), CONFIG)
        await refusal(billing.transcribe_file(audio(1.0), CONFIG))
        assert value(door, "caller_streams", caller="billing") == 0
        assert value(door, "caller_audio_seconds_total", caller="billing") == pytest.approx(10.0)
        assert {reason: value(door, "refused_calls_total", reason=reason) for reason in REASONS} == {
            "unauthenticated": 2,
            "not_allowed": 1,
            "streams": 1,
            "audio_minutes_per_hour": 1,
        }


REASONS = ("unauthenticated", "not_allowed", "streams", "audio_minutes_per_hour")


async def test_callers_whom_no_file_names_are_counted_together(tmp_path):
    async with deployed(tmp_path, recognition(), diarization(), trust_client_certificate_header=True) as door:
        for name in ("one", "two"):
            await transcribe(door, (("x-forwarded-client-cert", f"By=spiffe://a;URI=spiffe://a/{name}"),))
        assert value(door, "caller_audio_seconds_total", caller="others") == pytest.approx(2.0)
        assert value(door, "caller_audio_seconds_total", caller="spiffe://a/one") is None


def value(door, metric, **labels):
    return door.registry.get_sample_value(f"duoscribe_gateway_{metric}", labels)
