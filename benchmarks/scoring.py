"""Word error rates against references, by the libraries that the field compares itself with."""

from collections.abc import Iterable

import jiwer
import meeteval

from benchmarks.corpus import Recording
from workbench.words import words


def normalized(text: str) -> str:
    """Lower-case words without punctuation; hyphens part words, as in the references."""
    return " ".join(words(text))


def word_error_rate(recording: Recording, text: str) -> float:
    """Share of the reference's words that were substituted, deleted or inserted, speakers ignored."""
    reference = " ".join(sentence.text for sentence in recording.sentences)
    return float(jiwer.wer(normalized(reference), normalized(text)))


def cp_word_error_rate(recording: Recording, attributed: Iterable[tuple[str, str]]) -> float:
    """Word error rate of each speaker's words put end to end, under the best match of labels (cpWER, CHiME-6).

    `attributed` holds (speaker, text) in order of time.
    """
    errors, words = cp_word_errors(recording, attributed)
    return errors / words


def cp_word_errors(recording: Recording, attributed: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """The errors that cpWER counts, and the reference's words, to be added up over recordings."""
    reference = _by_speaker((sentence.speaker, sentence.text) for sentence in recording.sentences)
    rate = meeteval.wer.cp_word_error_rate(
        reference, _by_speaker(attributed), reference_sort=False, hypothesis_sort=False
    )
    return rate.errors, rate.length


def _by_speaker(attributed: Iterable[tuple[str, str]]) -> dict[str, str]:
    texts: dict[str, list[str]] = {}
    for speaker, text in attributed:
        texts.setdefault(speaker, []).append(normalized(text))
    return {speaker: " ".join(parts) for speaker, parts in texts.items()}
