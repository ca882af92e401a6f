"""The five parts that an ensemble is made of: what each takes and gives, and what it is tried with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from asr_service.engines.ort.profiles import Profiles
from asr_service.engines.ort.runtime import Session
from asr_service.engines.ort.shapes import shape_ranges
from asr_service.engines.traits import TRAITS
from asr_service.tensor_names import AUDIO, LENGTHS, TEXTS
from asr_service.triton import decoding, preprocessing
from asr_service.triton.acceleration import tensorrt
from asr_service.triton.families import Exportable
from asr_service.triton.options import Options
from asr_service.triton.parts import Part, Sample
from asr_service.triton.tensors import VARIES, Tensor, inputs_of, outputs_of
from serving.times import SAMPLE_RATE

_FRAMES_TRIED = 100
"""In which a search looks for tokens before it is ready."""

GIVEN = (Tensor(AUDIO, "TYPE_FP32", (VARIES,)), Tensor(LENGTHS, "TYPE_INT64", (1,), optional=True))
"""What the ensemble takes."""
GIVES = Tensor(TEXTS, "TYPE_STRING", (1,))


@dataclass(frozen=True)
class Assembly:
    model: Exportable
    options: Options
    engines: str
    """TensorRT's folder for this model, where Triton runs."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What the ensemble says of itself to whoever asks Triton for its configuration."""

    @cached_property
    def ceilings(self) -> list[int]:
        """The longest utterance of each length bucket, in samples."""
        return [round(seconds * SAMPLE_RATE) for seconds in Profiles((self.options.profile,)).ceilings]

    def parts(self, sessions: Mapping[str, Session]) -> list[Part]:
        """In the order in which utterances go through them; `sessions` are of the three that are graphs, by their names."""
        return [
            self.lengths(),
            self.preprocessing(sessions["preprocessing"]),
            self.encoder(sessions["encoder"]),
            self.decoding(sessions["decoding"]),
            self.texts(),
        ]

    def lengths(self) -> Part:
        most = min(self.options.profile.seconds.max, TRAITS[self.model.layout.family].max_seconds)
        return Part(
            "lengths",
            "python",
            GIVEN,
            [Tensor(preprocessing.LENGTHS, "TYPE_INT64", (1,))],
            takes={tensor.name: tensor.name for tensor in GIVEN},
            gives={preprocessing.LENGTHS: "lengths"},
            parameters={"max_samples": str(round(most * SAMPLE_RATE)), "sample_rate": str(SAMPLE_RATE)},
        )

    def preprocessing(self, session: Session) -> Part:
        longest = self.ceilings[-1]
        return Part(
            "preprocessing",
            "onnxruntime",
            inputs_of(session),
            outputs_of(session),
            takes={AUDIO: AUDIO, preprocessing.LENGTHS: "lengths"},
            gives={preprocessing.FEATURES: "features", preprocessing.FRAMES: "feature_frames"},
            samples=[Sample("longest", 1, {AUDIO: (longest,)}, {preprocessing.LENGTHS: longest})],
        )

    def encoder(self, session: Session) -> Part:
        model, profile = self.model, self.options.profile
        takes = {model.features: "features"} | ({model.lengths: "feature_frames"} if model.lengths else {})
        gives = {output: f"encoded_{name}" for name, output in model.encoded.items()}
        if model.encoded_lengths:
            gives[model.encoded_lengths] = "encoded_lengths"
        return Part(
            "encoder",
            "onnxruntime",
            inputs_of(session),
            [tensor for tensor in outputs_of(session) if tensor.name in gives],
            takes,
            gives,
            samples=[
                self._batch("smallest", profile.rows.min, profile.seconds.min),
                self._batch("largest", profile.rows.max, profile.seconds.max),
            ],
            accelerator=self._tensorrt(inputs_of(session)) if self.options.on_gpu else {},
        )

    def decoding(self, session: Session) -> Part:
        inputs, model = inputs_of(session), self.model
        takes = {name: f"encoded_{name}" for name in model.encoded}
        takes[decoding.LENGTHS] = "encoded_lengths" if model.encoded_lengths else "feature_frames"
        zeros = {tensor.name: _tried(tensor.dims) for tensor in inputs if not tensor.is_number}
        return Part(
            "decoding",
            "onnxruntime",
            inputs,
            outputs_of(session),
            takes,
            gives={decoding.TOKENS: "token_ids"},
            samples=[Sample("silence", 1, zeros, {decoding.LENGTHS: _FRAMES_TRIED})],
        )

    def texts(self) -> Part:
        return Part(
            "texts",
            "python",
            [Tensor(decoding.TOKENS, "TYPE_INT64", (VARIES,))],
            [GIVES],
            takes={decoding.TOKENS: "token_ids"},
            gives={TEXTS: TEXTS},
        )

    def _batch(self, name: str, rows: int, seconds: float) -> Sample:
        model = self.model
        features = model.feature_layout.sizes(rows, seconds)[3]
        frames = features[model.feature_layout.time_axis]
        numbers = {model.lengths: frames} if model.lengths else {}
        return Sample(name, rows, {model.features: features[1:]}, numbers)

    def _tensorrt(self, inputs: Sequence[Tensor]) -> dict[str, str]:
        """One engine for all of the profile, built when Triton first loads it: no request ever waits for one."""
        shapes = {tensor.name: tensor.shape for tensor in inputs}
        ranges = shape_ranges(shapes, self.model.feature_layout, self.options.profile)
        return tensorrt(self.options.precision, ranges, self.engines)


def _tried(dims: Sequence[int]) -> tuple[int, ...]:
    return tuple(_FRAMES_TRIED if size == VARIES else size for size in dims)
