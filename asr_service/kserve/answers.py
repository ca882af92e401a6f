"""What was heard, as the tensors that a caller asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from tritonclient.grpc import service_pb2

from asr_service.kserve.tensors import Array, to_bytes
from asr_service.tensor_names import TEXTS
from serving.times import seconds
from speech.asr.v1 import asr_pb2


@dataclass
class Heard:
    """In one recording."""

    utterances: list[asr_pb2.Utterance] = field(default_factory=list)

    async def take(self, response: asr_pb2.RecognizeResponse) -> None:
        """What a session sends; of a whole recording nothing but its utterances matters."""
        if response.HasField("utterance"):
            self.utterances.append(response.utterance)

    @property
    def text(self) -> str:
        return " ".join(utterance.text for utterance in self.utterances if utterance.text)

    @property
    def words(self) -> list[asr_pb2.Word]:
        return [word for utterance in self.utterances for word in utterance.words]


@dataclass(frozen=True)
class Output:
    datatype: str
    of_words: bool
    """Whether there is one for each word, or for the recording."""
    read: Callable[[Heard], Sequence[object]]

    def array(self, recordings: Sequence[Heard]) -> Array:
        """Of shape (recordings, most words) or (recordings, 1): text is "" behind a recording's last word, a number NaN."""
        rows = [self.read(heard) for heard in recordings]
        is_text = self.datatype == "BYTES"
        array = np.full(
            (len(rows), max(map(len, rows))),
            "" if is_text else np.nan,
            dtype=object if is_text else np.float32,
        )
        for index, row in enumerate(rows):
            array[index, : len(row)] = row
        return array


def _confidence(word: asr_pb2.Word) -> float:
    return word.confidence if word.HasField("confidence") else np.nan


OUTPUTS = {
    TEXTS: Output("BYTES", False, lambda heard: [heard.text]),
    "words": Output("BYTES", True, lambda heard: [word.text for word in heard.words]),
    "word_start_times": Output("FP32", True, lambda heard: [seconds(word.start) for word in heard.words]),
    "word_end_times": Output("FP32", True, lambda heard: [seconds(word.end) for word in heard.words]),
    "word_confidences": Output("FP32", True, lambda heard: [_confidence(word) for word in heard.words]),
}
DEFAULT_OUTPUTS = (TEXTS,)


def answered(
    request: service_pb2.ModelInferRequest,
    version: str,
    outputs: Sequence[str],
    recordings: Sequence[Heard],
    *,
    is_batch: bool,
) -> service_pb2.ModelInferResponse:
    """Tensors of shape (recordings, n), or (n,) where the audio had no dimension for recordings."""
    response = service_pb2.ModelInferResponse(
        model_name=request.model_name, model_version=version, id=request.id
    )
    for name in outputs:
        array = OUTPUTS[name].array(recordings)
        shape = array.shape if is_batch else array.shape[1:]
        response.outputs.add(name=name, datatype=OUTPUTS[name].datatype, shape=shape)
        response.raw_output_contents.append(to_bytes(array))
    return response
