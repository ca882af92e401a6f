"""The engine on ONNX Runtime, whatever the family and the device."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol

from onnxruntime import RunOptions

from asr_service.engines.base import NEVER, EngineInfo, Recognition, Speech, Stop
from asr_service.engines.ort.runtime import stoppable


class Recognizer(Protocol):
    """A model in its sessions. Safe to call from several threads at once."""

    def bucket(self, speech: Speech) -> int:
        """Only utterances of equal bucket may share a batch."""

    def padded(self, speech: Speech) -> float:
        """Seconds that are computed for it in a batch of its bucket."""

    def recognize(self, batch: Sequence[Speech], options: RunOptions) -> list[Recognition]:
        """Of utterances of one bucket, in their order. Raises Stopped where `options` end a run."""


class OrtEngine:
    """Sees to it that batches are what the recogniser takes, and that they can be stopped."""

    def __init__(self, recognizer: Recognizer, info: EngineInfo) -> None:
        self.recognizer = recognizer
        self.info = info

    def bucket(self, speech: Speech) -> int:
        return self.recognizer.bucket(speech)

    def padded(self, speech: Speech) -> float:
        return self.recognizer.padded(speech)

    def recognize(self, batch: Sequence[Speech], stop: Stop = NEVER) -> list[Recognition]:
        found: dict[int, Recognition] = {}
        with stoppable(stop) as options:
            for places in self._parts(batch):
                stop.check()
                part = self.recognizer.recognize([batch[place] for place in places], options)
                found.update(zip(places, part, strict=True))
        return [found[place] for place in range(len(batch))]

    def _parts(self, batch: Sequence[Speech]) -> Iterator[Sequence[int]]:
        """Places in the batch of what may be computed together."""
        buckets = [self.bucket(speech) for speech in batch]
        for _, places in groupby(sorted(range(len(batch)), key=buckets.__getitem__), key=buckets.__getitem__):
            yield from _chunks(list(places), self.info.max_batch)


def _chunks(places: list[int], most: int) -> Iterator[list[int]]:
    for start in range(0, len(places), most):
        yield places[start : start + most]
