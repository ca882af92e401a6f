"""What a caller makes of the gateway's events."""

from collections.abc import Sequence

from speech.audio.v1 import audio_pb2
from speech.diarization.v1 import diarization_pb2
from speech.gateway.v1 import gateway_pb2


class Transcript:
    """The transcript so far: applies events in the order in which they came.

    A segment with a known id takes its predecessor's place, and whatever `supersedes` names is dropped. After the
    last event, `segments` equals what TranscribeFile returns for the same recording.
    """

    def __init__(self) -> None:
        self.started: gateway_pb2.TranscriptionStarted | None = None
        self.completed: gateway_pb2.TranscriptionCompleted | None = None
        self.progress: dict[gateway_pb2.Stage.ValueType, gateway_pb2.StageProgress] = {}
        self.stages: dict[gateway_pb2.Stage.ValueType, gateway_pb2.StageStatus] = {}
        self._segments: dict[str, gateway_pb2.Segment] = {}

    @classmethod
    def from_response(cls, response: gateway_pb2.TranscribeFileResponse) -> "Transcript":
        """The same view of the answer of TranscribeFile."""
        transcript = cls()
        transcript.started = gateway_pb2.TranscriptionStarted(
            request_id=response.request_id, recording=response.recording
        )
        for segment in response.segments:
            transcript._keep(segment)
        transcript.completed = response.completed
        return transcript

    def apply(self, event: gateway_pb2.TranscribeResponse) -> None:
        match event.WhichOneof("event"):
            case "started":
                self.started = event.started
            case "segment":
                self._keep(event.segment)
            case "progress":
                self.progress[event.progress.stage] = event.progress
            case "stage_status":
                self.stages[event.stage_status.stage] = event.stage_status
            case "completed":
                self.completed = event.completed
            case _:  # An event of a newer gateway: nothing that this client could use.
                pass

    @property
    def segments(self) -> list[gateway_pb2.Segment]:
        """Segments that have not been superseded, in order of start."""
        return sorted(self._segments.values(), key=_start)

    @property
    def final_segments(self) -> list[gateway_pb2.Segment]:
        """Those of them whose text and speaker will not change any more."""
        return [segment for segment in self.segments if segment.text_final and segment.speaker_final]

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    @property
    def speakers(self) -> list[str]:
        """Labels in order of first appearance; those of the segments until the recording is completed."""
        if self.completed is not None:
            return list(self.completed.speakers)
        return list(dict.fromkeys(segment.speaker for segment in self.segments if segment.speaker))

    @property
    def voices(self) -> Sequence[diarization_pb2.SpeakerVoice]:
        """What each speaker sounded like; empty until the recording is completed."""
        return self.completed.voices if self.completed is not None else []

    @property
    def models(self) -> Sequence[audio_pb2.ModelInfo]:
        """The models that took part; empty until the recording is completed."""
        return self.completed.models if self.completed is not None else []

    def _keep(self, segment: gateway_pb2.Segment) -> None:
        for superseded in segment.supersedes:
            self._segments.pop(superseded, None)
        self._segments[segment.segment_id] = segment


def _start(segment: gateway_pb2.Segment) -> int:
    return segment.span.start.ToNanoseconds()
