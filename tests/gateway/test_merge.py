"""The rules of merging, each by an example. Times in the examples are seconds."""

import sys

import pytest

from gateway.merge import SECOND, MergeOptions, Merger, Segment, Turn, TurnsPatch, Word


def word(text: str, start: float, end: float) -> Word:
    return Word(text, round(start * SECOND), round(end * SECOND))


def turn(start: float, end: float, speaker: str) -> Turn:
    return Turn(round(start * SECOND), round(end * SECOND), speaker)


def patch(
    *turns: Turn,
    since: float = 0,
    until: float = 9999,
    horizon: float = 3600,
    final: float = 0,
    ordinary=(),
) -> TurnsPatch:
    return TurnsPatch(
        since=round(since * SECOND),
        turns=tuple(ordinary) or turns,
        exclusive=turns,
        horizon=round(horizon * SECOND),
        final_horizon=round(final * SECOND),
        until=round(until * SECOND),
    )


def seconds(number: float) -> int:
    return round(number * SECOND)


def spoken(segments: list[Segment]) -> list[tuple[str, str]]:
    return [(segment.speaker, segment.text) for segment in segments]


def merged(words, turns, *, ordinary=(), **options) -> list[Segment]:
    merger = Merger(MergeOptions(**options), final_only=True)
    segments = merger.add_words(words) + merger.end_words()
    return segments + merger.patch_turns(patch(*turns, ordinary=ordinary)) + merger.end_turns()


AB = (turn(0, 2, "A"), turn(2, 4, "B"))


@pytest.mark.parametrize(
    ("start", "end", "speaker"),
    [
        (1.0, 1.5, "A"),
        (1.0, 2.9, "A"),
        (1.2, 2.9, "B"),
        (1.5, 2.5, "A"),  # of equals the first
        (4.5, 5.0, "B"),  # half a second away
        (4.6, 5.0, ""),
    ],
)
def test_a_word_goes_to_the_turn_it_overlaps_most_or_the_nearest(start, end, speaker):
    assert spoken(merged([word("w", start, end)], AB)) == [(speaker, "w")]


def test_a_word_overlaps_all_turns_of_a_speaker_together():
    turns = (turn(0, 0.3, "A"), turn(0.3, 0.7, "B"), turn(0.7, 1.0, "A"))
    assert spoken(merged([word("w", 0, 1)], turns)) == [("A", "w")]


def test_a_word_far_from_all_turns_goes_with_the_word_before_it():
    words = [word("near", 3.0, 3.5), word("far", 5.0, 5.2), word("farther", 8.0, 8.2)]
    assert spoken(merged(words, AB)) == [("B", "near"), ("B", "far"), ("B", "farther")]


@pytest.mark.parametrize(
    ("texts", "speakers"),
    [
        (("Oh.", "So", "it", "was"), "AAAA"),
        (("Oh,", "so.", "Yes.", "Was"), "AABA"),
        (("Oh.", "So", "yes.", "Was"), "AAAA"),
        (("Oh,", "so.", "Yes", "was"), "AAAA"),
        (("so", "it", "was", "late"), "AABA"),  # there are no sentences
    ],
)
def test_a_word_in_anothers_turn_is_theirs_where_it_is_a_sentence(texts, speakers):
    turns = (turn(0, 1, "A"), turn(1, 1.5, "B"), turn(1.5, 3, "A"))
    words = [word(text, 0.5 * number, 0.5 * number + 0.4) for number, text in enumerate(texts)]
    found = [attributed.speaker for segment in merged(words, turns) for attributed in segment.words]
    assert found == list(speakers)


def test_a_word_in_anothers_turn_is_theirs_between_long_pauses():
    turns = (turn(0, 1, "A"), turn(4, 5, "B"), turn(7, 8, "A"))
    words = [word("one", 0.2, 0.9), word("two", 4, 4.5), word("three", 7, 7.5)]
    assert spoken(merged(words, turns)) == [("A", "one"), ("B", "two"), ("A", "three")]


def test_several_words_in_anothers_turn_are_theirs_within_a_sentence_too():
    words = [word("Oh." if at == 0 else "w", at / 2, at / 2 + 0.5) for at in range(12)]
    turns = (turn(0, 2, "A"), turn(2, 4, "B"), turn(4, 6, "A"))
    assert [segment.speaker for segment in merged(words, turns)] == ["A", "B", "A"]


@pytest.mark.parametrize(("words_since_the_sentence", "speaker"), [(49, "A"), (50, "B")])
def test_text_in_which_no_sentence_has_ended_for_long_has_none(words_since_the_sentence, speaker):
    at = words_since_the_sentence + 1
    turns = (turn(0, at, "A"), turn(at, at + 1, "B"), turn(at + 1, at + 9, "A"))
    words = [word("Oh." if number == 0 else "w", number, number + 1) for number in range(at + 9)]
    found = [attributed.speaker for segment in merged(words, turns) for attributed in segment.words]
    assert found[at] == speaker


