"""Replicas of a backend told by an xDS control plane, as those of service meshes without proxies do it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serving.server import running
from support.gateway.deployment import deployed
from support.gateway.fakes import FakeBackend, diarization, recognition
from support.xds import control_plane

WORDS = "hello there you"


@asynccontextmanager
async def serving(backend: FakeBackend) -> AsyncIterator[str]:
    async with running(backend, backend.config) as server:
        await server.wait_serving()
        yield server.address


async def test_recordings_go_to_whom_the_control_plane_names(tmp_path, monkeypatch):
    old, new = (recognition((0.5, 2.5, WORDS)) for _ in range(2))
    async with (
        serving(old) as first,
        serving(new) as second,
        control_plane("asr", first) as plane,
    ):
        monkeypatch.setenv("GRPC_XDS_BOOTSTRAP_CONFIG", json.dumps(plane.bootstrap()))
        async with deployed(tmp_path, [], diarization(), asr=("xds:///asr",)) as door, asyncio.timeout(20):
            assert (await door.transcript()).text == WORDS
            assert (len(old.calls), len(new.calls)) == (1, 0)
            await plane.move(second)
            while not new.calls:
                assert (await door.transcript()).text == WORDS
