"""A worker's work: many recordings at once, whatever computes for them. Knows nothing of torch.

One thread reads what the service sends, one runs the networks, one updates early turns, and each recording's answer is made
in one of its own: clustering hours of audio holds up nobody.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NoReturn

import structlog
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from diarization_service.batcher import Batcher
from diarization_service.frames import Frame, Kind
from diarization_service.mailbox import Inbox, Outbox
from diarization_service.recording import Recording
from diarization_service.reports import CLUSTERING, NETWORKS, Report
from diarization_service.session import Cancelled, Session
from diarization_service.stages import Networks
from diarization_service.timetable import Timetable
from serving import logs
from serving.speakers import SpeakerBounds, speaker_bounds
from serving.status import to_status
from speech.diarization.v1.diarization_pb2 import (
    DescribeDiarizationResponse,
    DiarizationConfig,
    DiarizeRequest,
)

# Answers made at once, each by a thread that mostly is somewhere in NumPy: so many long recordings do not hold up a short one.
_ANSWERS = 16
# Early turns of all recordings together take at most this share of a thread, which the networks can do without.
_EARLY_SHARE = 0.2

_log = logs.get_logger(__name__)

MakeRecording = Callable[[SpeakerBounds], Recording]


def serve(
    networks: Networks,
    make_recording: MakeRecording,
    description: DescribeDiarizationResponse,
    inbox: Inbox,
    outbox: Outbox,
) -> NoReturn:
    """Answer recordings until the process ends.

    Raises MachineFailed, upon which the process must end; the service then starts another.
    """
    answering = Answering(networks, make_recording, outbox)
    inbox.deliver(answering.receive)
    outbox.send(Kind.READY, message=description)
    outbox.keep_alive()
    answering.run()


def most_held(networks: Networks) -> int:
    """Samples of a recording that may wait to be computed: what fills every batch twice, were it alone."""
    windows = networks.segmentation_batch + networks.embedding_batch * networks.block_windows
    return networks.geometry.window + 2 * windows * networks.geometry.step


class Answering:
    """The recordings in flight. `run` belongs to one thread and `receive` to another."""

    def __init__(self, networks: Networks, make_recording: MakeRecording, outbox: Outbox) -> None:
        self._make_recording = make_recording
        self._most_held = most_held(networks)
        self._outbox = outbox
        self._batcher = Batcher(networks, moved=self._moved, failed=self._fail, report=self._report)
        self._early = Timetable("early", _EARLY_SHARE)
        self._answers = ThreadPoolExecutor(_ANSWERS, thread_name_prefix="answer")
        self._sessions: dict[int, Session] = {}
        self._removing = threading.Lock()

    def run(self) -> NoReturn:
        """Computes. Raises MachineFailed."""
        self._batcher.run()

    def receive(self, frame: Frame) -> None:
        """What the service says of a recording; nothing more is taken of one that has failed or was cancelled."""
        if frame.kind == Kind.CANCEL:
            self._cancel(frame.recording)
            return
        request = DiarizeRequest.FromString(frame.payload)
        if request.HasField("config"):
            self._begin(frame.recording, request.config)
            return
        session = self._sessions.get(frame.recording)
        if session is not None:
            self._advance(session, request)

    def _begin(self, number: int, config: DiarizationConfig) -> None:
        recording = self._make_recording(speaker_bounds(config.speakers))
        session = Session(number, config, recording, self._outbox, self._most_held)
        self._sessions[number] = session
        self._batcher.add(session)
        session.begin()

    def _advance(self, session: Session, request: DiarizeRequest) -> None:
        try:
            if request.HasField("end_of_audio"):
                session.end()
            else:
                session.feed(request.audio)
        except Exception as error:  # noqa: BLE001  the others go on
            self._fail(session, error)
        else:
            self._finish(session)
            self._batcher.wake()

    def _cancel(self, number: int) -> None:
        session = self._removed(number)
        if session is not None:
            self._batcher.discard(session, partial(self._given_up, session))

    def _given_up(self, session: Session) -> None:
        """The networks compute nothing more for it."""
        status = Status(code=code_pb2.CANCELLED, message="the recording was given up")
        self._outbox.send(Kind.FAILED, session.number, status)
        self._report_given_up(NETWORKS, session)

    def _report_given_up(self, stage: str, session: Session) -> None:
        self._report(Report(stage, 1, time.monotonic() - session.closed_at, given_up=True))

    def _fail(self, session: Session, error: Exception) -> None:
        """Ends one recording by a bug."""
        if self._removed(session.number) is None:
            return
        with structlog.contextvars.bound_contextvars(request_id=session.request_id):
            _log.error("diarization failed", exc_info=error)
        self._batcher.discard(session)
        self._outbox.send(Kind.FAILED, session.number, to_status(error))

    def _removed(self, number: int) -> Session | None:
        """The session, if nobody else has ended it; nothing will be said of it any more."""
        with self._removing:
            session = self._sessions.pop(number, None)
        if session is not None:
            session.close()
        return session

    def _moved(self, session: Session) -> None:
        self._finish(session)
        self._ask_early(session)

    def _finish(self, session: Session) -> None:
        if session.claim_answer():
            self._batcher.discard(session)
            self._answers.submit(self._answer, session)

    def _ask_early(self, session: Session) -> None:
        due = session.claim_early()
        if due is not None:
            self._early.add(due, partial(self._tell_early, session))

    def _tell_early(self, session: Session) -> None:
        try:
            session.tell_early()
        except Exception as error:  # noqa: BLE001  the others go on
            self._fail(session, error)
        # The networks may have gone on meanwhile, or have passed over it.
        self._ask_early(session)
        self._batcher.wake()

    def _answer(self, session: Session) -> None:
        started = time.monotonic()
        try:
            session.answer()
        except Cancelled:
            self._report_given_up(CLUSTERING, session)
            return
        except Exception as error:  # noqa: BLE001  the others go on
            self._fail(session, error)
            return
        self._removed(session.number)
        self._report(Report(CLUSTERING, 1, time.monotonic() - started))

    def _report(self, report: Report) -> None:
        self._outbox.send(Kind.REPORT, message=report.to_message())
