"""The rules of merging, word by word over whole lists: slow, and plain enough to be compared with the documentation."""

from gateway.merge import FOREVER, MergeOptions, Turn, Word
from support.gateway.recordings import Recording


def transcript(recording: Recording, options: MergeOptions) -> list[tuple[str, tuple[Word, ...]]]:
    """Speaker and words of every segment."""
    words = sorted(recording.words, key=lambda word: word.start)
    speakers = smoothed(words, recording.exclusive, options)
    segments: list[tuple[str, list[Word]]] = []
    divided = True
    for word, speaker in zip(words, speakers, strict=True):
        if divided or segments[-1][0] != speaker or word.start - end_of(segments[-1][1]) > options.max_pause:
            segments.append((speaker, []))
        run = segments[-1][1]
        run.append(word)
        divided = word.text.endswith(".") and end_of(run) - run[0].start >= options.sentence_after
    return [(speaker, tuple(run)) for speaker, run in segments]


def end_of(words: list[Word]) -> int:
    return max(word.end for word in words)


def smoothed(words: list[Word], exclusive: tuple[Turn, ...], options: MergeOptions) -> list[str]:
    turns = [own_turn(word, exclusive, options) for word in words]
    raw: list[str] = []
    for turn in turns:
        raw.append(turn.speaker if turn else raw[-1] if raw else "")
    labels: list[str] = []
    for index, turn in enumerate(turns):
        before = labels[-1] if labels else ""
        after = raw[index + 1] if index + 1 < len(raw) else raw[index]
        alone = before not in ("", raw[index]) and after != raw[index]
        short = turn is not None and turn.end - turn.start < options.min_exclusive_turn
        labels.append(before if alone and short else raw[index])
    return labels


def own_turn(word: Word, exclusive: tuple[Turn, ...], options: MergeOptions) -> Turn | None:
    def shared(turn: Turn) -> int:
        if word.start == word.end:  # a moment belongs to the turn that it lies in
            return int(turn.start <= word.start < turn.end)
        return max(0, min(word.end, turn.end) - max(word.start, turn.start))

    def total(turn: Turn) -> int:
        return sum(shared(other) for other in exclusive if other.speaker == turn.speaker)

    touching = [turn for turn in exclusive if shared(turn)]
    if touching:
        best = max(touching, key=total).speaker
        return max((turn for turn in touching if turn.speaker == best), key=shared)
    near = sorted(exclusive, key=lambda turn: distance(word, turn))
    return near[0] if near and distance(word, near[0]) <= options.nearest_turn else None


def distance(word: Word, turn: Turn) -> int:
    return max(0, turn.start - word.end, word.start - turn.end) if turn else FOREVER