def test_words_at_the_edge_of_a_turn_go_with_their_sentence():
    texts = (("Are", 0, 0.5), ("you?", 0.5, 1), ("I", 1, 1.3), ("am", 1.3, 2), ("so", 2, 3))
    turns = (turn(0, 1.35, "A"), turn(1.35, 3, "B"))
    assert spoken(merged([word(*each) for each in texts], turns)) == [("A", "Are you?"), ("B", "I am so")]


def test_of_two_who_are_heard_at_once_the_one_whose_sentence_it_is_says_the_word():
    words = [word("one", 0, 1), word("two", 1, 2), word("three.", 2, 3)]
    ordinary = (turn(0, 3, "A"), turn(2, 4, "B"))
    exclusive = (turn(0, 2, "A"), turn(2, 4, "B"))
    assert spoken(merged(words, exclusive, ordinary=ordinary)) == [("A", "one two three.")]


@pytest.mark.parametrize(("pause", "segments"), [(1.0, 1), (1.01, 2)])
def test_long_pauses_divide(pause, segments):
    words = [word("one", 0, 0.5), word("two", 0.5 + pause, 2)]
    assert len(merged(words, [turn(0, 3, "A")])) == segments


@pytest.mark.parametrize("stop", [".", "?", "!", "…", '."', "\u3002"])
def test_a_sentence_end_divides_what_is_long(stop):
    words = [word(f"{number}{stop}", number, number + 1) for number in range(20)]
    assert [len(segment.words) for segment in merged(words, [turn(0, 20, "A")])] == [15, 5]


def test_a_long_sentence_is_not_divided():
    words = [word(str(number), number, number + 1) for number in range(40)]
    assert len(merged(words, [turn(0, 40, "A")])) == 1


def test_others_heard_under_a_word_are_named_in_order():
    ordinary = (turn(0, 2, "A"), turn(0.5, 3, "C"), turn(0.9, 1.1, "B"))
    (segment,) = merged([word("w", 1.0, 1.5)], [turn(0, 2, "A")], ordinary=ordinary)
    assert segment.words[0].overlapping == ("C", "B")


def test_all_numbers_are_options():
    words = [word("one.", 0, 0.5), word("two.", 1.2, 1.5)]
    assert len(merged(words, [turn(0, 3, "A")], max_pause=seconds(0.5))) == 2
    assert len(merged(words, [turn(0, 3, "A")], sentence_after=seconds(0.5))) == 2
    assert merged(words, [turn(2, 3, "A")], nearest_turn=seconds(2))[0].speaker == "A"


def test_words_go_out_at_once_and_get_their_speakers_later():
    merger = Merger(MergeOptions())
    (shown,) = merger.add_words([word("hello", 0, 1)])
    assert (shown.speaker, shown.speaker_final, shown.revision) == ("", False, 0)
    assert merger.end_words() == []
    assert merger.patch_turns(patch(turn(0, 1, "A")))[0].speaker_final is False
    (final,) = merger.end_turns()
    assert (final.segment_id, final.revision, final.speaker) == (shown.segment_id, 2, "A")
    assert final.speaker_final
    assert final.supersedes == ()


def test_a_preview_that_is_divided_is_superseded():
    merger = Merger(MergeOptions())
    (shown,) = merger.add_words([word("one", 0, 1), word("two", 2, 3)])
    merger.end_words()
    first, second = merger.patch_turns(patch(*AB, final=3600))[:2]
    assert spoken([first, second]) == [("A", "one"), ("B", "two")]
    assert first.supersedes == second.supersedes == (shown.segment_id,)
    assert len({shown.segment_id, first.segment_id, second.segment_id}) == 3


def test_nothing_is_final_while_a_word_may_still_join():
    merger = Merger(MergeOptions(), final_only=True)
    merger.add_words([word("one", 0, 1)])
    assert merger.patch_turns(patch(turn(0, 1, "A"), final=3600)) == []
    assert merger.heard_until(seconds(2)) == []
    assert spoken(merger.heard_until(seconds(2.01))) == [("A", "one")]


def test_nothing_is_final_while_its_turn_may_still_change():
    merger = Merger(MergeOptions(), final_only=True)
    merger.add_words([word("one", 0, 1), word("far", 4, 4.5)])
    merger.end_words()
    assert merger.patch_turns(patch(turn(0, 1, "A"), final=0.9)) == []
    # The pause behind it ends the segment, so it need not wait for the next word's speaker.
    assert spoken(merger.patch_turns(patch(turn(0, 1, "A"), final=1.0))) == [("A", "one")]
    assert merger.patch_turns(patch(since=1.0, final=5.0)) == []
    assert spoken(merger.patch_turns(patch(since=1.0, final=5.01))) == [("A", "far")]
    assert merger.end_turns() == []


