"""Runs Whisper's search graph on what the encoder gave."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnxruntime import OrtValue, RunOptions

from asr_service.engines.ort.runtime import Array, Placement
from asr_service.engines.ort.stages import Floats, Hypotheses, Integers
from asr_service.engines.ort.whisper.alignment import reflected
from asr_service.engines.ort.whisper.decoder import read_decoder
from asr_service.engines.ort.whisper.opening import open_graph
from asr_service.engines.ort.whisper.search_graph import search_graph
from asr_service.engines.ort.whisper.special_tokens import SpecialTokens
from asr_service.engines.ort.whisper.warping import first_frames

FRAME_SECONDS = 0.02
"""How far the encoder's frames lie apart, in which times are told."""
MEL_FRAMES_A_SECOND = 100
TOKENS_A_SECOND = 6
"""What sherpa-onnx believes a second to hold at most."""

# Mel frames for each of the encoder's.
_SUBSAMPLING = 2

_Inputs = Mapping[str, Array | OrtValue]


class WhisperSearch:
    """Finds tokens, their log-probabilities and, where the decoder gives attention, their times: all rows in one pass."""

    def __init__(self, decoder: Path, metadata: Mapping[str, str], placement: Placement) -> None:
        """`metadata` are the encoder's, which have passed `asr_service.engines.checks`. Raises ModelUnavailable."""
        read = read_decoder(decoder, metadata)
        self.special = SpecialTokens.from_metadata(metadata)
        self.measures_time = read.heads > 0
        self.rows_are_independent = read.rows_are_independent
        self._cross = read.cross
        self._longest = most_tokens(metadata)
        self._no_bias = np.zeros(int(metadata["n_vocab"]), np.float32)
        self._session = open_graph(search_graph(read, self.special.end), placement)

    def __call__(
        self,
        encoded: Sequence[OrtValue],
        frames: Integers,
        languages: Sequence[str | None],
        options: RunOptions | None = None,
    ) -> Hypotheses:
        """`encoded` is what the encoder gave, `frames` [N] the mel frames of each row that hold audio.

        A language of None is detected. Where the decoder gives no attention, all tokens are in frame 0.
        """
        audible = np.clip(frames // _SUBSAMPLING, 1, encoded[0].shape()[2])
        audio = self._audio(encoded, audible)
        prompts = self.special.prompts(self._chosen(audio, languages, options))
        limits = frames * TOKENS_A_SECOND // MEL_FRAMES_A_SECOND
        found = self._run(audio, prompts, np.minimum(limits, self._longest), options=options)
        tokens, counts = found["tokens"].T, found["counts"]
        first = (
            first_frames(found["costs"], audible, counts + 1) if self.measures_time else np.zeros_like(tokens)
        )
        kept = slice(counts.max())
        return Hypotheses(
            tokens[:, kept], first[:, kept], found["log_probs"].T[:, kept], counts, np.diff(first)[:, kept]
        )

    def tokens(self, encoded: Sequence[OrtValue], most: int) -> list[list[int]]:
        """At most so many of each row, taken for a window full of English: what encoders can be compared by."""
        rows, window = encoded[0].shape()[1:3]
        prompts = np.tile(np.array(self.special.prompt, np.int64), (rows, 1))
        found = self._run(self._audio(encoded, np.full(rows, window)), prompts, np.full(rows, most))
        return [row[:count] for row, count in zip(found["tokens"].T.tolist(), found["counts"], strict=True)]

    def _audio(self, encoded: Sequence[OrtValue], audible: Integers) -> _Inputs:
        """What the search hears."""
        audio: dict[str, Array | OrtValue] = dict(zip(self._cross, encoded, strict=True))
        if self.measures_time:
            audio |= {"frames": audible, "mirror": reflected(audible, int(audible.max()))}
        return audio

    def _chosen(
        self, audio: _Inputs, languages: Sequence[str | None], options: RunOptions | None
    ) -> list[str]:
        """As asked for, else the one whose token is likeliest to follow the start."""
        if None not in languages or not self.special.languages:
            return [language or "" for language in languages]
        codes = {token: code for code, token in self.special.languages.items()}
        only = np.full_like(self._no_bias, -np.inf)
        only[list(codes)] = 0
        start, none = np.full((len(languages), 1), self.special.start), np.zeros(len(languages), np.int64)
        (heard, *_) = self._run(audio, start, none, only, options)["tokens"].tolist()
        return [language or codes[token] for language, token in zip(languages, heard, strict=True)]

    def _run(
        self,
        audio: _Inputs,
        prompts: Integers,
        limits: Integers,
        bias: Floats | None = None,
        options: RunOptions | None = None,
    ) -> dict[str, Array]:
        given = {"prompt": prompts, "limits": limits, "bias": self._no_bias if bias is None else bias}
        found = self._session.run({**audio, **given}, options=options)
        return {name: value.numpy() for name, value in found.items()}


def most_tokens(metadata: Mapping[str, str]) -> int:
    """Of an utterance, however long it is."""
    return int(metadata["n_text_ctx"]) // 2
