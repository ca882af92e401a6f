"""One recording in a worker: messages from the service in, responses out, and what the networks are to compute for it.

Several threads call: one brings audio, one computes, one updates early turns, one makes the answer. A call holds the session
for itself; only `waiting`, `ready` and `close` never wait.
"""

import threading
import time
from collections import deque
from itertools import islice
from typing import Any

from google.protobuf.wrappers_pb2 import Int64Value

from diarization_service.frames import Kind
from diarization_service.inference import Stage
from diarization_service.known_turns import KnownTurns
from diarization_service.mailbox import Outbox
from diarization_service.patches import completed, patches
from diarization_service.progress import ProgressMeter
from diarization_service.recording import Recording
from diarization_service.reports import CLUSTERING, EMBEDDING, SEGMENTATION
from diarization_service.times import Times
from diarization_service.turns import Diarization, Known, diarization
from serving.times import duration, samples_to_duration
from speech.audio.v1.audio_pb2 import StageTiming
from speech.diarization.v1.diarization_pb2 import DiarizationCompleted, DiarizationConfig, DiarizeResponse

# Early turns are said anew after at least so many seconds.
_EARLY_SECONDS = 1.0

# More room for audio is told when it has grown by this share of what may be held.
_GRANTED_SHARE = 1 / 8


class Cancelled(Exception):  # noqa: N818  not an error
    """The service gave the recording up."""