def test_a_failed_diarization_keeps_what_was_final():
    merger = Merger(MergeOptions(), final_only=True)
    merger.add_words([word("one", 0, 1), word("two", 3, 4), word("three", 6, 7)])
    merger.end_words()
    segments = merger.patch_turns(patch(turn(0, 1, "A"), turn(3, 9, "B"), final=4))
    segments += merger.end_turns(failed=True)
    assert spoken(segments) == [("A", "one"), ("B", "two"), ("", "three")]


def test_a_word_that_comes_too_late_is_moved_to_where_recognition_has_come():
    merger = Merger(MergeOptions(), final_only=True)
    merger.patch_turns(patch(turn(0, 9, "A")))
    merger.end_turns()
    merger.add_words([word("one", 0, 1)])
    segments = merger.heard_until(seconds(5)) + merger.add_words([word("late", 4, 4.5)]) + merger.end_words()
    assert [(segment.text, segment.start, segment.end) for segment in segments] == [
        ("one", 0, seconds(1)),
        ("late", seconds(5), seconds(5)),
    ]


def test_a_preview_is_labelled_as_a_whole_once_the_turns_have_passed_it():
    merger = Merger(MergeOptions())
    (shown,) = merger.add_words([word("one", 0, 1), word("two", 1, 2), word("three", 2, 3)])
    for horizon in (0.8, 1.9, 2.8):
        assert merger.patch_turns(patch(turn(0, horizon, "A"), horizon=horizon)) == []
    (labelled,) = merger.patch_turns(patch(turn(0, 4, "A"), horizon=4))
    assert (labelled.segment_id, labelled.revision, labelled.speaker) == (shown.segment_id, 1, "A")
    assert not labelled.speaker_final


def test_a_patch_within_the_known_turns_sends_what_it_changes_and_nothing_else():
    merger = Merger(MergeOptions())
    merger.patch_turns(patch(*(turn(start, start + 2, "A") for start in range(0, 60, 2))))
    for start in range(0, 60, 2):
        merger.add_words([word(f"w{start}.", start + 0.5, start + 1.5)])
    (revised,) = merger.patch_turns(patch(turn(20, 22, "B"), since=20, until=22))
    assert (revised.text, revised.speaker, revised.revision) == ("w20.", "B", 1)
    assert merger.patch_turns(patch(turn(20, 22, "B"), since=20, until=22)) == []


def test_words_that_nobody_is_near_follow_when_the_word_before_them_is_relabelled():
    merger = Merger(MergeOptions())
    merger.patch_turns(patch(turn(0, 1, "A"), turn(30, 31, "A")))
    for start in (0, 5, 10, 30):
        merger.add_words([word(f"w{start}", start, start + 1)])
    revised = merger.patch_turns(patch(turn(0, 1, "B"), since=0, until=1))
    assert spoken(revised) == [("B", "w0"), ("B", "w5"), ("B", "w10")]


def test_words_of_a_sentence_are_relabelled_with_what_follows():
    merger = Merger(MergeOptions(max_pause=seconds(9)))
    merger.patch_turns(patch(turn(0, 1, "A"), turn(1, 2, "B"), turn(8, 9, "B")))
    for at, text in ((0, "One."), (1, "Two"), (4, "three"), (8, "four")):
        merger.add_words([word(text, at, at + 0.9)])
    revised = merger.patch_turns(patch(turn(8, 9, "A"), since=8, until=9))
    assert spoken(revised) == [("A", "Two"), ("A", "three"), ("A", "four")]


def work_of_a_patch(seconds_spoken: int) -> int:
    """Calls made for a patch of two seconds in the middle of a recording without final turns."""
    merger = Merger(MergeOptions())
    merger.patch_turns(patch(*(turn(at, at + 2, "A") for at in range(0, seconds_spoken, 2)), horizon=9999))
    for at in range(seconds_spoken):
        merger.add_words([word("w", at, at + 0.9)])
    made: list[str] = []
    sys.setprofile(lambda _frame, event, _argument: made.append(event))
    merger.patch_turns(patch(turn(100, 102, "B"), since=100, until=102, horizon=9999))
    sys.setprofile(None)
    return len(made)


def test_a_patch_takes_work_for_what_it_changes_and_not_for_the_recording():
    # Finding a place among more takes a few steps more.
    assert work_of_a_patch(8_000) < work_of_a_patch(400) * 1.5


def test_a_long_recording_takes_time_in_proportion_to_its_length():
    """Counted in segments sent: previews are not sent again because more words come."""
    merger = Merger(MergeOptions())
    sent = 0
    for number in range(2_000):
        sent += len(merger.add_words([word("w", number * 0.5, number * 0.5 + 0.4)]))
        sent += len(merger.heard_until(seconds(number * 0.5)))
    assert sent == 2_000
    merger.end_words()
    merger.patch_turns(patch(turn(0, 9999, "A")))
    (final,) = merger.end_turns()
    assert len(final.words) == len(final.supersedes) == 2_000
