"""One recording's ears: samples in, utterances out as soon as they are complete."""

from asr_service.utterances import Pcm, Utterance, UtteranceCutter
from asr_service.vad import Activity, VoiceActivityDetector
from serving.audio import to_float


class Listener:
    """Voice activity detection and cutting together, so that a block takes one hop to another thread."""

    def __init__(self, detector: VoiceActivityDetector, cutter: UtteranceCutter) -> None:
        self._detector = detector
        self._cutter = cutter
        self.heard = 0
        """Samples received."""
        self.spoken = 0
        """Samples in regions of speech that came to their end."""

    @property
    def undecided_from(self) -> int:
        """Sample before which all speech lies in utterances already given out."""
        return self._cutter.undecided_from

    def hear(self, block: Pcm) -> list[Utterance]:
        self.heard += len(block)
        activity = self._detector.accept(to_float(block))
        self._count(activity)
        return self._cutter.accept(block, activity)

    def finish(self) -> list[Utterance]:
        """The rest, at the end of the recording."""
        activity = self._detector.finish()
        self._count(activity)
        return self._cutter.finish(activity)

    def _count(self, activity: Activity) -> None:
        self.spoken += sum(region.length for region in activity.regions)
