"""How the families whose tokens belong to encoder frames are run: transducers and CTC."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from onnxruntime import OrtValue

from asr_service.engines.base import Samples
from asr_service.engines.layout import ModelLayout
from asr_service.engines.ort.company import Company, find_company
from asr_service.engines.ort.encoder import Signature, encode, rows, unpadded_lengths
from asr_service.engines.ort.features import stacked
from asr_service.engines.ort.features.spectrum import STEP
from asr_service.engines.ort.lanes import Lanes
from asr_service.engines.ort.lengths import Bucketed, Equal
from asr_service.engines.ort.network import Network
from asr_service.engines.ort.pipeline import Decoder, Pipeline
from asr_service.engines.ort.plan import Opened
from asr_service.engines.ort.runtime import Array, Placement
from asr_service.engines.ort.shapes import FeatureLayout
from asr_service.engines.ort.site import Site
from asr_service.engines.ort.speechlike import speech_like
from asr_service.engines.ort.stages import Encoded, Floats, GraphFrontEnd, Integers, Search
from asr_service.engines.tokens import read_tokens, token_texts
from serving.times import SAMPLE_RATE

# Kernels for one row and for several round otherwise: by 1e-6 of the largest value and less.
_TOLERANCE = 1e-3
_PROBE_SECONDS = 1.5
_LENGTHS = 8
"""Tried at most: no family has more feature frames to one of the encoder."""


@dataclass(frozen=True)
class FramePlan:
    layout: ModelLayout
    role: str
    """Of the encoder's file."""
    front_end: GraphFrontEnd
    signature: Signature
    search: Callable[[Placement], Search]
    """Loads it."""

    @property
    def encoder(self) -> Path:
        return self.layout.files[self.role]

    def network(self) -> Network:
        def inputs(batch: Sequence[Samples]) -> Mapping[str, Array]:
            with ThreadPoolExecutor(1) as pool:
                return self.signature.inputs(*self._features(batch, pool))

        layout = FeatureLayout(self.front_end.bins, self.signature.time_axis, self.front_end.frames)
        return Network(
            self.layout.family,
            self.encoder,
            layout,
            inputs,
            lambda placement: partial(self._token_ids, self.search(placement)),
        )

    def open(self, site: Site, lanes: Lanes) -> Opened:
        search = self.search(site.placement)
        features = site.features(self.front_end, channels_first=self.signature.time_axis == 2)
        company = self._company(site, lanes)
        texts = token_texts(read_tokens(self.layout.tokens))
        pipeline = Pipeline(
            features,
            self.signature,
            lanes,
            Bucketed(lanes.profiles) if company == "any" else Equal(self.front_end.frames),
            Decoder(search, texts, 10 / 1000 * self.signature.subsampling),
            fixed_shapes=site.fixed_shapes,
            watch=site.watch,
        )
        return Opened(pipeline, partial(self._token_ids, search), rows_are_independent=company != "none")

    def _company(self, site: Site, lanes: Lanes) -> Company:
        """Where batches are as long as their buckets say (no weights have a scale for a whole batch then), any will do."""
        if site.fixed_shapes:
            return "any"
        session = lanes.lane(2, SAMPLE_RATE).session

        def encode_all(utterances: Sequence[Samples]) -> list[Floats]:
            return rows(
                self.signature, encode(session, self.signature, *self._features(utterances, site.pool))
            )

        lengths = [SAMPLE_RATE + STEP * frame for frame in range(min(self.signature.subsampling, _LENGTHS))]
        return find_company(encode_all, speech_like(_PROBE_SECONDS), lengths, _TOLERANCE)

    def _features(self, batch: Sequence[Samples], pool: Executor) -> tuple[Floats, Integers]:
        return stacked(self.front_end, batch, pool, channels_first=self.signature.time_axis == 2)

    def _token_ids(self, search: Search, outputs: Mapping[str, OrtValue]) -> list[list[int]]:
        found = search(Encoded(outputs, unpadded_lengths(self.signature, outputs)))
        pairs = zip(found.tokens.tolist(), found.counts.tolist(), strict=True)
        return [tokens[:count] for tokens, count in pairs]
