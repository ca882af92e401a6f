"""The rules of merging, word by word over whole lists: slow, and plain enough to be compared with the documentation."""

from collections.abc import Sequence
from math import log

from gateway.merge import FOREVER, MergeOptions, Turn, Word
from support.gateway.recordings import Recording


def divided(
    words: Sequence[Word], speakers: Sequence[str], options: MergeOptions
) -> list[tuple[str, tuple[Word, ...]]]:
    """Speaker and words of every segment."""
    segments: list[tuple[str, list[Word]]] = []
    ended = True
    for word, speaker in zip(words, speakers, strict=True):
        if ended or segments[-1][0] != speaker or word.start - end_of(segments[-1][1]) > options.max_pause:
            segments.append((speaker, []))
        run = segments[-1][1]
        run.append(word)
        ended = word.text.endswith(".") and end_of(run) - run[0].start >= options.sentence_after
    return [(speaker, tuple(run)) for speaker, run in segments]


def likelihood(
    words: Sequence[Word], speakers: Sequence[str], recording: Recording, options: MergeOptions
) -> int:
    """Of these words being these speakers'; in thousandths of a nat, compared with nobody being heard."""
    gained = sum(
        gain(word, speaker, recording, options) for word, speaker in zip(words, speakers, strict=True)
    )
    changes = [index for index in range(1, len(words)) if speakers[index] != speakers[index - 1]]
    return gained - sum(change(words, index, options) for index in changes)


def greatest_likelihood(words: Sequence[Word], recording: Recording, options: MergeOptions) -> int:
    """Of all sequences of speakers."""
    everybody = {"", *(turn.speaker for turn in (*recording.turns, *recording.exclusive))}
    best = dict.fromkeys(everybody, 0)
    for index, word in enumerate(words):
        cost = change(words, index, options) if index else 0
        changed = max(best.values()) - cost
        best = {who: max(said, changed) + gain(word, who, recording, options) for who, said in best.items()}
    return max(best.values())


def change(words: Sequence[Word], index: int, options: MergeOptions) -> int:
    """What speaks against another speaker from the word at `index` on."""
    word = words[index - 1]
    if word.text.endswith(".") or words[index].start - word.end > options.max_pause:
        return options.change_after_sentence
    punctuated = any(word.text.endswith(".") for word in words[max(0, index - 50) : index])
    return options.change_within_sentence if punctuated else options.change_without_sentences


def gain(word: Word, speaker: str, recording: Recording, options: MergeOptions) -> int:
    end = max(word.end, word.start + 1)  # a moment belongs to the turn that it lies in

    def shared(turn: Turn) -> int:
        return max(0, min(end, turn.end) - max(word.start, turn.start))

    every = (*recording.exclusive, *recording.turns)
    if any(shared(turn) for turn in every):
        share = sum(shared(turn) for turn in every if turn.speaker == speaker) / (2 * (end - word.start))
    else:
        share = float(nearest(word, recording.exclusive, options) == speaker)
    return round(1000 * log(1 + share / 0.05))


def nearest(word: Word, exclusive: Sequence[Turn], options: MergeOptions) -> str | None:
    near = sorted(exclusive, key=lambda turn: distance(word, turn))
    return near[0].speaker if near and distance(word, near[0]) <= options.nearest_turn else None


def distance(word: Word, turn: Turn) -> int:
    return max(0, turn.start - word.end, word.start - turn.end) if turn else FOREVER


def end_of(words: list[Word]) -> int:
    return max(word.end for word in words)
