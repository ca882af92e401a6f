"""Merging where nobody asks who speaks: utterances, as they come."""

from gateway.merge import MergeOptions, UtteranceMerger, Word


def word(text: str, start: int, end: int) -> Word:
    return Word(text, start, end, confidence=0.5)


def test_each_utterance_is_a_final_segment_at_once():
    merger = UtteranceMerger(MergeOptions())
    (first,) = merger.add_words([word("hello", 1, 4), word("there", 4, 6)])
    (second,) = merger.add_words([word("you", 7, 9)])
    assert (first.segment_id, first.text, first.start, first.end) == ("segment-1", "hello there", 1, 6)
    assert (second.segment_id, second.text, second.speaker, second.speaker_final) == (
        "segment-2",
        "you",
        "",
        True,
    )
    assert [*merger.heard_until(20), *merger.end_words()] == []


def test_no_words_are_no_segment():
    assert UtteranceMerger(MergeOptions()).add_words([]) == []


def test_segments_stay_in_order_where_another_replica_cuts_otherwise():
    merger = UtteranceMerger(MergeOptions())
    merger.add_words([word("hello", 1, 4), word("there", 5, 6)])
    (segment,) = merger.add_words([word("you", 9, 12), word("oh", 3, 4)])
    assert [(each.word.text, each.word.start, each.word.end) for each in segment.words] == [
        ("oh", 5, 5),
        ("you", 9, 12),
    ]