class Session:
    """A recording in flight."""

    def __init__(
        self, number: int, config: DiarizationConfig, recording: Recording, outbox: Outbox, most_held: int
    ) -> None:
        """`most_held`: samples that may wait here to be computed."""
        self.number = number
        self.request_id = config.request_id
        self._with_embeddings = config.speaker_embeddings
        self._recording = recording
        self._outbox = outbox
        self._most_held = most_held
        self._granted = 0
        self._calls = threading.Lock()
        self._closed = threading.Event()
        self.closed_at = 0.0
        """When it was, by `time.monotonic`; 0 before."""
        self._ended = False
        self._is_answering = False
        self._waiting: dict[str, deque[float]] = {SEGMENTATION: deque(), EMBEDDING: deque()}
        self._meter = ProgressMeter()
        # In the networks and for the answer: one after the other, so never more than passes. Early turns come beside them.
        self._compute_seconds = 0.0
        self._times = Times()
        self._early = KnownTurns()
        self._known = Known()
        # Windows embedded, and how many of them the early turns told last are made from.
        self._embedded = self._told = 0
        self._early_claims = threading.Lock()
        self._early_claimed = False
        self._early_running = False
        self._next_early = 0.0

    def begin(self) -> None:
        """Says how much audio may come."""
        with self._calls:
            self._changed()

    def feed(self, pcm: bytes) -> None:
        with self._calls:
            self._recording.feed(pcm)
            self._changed()

    def end(self) -> None:
        """No audio follows."""
        with self._calls:
            self._recording.end()
            self._ended = True
            self._changed()

    def close(self) -> None:
        """From now on nothing is said or taken."""
        self.closed_at = time.monotonic()
        self._closed.set()

    def waiting(self, stage: str) -> int:
        """Items that the stage has still to take, of those that arrived."""
        return 0 if self._closed.is_set() else len(self._waiting[stage])

    def ready(self, stage: str) -> int:
        """Those of them that it could take now."""
        return 0 if self._early_running else self.waiting(stage)

    def take(self, stage: Stage, most: int) -> tuple[Any, list[float]]:
        """Up to `most` items, and how many seconds each has waited."""
        with self._calls:
            if self._closed.is_set():
                return (), []
            items = stage.take(self._recording, most)
            now = time.monotonic()
            waits = [now - since for since in islice(self._waiting[stage.name], len(items))]
            if waits:
                self._times.taken(stage.name, waits)
            self._changed()
        return items, waits

    def accept(self, stage: Stage, result: Any, seconds: float) -> None:
        """What the stage made of the items taken longest ago, and this recording's share of the time it took."""
        with self._calls:
            if not self._closed.is_set():
                stage.accept(self._recording, result)
                self._compute_seconds += seconds
                self._times.computed(stage.name, seconds)
                self._changed()

    def claim_answer(self) -> bool:
        """Whether everything is computed that the answer needs; True once, then `answer` is to be called."""
        if not self._ended or self._closed.is_set():
            return False
        with self._calls:
            if self._is_answering or not self._recording.finished:
                return False
            self._is_answering = True
            return True

    def claim_early(self) -> float | None:
        """When early turns are due, by `time.monotonic`, if there will be new ones; then `tell_early` is to be called."""
        with self._early_claims:
            is_over = self._is_answering or self._closed.is_set()
            if is_over or self._early_claimed or self._embedded == self._told:
                return None
            self._early_claimed = True
            return self._next_early

    def tell_early(self) -> None:
        """Takes long: the stages pass over the recording meanwhile."""
        self._early_running = True
        try:
            with self._calls:
                if not self._is_answering and not self._closed.is_set():
                    self._tell_early()
        finally:
            self._early_running = False
            self._early_claimed = False

    def answer(self) -> None:
        """Says the final turns. Takes long, holding up nobody. Raises Cancelled where the session was closed meanwhile."""
        started = time.monotonic()
        self._times.taken(CLUSTERING, [0.0])
        self._progress(answered=False)
        answer = self._recording.answer(self._check)
        found = diarization(answer.tracks, answer.exclusive, self._recording.received, answer.voices)
        self._check()
        took = time.monotonic() - started
        self._compute_seconds += took
        self._times.computed(CLUSTERING, took)
        self._progress(answered=True)
        self._say(found.known)
        self._outbox.send(Kind.TIMES, self.number, self._times.to_message())
        self._respond(DiarizeResponse(completed=self._completed(found)))

    def _tell_early(self) -> None:
        started = time.monotonic()
        self._told = self._embedded
        early = self._recording.early()
        if early is not None:
            self._say(self._early.known(early, self._recording.received))
        self._next_early = started + _EARLY_SECONDS

    def _changed(self) -> None:
        """After each call that moved the recording on."""
        self._embedded = self._recording.embedded
        now = time.monotonic()
        for stage, ready in (
            (SEGMENTATION, self._recording.ready_windows),
            (EMBEDDING, self._recording.ready_blocks),
        ):
            waiting = self._waiting[stage]
            while len(waiting) > ready:
                waiting.popleft()
            waiting.extend([now] * (ready - len(waiting)))
        self._grant()
        self._progress(answered=False)

    def _grant(self) -> None:
        room = self._recording.received + max(0, self._most_held - self._recording.held)
        if not self._ended and room - self._granted >= _GRANTED_SHARE * self._most_held:
            self._granted = room
            self._outbox.send(Kind.GRANT, self.number, Int64Value(value=room))

    def _progress(self, *, answered: bool) -> None:
        progress = self._meter.advance(
            windows=self._recording.windows if self._ended else None,
            segmented=self._recording.segmented,
            embedded=self._recording.embedded,
            answered=answered,
        )
        if progress is not None:
            self._respond(DiarizeResponse(progress=progress))

    def _say(self, known: Known) -> None:
        for update in patches(self._known, known):
            self._respond(DiarizeResponse(turns=update))
        self._known = known

    def _respond(self, response: DiarizeResponse) -> None:
        if not self._closed.is_set():
            self._outbox.send(Kind.RESPONSE, self.number, response)

    def _completed(self, found: Diarization) -> DiarizationCompleted:
        outcome = completed(found, with_embeddings=self._with_embeddings)
        outcome.timing.CopyFrom(
            StageTiming(
                audio_duration=samples_to_duration(found.samples),
                compute_duration=duration(self._compute_seconds),
            )
        )
        return outcome

    def _check(self) -> None:
        if self._closed.is_set():
            raise Cancelled
