"""Whisper as sherpa-onnx exports it, with cross-attention: encoder and decoder, times from the decoder's attention.

The encoder's keys and values carry, frame by frame, the number of the latest burst; the decoder asks for the burst of its
own position. So its attention walks along the recording as a trained one's does. The language's place among those of the
model is that of the piece which the phrase begins with; the decoder finds it in its cache. Layout after
sherpa-onnx, scripts/whisper/export-onnx-with-attention.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr_service.engines.ort.graphs.builder import FLOAT, INT64, Graph, Shape
from support.tiny_models.hearing import Ear, one_hot, spans, steps
from support.tiny_models.phrase import PIECES, Vocabulary

EAR = Ear(bins=80, stride=2, threshold=0.3)
"""Whisper's features reach from about -1 to 1.5, relative to the loudest frame; padding is 0."""

STATE = 4 * len(PIECES)
"""Width of the model; bursts after so many go unheard."""

LAYERS, HEADS, TEXT_CONTEXT = 1, 2, 448
_AFTER = (
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
_TIMES = tuple(f"<|{step / 50:.2f}|>" for step in range(1501))


@dataclass(frozen=True)
class _Speaker:
    """What the metadata says of the tokens."""

    languages: tuple[str, ...]
    """Empty for a model of English alone, whose prompt has neither language nor task."""
    likeliest: str | None = None
    """The language that it takes all speech for; None: all are equally likely."""

    @property
    def bias(self) -> npt.NDArray[np.float32]:
        bias = self.vocabulary.bias("<|endoftext|>")
        if self.likeliest:
            bias[self.vocabulary.id(f"<|{self.likeliest}|>")] = 0.01
        return bias

    @property
    def vocabulary(self) -> Vocabulary:
        tags = tuple(f"<|{language}|>" for language in self.languages)
        return Vocabulary((), PIECES, ("<|endoftext|>", "<|startoftranscript|>", *tags, *_AFTER, *_TIMES))

    @property
    def prompt(self) -> tuple[int, ...]:
        """sot_sequence, to which sherpa-onnx adds <|notimestamps|>."""
        start = self.vocabulary.id("<|startoftranscript|>")
        if not self.languages:
            return (start,)
        return start, self.vocabulary.id(f"<|{self.languages[0]}|>"), self.vocabulary.id("<|transcribe|>")


def vocabulary(languages: tuple[str, ...] = ()) -> Vocabulary:
    return _Speaker(languages).vocabulary


def write(
    directory: Path,
    *,
    languages: tuple[str, ...] = (),
    likeliest: str | None = None,
    cross_attention: bool = True,
) -> None:
    """Without `cross_attention` the decoder has three outputs, as older exports, and its tokens no times."""
    speaker = _Speaker(languages, likeliest)
    text = replace(speaker.vocabulary, after=())
    text.write(directory, encode=True)
    _encoder().save(directory / "encoder.onnx", _metadata(speaker))
    _decoder(speaker, cross_attention=cross_attention).save(directory / "decoder.onnx")


def _metadata(speaker: _Speaker) -> Mapping[str, object]:
    token = speaker.vocabulary.id
    return {
        "model_type": "whisper-tiny" if speaker.languages else "whisper-tiny.en",
        "version": 2,
        "maintainer": "k2-fsa",
        "n_mels": EAR.bins,
        "n_audio_ctx": 1500,
        "n_audio_state": STATE,
        "n_audio_head": HEADS,
        "n_audio_layer": LAYERS,
        "n_vocab": len(speaker.vocabulary),
        "n_text_ctx": TEXT_CONTEXT,
        "n_text_state": STATE,
        "n_text_head": HEADS,
        "n_text_layer": LAYERS,
        "sot_sequence": ",".join(map(str, speaker.prompt)),
        "all_language_tokens": ",".join(str(token(f"<|{language}|>")) for language in speaker.languages),
        "all_language_codes": ",".join(speaker.languages),
        "sot": token("<|startoftranscript|>"),
        "sot_index": 0,
        "eot": token("<|endoftext|>"),
        "blank_id": 0,
        "is_multilingual": int(bool(speaker.languages)),
        "no_speech": token("<|nospeech|>"),
        "non_speech_tokens": "",
        "transcribe": token("<|transcribe|>"),
        "translate": token("<|translate|>"),
        "sot_prev": token("<|startofprev|>"),
        "sot_lm": token("<|startoflm|>"),
        "no_timestamps": token("<|notimestamps|>"),
        "n_alignment_heads": HEADS,
        "alignment_heads": ",".join(f"0:{head}" for head in range(HEADS)),
    }


def _encoder() -> Graph:
    graph = Graph("encoder")
    mel = graph.input("mel", FLOAT, ("n_audio", EAR.bins, "T"))
    latest = spans(graph, EAR.onsets(graph, mel), STATE)
    layered = graph.op("Unsqueeze", latest, graph.ints([0]))
    for name in ("n_layer_cross_k", "n_layer_cross_v"):
        graph.output(name, layered, FLOAT, (LAYERS, "n_audio", "frames", STATE))
    return graph


def _decoder(speaker: _Speaker, *, cross_attention: bool) -> Graph:
    graph = Graph("decoder")
    tokens = graph.input("tokens", INT64, ("n_audio", "n_tokens"))
    cache: Shape = (LAYERS, "n_audio", TEXT_CONTEXT, STATE)
    past = [graph.input(f"in_n_layer_self_{part}_cache", FLOAT, cache) for part in "kv"]
    cross: Shape = (LAYERS, "n_audio", "T", STATE)
    keys, values = (graph.input(f"n_layer_cross_{part}", FLOAT, cross) for part in "kv")
    offset = graph.input("offset", INT64, (1,))
    own = [_remember(graph, speaker, cache, tokens, offset) for cache in past]
    # The token after the prompt, <|notimestamps|> included, asks for burst 0.
    position = graph.op("Add", steps(graph, tokens, 1), offset)
    query = one_hot(graph, graph.op("Sub", position, graph.ints(len(speaker.prompt))), STATE)
    weights = _attention(graph, query, keys)
    found = graph.op("Mul", graph.op("MatMul", weights, graph.op("Squeeze", values, graph.ints([0]))), query)
    shape = ("n_audio", "n_tokens", len(speaker.vocabulary))
    graph.output("logits", _logits(graph, speaker, found, own[0]), FLOAT, shape)
    for part, state in zip("kv", own, strict=True):
        graph.output(f"out_n_layer_self_{part}_cache", state, FLOAT, cache)
    if cross_attention:
        heads = graph.op("Concat", *[graph.op("Unsqueeze", weights, graph.ints([1]))] * HEADS, axis=1)
        graph.output("cross_attention_weights", heads, FLOAT, ("n_audio", HEADS, "n_tokens", "T"))
    return graph


def _attention(graph: Graph, query: str, keys: str) -> str:
    """[n_tokens, state] and [1, n_audio, T, state] to [n_audio, n_tokens, T]."""
    transposed = graph.op("Transpose", graph.op("Squeeze", keys, graph.ints([0])), perm=[0, 2, 1])
    scores = graph.op("MatMul", query, transposed)
    return graph.op("Softmax", graph.op("Mul", scores, graph.floats(50)), axis=-1)


def _logits(graph: Graph, speaker: _Speaker, found: str, own: str) -> str:
    """By the output weights of the language, whose number the cache holds at the place of the prompt's second token."""
    words = speaker.vocabulary
    shifts = range(max(1, len(speaker.languages)))
    weights = graph.floats([words.projection(STATE, shift=shift) for shift in shifts])
    second = graph.op("Slice", own, graph.ints([1, 0]), graph.ints([2, 1]), graph.ints([2, 3]))
    # A sum, since a cache that grows with the tokens may not reach there yet.
    language = graph.cast(graph.op("ReduceSum", second, graph.ints([0, 2, 3]), keepdims=0), INT64)
    logits = graph.op("MatMul", found, graph.op("Gather", weights, language))
    return graph.op("Add", logits, graph.floats(speaker.bias))


def _remember(graph: Graph, speaker: _Speaker, cache: str, tokens: str, offset: str) -> str:
    """The cache with the tokens' embeddings from `offset` on: first of all numbers the language's, others as may be."""
    words = speaker.vocabulary
    table = np.random.default_rng(0).normal(size=(len(words), STATE))
    table[:, 0] = 0
    for number, language in enumerate(speaker.languages):
        table[words.id(f"<|{language}|>"), 0] = number
    rows = graph.op("Unsqueeze", graph.op("Gather", graph.floats(table), tokens), graph.ints([0]))
    after = graph.op("Add", offset, graph.op("Shape", tokens, start=1, end=2))
    head = graph.op("Slice", cache, graph.ints([0]), offset, graph.ints([2]))
    tail = graph.op("Slice", cache, after, graph.ints([TEXT_CONTEXT]), graph.ints([2]))
    return graph.op("Concat", head, rows, tail, axis=2)
