"""FunASR's models, SenseVoice and Paraformer, which hear seven stacked frames of 10 ms in every sixth place.

Both take samples in the range of int16, and the mean and variance that their metadata says normalise what they hear.
Layouts after sherpa-onnx, scripts/sense-voice/export-onnx.py, and FunASR's export of Paraformer.
"""

from pathlib import Path

from asr_service.engines.ort.graphs.builder import FLOAT, INT32, INT64, Graph
from support.tiny_models.hearing import Ear, pieces, steps
from support.tiny_models.phrase import PIECES, Vocabulary

WINDOW, SHIFT, BINS = 7, 6, 80
EAR = Ear(bins=WINDOW * BINS, stride=1, threshold=0.5)
"""Normalised: 0 is the logarithm of a mel energy of 14, and padding; silence is -15."""

LANGUAGES = {"auto": 0, "zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12}
_WITH_ITN, _WITHOUT_ITN = 14, 15
_TAGS = ("<|NEUTRAL|>", "<|Speech|>", "<|withitn|>", "<|woitn|>")
SENSE_VOICE = Vocabulary(
    ("<unk>", "<s>", "</s>"), PIECES, (*(f"<|{language}|>" for language in LANGUAGES), *_TAGS)
)
"""Its blank is token 0."""

PARAFORMER = Vocabulary(
    ("<blank>", "<s>", "</s>"), ("good", "mor@@", "ning", "every@@", "body", "here"), ("<unk>",)
)

_METADATA = {
    "lfr_window_size": WINDOW,
    "lfr_window_shift": SHIFT,
    "neg_mean": ",".join(["-14"] * EAR.bins),
    "inv_stddev": ",".join(["0.5"] * EAR.bins),
}


def write_sense_voice(directory: Path) -> None:
    """Its first four frames say language, emotion, event and whether numbers are written out.

    The language's number in `LANGUAGES` is that of the piece which the phrase begins with.
    """
    graph = Graph("model")
    features = graph.input("x", FLOAT, ("N", "T", EAR.bins))
    lengths = EAR.lengths(graph, graph.input("x_length", INT32, ("N",)))
    language = graph.input("language", INT32, ("N",))
    text_norm = graph.input("text_norm", INT32, ("N",))
    shift = graph.op("Unsqueeze", graph.cast(language, INT64), graph.ints([1]))
    heard = pieces(graph, _onsets(graph, features, lengths), len(PIECES), shift=shift)
    logits = graph.op("MatMul", heard, graph.floats(SENSE_VOICE.projection(len(PIECES))))
    logits = graph.op("Add", logits, graph.floats(SENSE_VOICE.bias("<unk>")))
    prompt = graph.op("Unsqueeze", _prompt(graph, language, text_norm), graph.ints([2]))
    tags = graph.cast(graph.op("Equal", prompt, graph.ints(range(len(SENSE_VOICE)))), FLOAT)
    tags = graph.op("Mul", tags, graph.floats(8))
    graph.output("logits", graph.op("Concat", tags, logits, axis=1), FLOAT, ("N", "frames", len(SENSE_VOICE)))
    metadata = {
        **_METADATA,
        "normalize_samples": 0,
        "model_type": "sense_voice_ctc",
        "version": 2,
        "vocab_size": len(SENSE_VOICE),
        "comment": "iic/SenseVoiceSmall",
        **{f"lang_{language}": number for language, number in LANGUAGES.items()},
        "with_itn": _WITH_ITN,
        "without_itn": _WITHOUT_ITN,
    }
    SENSE_VOICE.write(directory)
    graph.save(directory / "model.onnx", metadata)


def _prompt(graph: Graph, language: str, text_norm: str) -> str:
    """Token ids of the four tags, [N, 4]; English is what it hears unless told."""
    answers = [SENSE_VOICE.id("<|en|>")] * (max(LANGUAGES.values()) + 1)
    for name, number in LANGUAGES.items():
        if name != "auto":
            answers[number] = SENSE_VOICE.id(f"<|{name}|>")
    spoken = graph.op("Gather", graph.ints(answers), language)
    # The two ids of text_norm follow each other, as their tags do.
    norm = graph.op(
        "Add", graph.cast(text_norm, INT64), graph.ints(SENSE_VOICE.id("<|withitn|>") - _WITH_ITN)
    )
    emotion, event = (
        graph.op("Expand", graph.ints(SENSE_VOICE.id(tag)), graph.op("Shape", norm))
        for tag in ("<|NEUTRAL|>", "<|Speech|>")
    )
    columns = [graph.op("Unsqueeze", tag, graph.ints([1])) for tag in (spoken, emotion, event, norm)]
    return graph.op("Concat", *columns, axis=1)


def write_paraformer(directory: Path, *, timestamps: bool = False) -> None:
    """`timestamps` adds the outputs of BiCIF exports: a peak where each token fires, and one at the end."""
    graph = Graph("model")
    features = graph.input("speech", FLOAT, ("N", "T", EAR.bins))
    lengths = EAR.lengths(graph, graph.input("speech_lengths", INT32, ("N",)))
    onsets = _onsets(graph, features, lengths)
    count = graph.op("ReduceSum", onsets, graph.ints([1]), keepdims=1)
    graph.output("logits", _slots(graph, count), FLOAT, ("N", "tokens", len(PARAFORMER)))
    token_num = graph.cast(graph.op("Squeeze", count, graph.ints([1])), INT32)
    graph.output("token_num", token_num, INT32, ("N",))
    if timestamps:
        peaks = _peaks(graph, onsets, lengths)
        graph.output("us_alphas", peaks, FLOAT, ("N", "peaks"))
        graph.output("us_cif_peak", peaks, FLOAT, ("N", "peaks"))
    PARAFORMER.write(directory)
    graph.save(
        directory / "model.onnx", {**_METADATA, "model_type": "paraformer", "vocab_size": len(PARAFORMER)}
    )


def _slots(graph: Graph, count: str) -> str:
    """One row for each onset and at least one more, [N, L, vocabulary]: pieces in order, then the end of the text."""
    longest = graph.op("Squeeze", graph.cast(graph.op("ReduceMax", count, keepdims=0), INT64))
    slots = graph.op("Range", graph.ints(0), graph.op("Add", longest, graph.ints(1)), graph.ints(1))
    rows = graph.op(
        "Gather",
        graph.floats(PARAFORMER.projection(len(PIECES))),
        graph.op("Mod", slots, graph.ints(len(PIECES))),
    )
    spoken = graph.cast(graph.op("Less", graph.cast(slots, FLOAT), count), FLOAT)
    logits = graph.op("Mul", rows, graph.op("Unsqueeze", spoken, graph.ints([2])))
    return graph.op("Add", logits, graph.floats(PARAFORMER.bias("</s>")))


def _peaks(graph: Graph, onsets: str, lengths: str) -> str:
    """[N, 3 T]: three steps a frame; 1 on the first step of an onset and on the last of the utterance, else 0."""
    columns = graph.op("Unsqueeze", onsets, graph.ints([2]))
    tripled = graph.op("Pad", columns, graph.ints([0, 0, 0, 0, 0, 2]))
    fired = graph.op("Reshape", tripled, graph.ints([0, -1]))
    end = graph.op("Sub", graph.op("Mul", lengths, graph.ints(3)), graph.ints(1))
    last = graph.op("Equal", steps(graph, fired, 1), graph.op("Unsqueeze", end, graph.ints([1])))
    return graph.op("Max", fired, graph.cast(last, FLOAT))


def _onsets(graph: Graph, features: str, lengths: str) -> str:
    return EAR.onsets(graph, graph.op("Transpose", features, perm=[0, 2, 1]), lengths)
