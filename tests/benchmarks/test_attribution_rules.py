"""How attribution is judged: which words are the same, and what naive rules say."""

from benchmarks.matching import matches
from benchmarks.rules import Stages, by_sentence, by_word, merged
from gateway.merge import MergeOptions, Turn, Word

SECOND = 1_000_000_000


def word(text: str, start: float, end: float) -> Word:
    return Word(text, round(start * SECOND), round(end * SECOND))


def turn(start: float, end: float, speaker: str) -> Turn:
    return Turn(round(start * SECOND), round(end * SECOND), speaker)


def test_equal_words_match_in_order() -> None:
    spoken = [(0.0, "it"), (0.5, "was"), (1.0, "late")]
    assert matches(spoken, [(0.1, "it"), (0.6, "is"), (1.1, "late")]) == [(0, 0), (2, 2)]


def test_of_equal_words_the_nearest_match() -> None:
    spoken = [(0.0, "ever"), (1.0, "ever")]
    assert matches(spoken, [(0.9, "ever")]) == [(1, 0)]


def test_as_many_words_as_possible_match() -> None:
    spoken = [(0.0, "ever"), (1.0, "ever")]
    assert matches(spoken, [(0.9, "ever"), (1.4, "ever")]) == [(0, 0), (1, 1)]


def test_words_far_apart_do_not_match() -> None:
    assert matches([(0.0, "it")], [(1.6, "it")]) == []


def test_nothing_matches_nothing() -> None:
    assert matches([], [(0.0, "it")]) == []
    assert matches([(0.0, "it")], []) == []


WORDS = (word("so", 0.0, 0.4), word("what?", 0.4, 0.9), word("nothing", 1.0, 1.6))
TURNS = (turn(0.0, 0.95, "A"), turn(0.2, 0.5, "B"), turn(1.2, 2.0, "B"))
STAGES = Stages(WORDS, TURNS, (turn(0.0, 0.2, "A"), turn(0.2, 0.5, "B"), turn(0.5, 0.95, "A"), TURNS[2]))


def test_a_word_goes_to_whose_turn_shares_most_of_it() -> None:
    assert by_word(STAGES) == ["A", "A", "B"]


def test_a_word_outside_all_turns_goes_to_the_nearest() -> None:
    assert by_word(Stages((word("yes", 1.1, 1.15),), TURNS, ())) == ["B"]


def test_a_sentence_stays_together() -> None:
    words = (word("so", 0.0, 0.4), word("nothing", 1.3, 1.9), word("new.", 1.9, 2.0), word("no", 0.4, 0.5))
    assert by_sentence(Stages(words, TURNS, ())) == ["B", "B", "B", "A"]


def test_the_gateways_rule_gives_every_word_a_speaker() -> None:
    assert merged(MergeOptions())(STAGES) == ["A", "A", "B"]
