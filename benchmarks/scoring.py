"""Error rates against references: WER, cpWER and DER, by the libraries that the field compares itself with."""

import re
from collections.abc import Iterable

import jiwer
import meeteval
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate

from benchmarks.corpus import Recording, Turn

_SPELLINGS = {
    "mr": "mister",
    "mrs": "missus",
    "ok": "okay",
}


def normalized(text: str) -> str:
    """Lower-case words without punctuation; hyphens part words, as in the references."""
    words = re.sub(r"[^a-z' ]", " ", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).split()
    return " ".join(_SPELLINGS.get(word, word) for word in words)


def word_error_rate(recording: Recording, text: str) -> float:
    """Share of the reference's words that were substituted, deleted or inserted, speakers ignored."""
    reference = " ".join(sentence.text for sentence in recording.sentences)
    return float(jiwer.wer(normalized(reference), normalized(text)))


def cp_word_error_rate(recording: Recording, attributed: Iterable[tuple[str, str]]) -> float:
    """Word error rate of each speaker's words put end to end, under the best match of labels (cpWER, CHiME-6).

    `attributed` holds (speaker, text) in order of time.
    """
    reference = _by_speaker((sentence.speaker, sentence.text) for sentence in recording.sentences)
    rate = meeteval.wer.cp_word_error_rate(reference, _by_speaker(attributed))
    return float(rate.error_rate)


def diarization_error_rate(recording: Recording, turns: Iterable[Turn]) -> float:
    """Missed, falsely heard and confused speech over the reference's, overlap included, without a collar."""
    metric = DiarizationErrorRate(collar=0.0, skip_overlap=False)
    whole = Timeline([Segment(0.0, recording.seconds)])
    return float(metric(_annotation(recording.turns), _annotation(turns), uem=whole))


def _by_speaker(attributed: Iterable[tuple[str, str]]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for speaker, text in attributed:
        texts.setdefault(speaker, []).append(normalized(text))
    return {speaker: " ".join(parts) for speaker, parts in texts.items()}


def _annotation(turns: Iterable[Turn]) -> Annotation:
    annotation = Annotation()
    for index, turn in enumerate(turns):
        annotation[Segment(turn.start, turn.end), index] = turn.speaker
    return annotation
