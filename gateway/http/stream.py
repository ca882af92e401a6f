"""A transcript as server-sent events, while it comes (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from grpc import aio

from gateway.http.answers import diarized_segment, dumped
from gateway.http.refusals import error_body, status_of
from gateway.http.wanted import ResponseFormat, Wanted
from gateway.transcript import Transcript
from serving.errors import DuoscribeError
from speech.gateway.v1 import gateway_pb2

Events: TypeAlias = AsyncIterator[gateway_pb2.TranscribeResponse]

_DONE = b"data: [DONE]\n\n"


async def stream(events: Events, wanted: Wanted) -> AsyncIterator[bytes]:
    """Text as it is recognised, with diarized_json also segments as their speakers become certain, and in the end all text.

    A failure on the way is an event too: the answer has begun, and its HTTP status is sent.
    """
    transcript, told = Transcript(), ToldText()
    is_diarized = wanted.response_format is ResponseFormat.DIARIZED_JSON
    try:
        async for event in events:
            transcript.apply(event)
            if not event.HasField("segment"):
                continue
            if delta := told.add(event.segment):
                yield _event({"type": "transcript.text.delta", "delta": delta})
            if is_diarized and event.segment.speaker_final:
                yield _event(diarized_segment(event.segment))
    except (aio.AioRpcError, DuoscribeError) as error:
        yield _event(error_body(status_of(error)))
        return
    yield _event({"type": "transcript.text.done", "text": transcript.text})
    yield _DONE


class ToldText:
    """Which words have been told: a segment that replaces others says theirs again."""

    def __init__(self) -> None:
        # How many words there were of each time and text.
        self._told: Counter[tuple[int, int, str]] = Counter()

    def add(self, segment: gateway_pb2.Segment) -> str:
        """What of the segment is new, as it continues what was told before; empty where nothing is."""
        has_begun = bool(self._told)
        here: Counter[tuple[int, int, str]] = Counter()
        new = []
        for word in segment.words:
            key = word.start.ToNanoseconds(), word.end.ToNanoseconds(), word.text
            here[key] += 1
            if here[key] > self._told[key]:
                self._told[key] = here[key]
                new.append(word.text)
        return " ".join(["", *new] if has_begun and new else new)


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {dumped(data)}\n\n".encode()
