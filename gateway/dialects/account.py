"""What one call was sent and has answered, by which an answer is known that is not whole, or contradicts itself."""

from serving.times import SAMPLE_RATE
from speech.audio.v1 import audio_pb2

_BYTES_A_MILLISECOND = 2 * SAMPLE_RATE // 1000
_NANOSECONDS_A_MILLISECOND = 1_000_000


class Garbled(Exception):  # noqa: N818 - named after what happened
    """An answer that the contract does not allow, from a backend with a bug; another replica may do better."""


class Account:
    """Of one call; the next one has its own."""

    def __init__(self) -> None:
        self._sent_bytes = 0
        self._is_all = False
        self._final_horizon = 0
        self.utterances = 0
        """So many came."""

    def sent(self, pcm: bytes) -> None:
        self._sent_bytes += len(pcm)

    def sent_all(self) -> None:
        self._is_all = True

    def utterance(self, index: int) -> None:
        """Raises Garbled where one is missing, or comes again."""
        if index != self.utterances:
            raise Garbled(f"utterance {index} came in the place of {self.utterances}")
        self.utterances += 1

    def horizons(self, horizon: int, final_horizon: int) -> None:
        """Of a change to the turns, in nanoseconds. Raises Garbled where it takes back what was final."""
        if final_horizon < self._final_horizon:
            raise Garbled("turns were final no longer")
        if final_horizon > horizon:
            raise Garbled("turns were final that were not known")
        self._final_horizon = final_horizon

    def completed(self, timing: audio_pb2.StageTiming) -> None:
        """Raises Garbled where not all of the audio can have been heard."""
        if not self._is_all:
            raise Garbled("the answer was complete before the recording was")
        if not timing.HasField("audio_duration"):
            return
        heard = timing.audio_duration.ToNanoseconds() // _NANOSECONDS_A_MILLISECOND
        sent = self._sent_bytes // _BYTES_A_MILLISECOND
        if abs(heard - sent) > 1:
            raise Garbled(f"{heard} ms were heard of {sent}")
