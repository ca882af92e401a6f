"""A recording that is given up while its answer is made, in a worker's own threads."""

import queue
import threading
import time

from google.protobuf.message import Message

from benchmarks.deterministic.written import GEOMETRY, WrittenNetworks, conversation
from diarization_service.answering import Answering
from diarization_service.final_turns import Answer, Check
from diarization_service.frames import NO_RECORDING, Frame, Kind
from diarization_service.recording import Recording
from diarization_service.reports import CLUSTERING, NETWORKS, Report
from serving.speakers import SpeakerBounds
from speech.audio.v1.audio_pb2 import EndOfAudio
from speech.diarization.v1.diarization_pb2 import DiarizationConfig, DiarizeRequest
from support.diarization_worker import KnownVoices

NUMBER = 1
STEP_SECONDS = 0.05


class Clustering(Recording):
    """Is clustered in steps, for ever; `steps` is how many have begun."""

    def __init__(self, bounds: SpeakerBounds) -> None:
        super().__init__(GEOMETRY, bounds, KnownVoices())
        self.entered = threading.Event()
        self.steps = 0

    def answer(self, check: Check = lambda: None) -> Answer:
        while True:
            self.steps += 1
            self.entered.set()
            time.sleep(STEP_SECONDS)
            check()


class Outbox:
    """Keeps the reports of recordings that were given up, and the kinds of all other frames about them."""

    def __init__(self) -> None:
        self.given_up: queue.Queue[Report] = queue.Queue()
        self.failed = threading.Event()

    def send(self, kind: Kind, recording: int = NO_RECORDING, message: Message | None = None) -> None:
        if kind == Kind.REPORT and message is not None:
            report = Report.from_bytes(message.SerializeToString())
            if report.given_up:
                self.given_up.put(report)
        elif kind == Kind.FAILED:
            self.failed.set()


def request(message: DiarizeRequest) -> Frame:
    return Frame(Kind.REQUEST, NUMBER, message.SerializeToString())


def test_clustering_ends_with_its_step_and_tells_for_how_long_it_went_on() -> None:
    recording, outbox = Clustering(SpeakerBounds()), Outbox()
    answering = Answering(WrittenNetworks(), lambda _: recording, outbox)
    threading.Thread(target=answering.run, daemon=True).start()
    answering.receive(request(DiarizeRequest(config=DiarizationConfig())))
    answering.receive(request(DiarizeRequest(audio=conversation(2, 15))))
    answering.receive(request(DiarizeRequest(end_of_audio=EndOfAudio())))
    assert recording.entered.wait(10)

    answering.receive(Frame(Kind.CANCEL, NUMBER, b""))
    begun = recording.steps
    reports = {(report := outbox.given_up.get(timeout=10)).stage: report.seconds for _ in range(2)}

    assert outbox.failed.is_set()
    assert set(reports) == {NETWORKS, CLUSTERING}
    assert recording.steps <= begun + 1
    assert reports[CLUSTERING] > 0
