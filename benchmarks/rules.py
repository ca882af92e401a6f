"""Ways to say whose words are: the gateway's, and two naive ones. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.merge import MergeOptions, Merger, Turn, TurnsPatch, Word

_SENTENCE_ENDS = (".", "?", "!")


@dataclass(frozen=True)
class Stages:
    """What recognition and diarization found in a recording. `exclusive` is `turns` without overlaps."""

    words: tuple[Word, ...]
    turns: tuple[Turn, ...]
    exclusive: tuple[Turn, ...]


Rule = Callable[[Stages], list[str]]
"""Each word's speaker, "" where it has none."""


def merged(options: MergeOptions) -> Rule:
    """The gateway's."""

    def attribute(stages: Stages) -> list[str]:
        merger = Merger(options, final_only=True)
        merger.patch_turns(TurnsPatch(0, stages.turns, stages.exclusive, 0, 0))
        segments = merger.add_words(stages.words) + merger.end_words() + merger.end_turns()
        speakers = {
            attributed.word: attributed.speaker for segment in segments for attributed in segment.words
        }
        return [speakers[word] for word in stages.words]

    return attribute


def by_word(stages: Stages) -> list[str]:
    """Whose ordinary turn shares most of the word, else whose is nearest: what scripts do."""
    return [_speaker(word.start, word.end, stages.turns) for word in stages.words]


def by_sentence(stages: Stages) -> list[str]:
    """A sentence as a whole to whose turns share most of it."""
    return [
        speaker
        for sentence in _sentences(stages.words)
        for speaker in [_majority(sentence[0].start, sentence[-1].end, stages.turns)] * len(sentence)
    ]


def _speaker(start: int, end: int, turns: Sequence[Turn]) -> str:
    """Negative overlaps are distances."""
    return max(turns, key=lambda turn: min(end, turn.end) - max(start, turn.start)).speaker if turns else ""


def _majority(start: int, end: int, turns: Sequence[Turn]) -> str:
    shared: dict[str, int] = {}
    for turn in turns:
        if (overlap := min(end, turn.end) - max(start, turn.start)) > 0:
            shared[turn.speaker] = shared.get(turn.speaker, 0) + overlap
    return max(shared, key=shared.__getitem__) if shared else _speaker(start, end, turns)


def _sentences(words: Sequence[Word]) -> list[list[Word]]:
    sentences: list[list[Word]] = [[]]
    for word in words:
        sentences[-1].append(word)
        if word.text.endswith(_SENTENCE_ENDS):
            sentences.append([])
    return [sentence for sentence in sentences if sentence]
