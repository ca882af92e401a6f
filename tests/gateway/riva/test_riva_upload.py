"""How a stream without a sign of its end is told from one that its caller gave up."""

import pytest
from riva.client.proto.riva_asr_pb2 import StreamingRecognitionConfig, StreamingRecognizeRequest

from gateway.config import GatewayConfig
from gateway.riva.upload import Requests
from serving.errors import Abandoned
from support.gateway.riva import config


class Call:
    """A call whose cancellation shows late, after so many looks; None: never."""

    def __init__(self, looks: int | None):
        self._looks = looks

    def cancelled(self) -> bool:
        if self._looks is None:
            return False
        self._looks -= 1
        return self._looks < 0


async def messages():
    """Ends, as grpc.aio's streams do for either reason."""
    yield StreamingRecognizeRequest(streaming_config=StreamingRecognitionConfig(config=config()))
    yield StreamingRecognizeRequest(audio_content=b"\0\0")


async def heard(call: Call) -> list[bytes]:
    requests = Requests(messages(), call, GatewayConfig())
    await requests.config()
    return [chunk async for chunk in requests.audio()]


async def test_a_stream_that_its_caller_closed_is_a_recording():
    assert await heard(Call(None)) == [b"\0\0"]


@pytest.mark.parametrize("looks", [0, 5])
async def test_a_stream_whose_call_was_cancelled_is_none(looks):
    with pytest.raises(Abandoned, match="cancelled before the stream was closed"):
        await heard(Call(looks))
