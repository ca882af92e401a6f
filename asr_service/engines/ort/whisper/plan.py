"""How Whisper is run."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from onnxruntime import OrtValue

from asr_service.engines.base import Samples
from asr_service.engines.layout import ModelLayout
from asr_service.engines.ort.features import SherpaWhisperFeatures, stacked
from asr_service.engines.ort.features.whisper import FRAMES
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.network import Decode, Network
from asr_service.engines.ort.plan import Opened
from asr_service.engines.ort.runtime import Array, Placement
from asr_service.engines.ort.shapes import FeatureLayout
from asr_service.engines.ort.site import Site
from asr_service.engines.ort.weights import is_eight_bit
from asr_service.engines.ort.whisper.pipeline import WhisperPipeline
from asr_service.engines.ort.whisper.search import WhisperSearch
from asr_service.engines.ort.whisper.special_tokens import read_texts

# As sherpa-onnx has it: so much silence follows an utterance.
_TAIL = 1000
# Enough to compare encoders by.
_MOST_COMPARED = 20


@dataclass(frozen=True)
class WhisperPlan:
    """On GPUs every utterance fills the 30 s that the encoder was trained on, so that all may share a batch."""

    layout: ModelLayout

    @property
    def encoder(self) -> Path:
        return self.layout.files["encoder"]

    @property
    def _metadata(self) -> Mapping[str, str]:
        return self.layout.headers["encoder"].metadata

    def network(self) -> Network:
        front_end = self._front_end(FRAMES)
        (name, *_) = self.layout.headers["encoder"].inputs

        def inputs(batch: Sequence[Samples]) -> Mapping[str, Array]:
            with ThreadPoolExecutor(1) as pool:
                return {name: stacked(front_end, batch, pool, channels_first=True)[0]}

        layout = FeatureLayout(front_end.bins, 2, front_end.frames)
        return Network(
            "whisper", self.encoder, layout, inputs, lambda placement: _decode(self._search(placement))
        )

    def open(self, site: Site, lanes: Lanes) -> Opened:
        search = self._search(site.placement)
        front_end = self._front_end(FRAMES if site.fixed_shapes else _TAIL)
        features = site.features(front_end, channels_first=True)
        texts = read_texts(self.layout.tokens, self._metadata)
        return Opened(
            WhisperPipeline(front_end, features, lanes, search, texts),
            _decode(search),
            rows_are_independent=search.rows_are_independent and not is_eight_bit(self.encoder),
            measures_time=search.measures_time,
            languages=tuple(search.special.languages) or ("en",),
        )

    def _front_end(self, tail: int) -> SherpaWhisperFeatures:
        return SherpaWhisperFeatures(int(self._metadata["n_mels"]), tail=tail)

    def _search(self, placement: Placement) -> WhisperSearch:
        return WhisperSearch(self.layout.files["decoder"], self._metadata, placement)


def _decode(search: WhisperSearch) -> Decode:
    def decode(outputs: Mapping[str, OrtValue]) -> list[list[int]]:
        return search.tokens(list(outputs.values()), _MOST_COMPARED)

    return decode
