"""How recognisers are judged by what they say, here of a model whose outputs are its tokens."""

from collections.abc import Sequence

import numpy as np
import pytest

from workbench.recipe import Arrays, Verdict
from workbench.token_judge import TokenJudge
from workbench.words import word_error_rate, words

VOCABULARY = ("", "one", "two", "three", "four")


class Spoken:
    def tokens(self, outputs: Arrays) -> list[list[int]]:
        return [row[row > 0].tolist() for row in outputs["said"]]

    def text(self, tokens: Sequence[int]) -> str:
        return " ".join(VOCABULARY[token] for token in tokens)


def said(*rows: list[int]) -> Arrays:
    return {"said": np.array(rows)}


def verdicts(expected: Arrays, got: Arrays, *texts: str) -> dict[str, Verdict]:
    judge = TokenJudge(Spoken, 0.75, (lambda _: texts) if texts else None)
    return {verdict.name: verdict for verdict in judge({}, expected, got)}


def test_the_same_outputs_agree() -> None:
    found = verdicts(said([1, 2, 0]), said([1, 2, 0]))
    assert {name: verdict.value for name, verdict in found.items()} == {
        "expected tokens": 2,
        "token agreement": 1.0,
        "WER against expected words, %": 0.0,
    }
    assert all(verdict.is_well for verdict in found.values())


@pytest.mark.parametrize(("got", "is_well"), [([1, 2, 3, 1], True), ([1, 2, 1, 1], False)])
def test_tokens_have_to_agree_as_far_as_the_recipe_says(got: list[int], is_well: bool) -> None:
    agreement = verdicts(said(*[[1, 2, 3, 4]] * 5), said(*[got] * 5))["token agreement"]
    assert agreement.value == (0.75 if is_well else 0.5)
    assert agreement.is_well is is_well


def test_few_tokens_prove_nothing() -> None:
    """As in a second of audio: whichever is another one, all of them are."""
    agreement = verdicts(said([1, 2]), said([3, 4]))["token agreement"]
    assert agreement.value == 0.0
    assert agreement.bound is None


def test_words_are_counted_against_the_expected_ones() -> None:
    found = verdicts(said([1, 2, 3, 4], [1, 2, 3, 4]), said([1, 2, 3, 4], [1, 2, 2, 0]))
    assert found["WER against expected words, %"].value == 25.0


@pytest.mark.parametrize(
    ("got", "rate", "is_well"),
    [([1, 2, 3], 0.0, True), ([1, 2, 1], 100 / 3, True), ([2, 1, 1], 100, False)],
)
def test_where_the_words_are_known_no_more_than_a_word_of_few_may_be_lost(
    got: list[int], rate: float, is_well: bool
) -> None:
    found = verdicts(said([1, 2, 2]), said(got), "One, two: three!")
    assert found["expected WER against the texts, %"].value == pytest.approx(100 / 3)
    against = found["WER against the texts, %"]
    assert against.value == pytest.approx(rate)
    assert against.is_well is is_well


def test_rows_whose_words_nobody_knows_do_not_count() -> None:
    found = verdicts(said([1, 2], [3, 4]), said([1, 2], [1, 1]), "one two", "")
    assert found["WER against the texts, %"].value == 0.0
    assert "WER against the texts, %" not in verdicts(said([1, 2]), said([1, 2]), "")


def test_words_are_compared_without_case_punctuation_and_abbreviations() -> None:
    assert words("Mr. O\u2019Hara's well-kept HOUSE") == ["mister", "o'hara's", "well", "kept", "house"]


def test_the_error_rate_is_that_of_all_texts_together() -> None:
    assert word_error_rate(["a b c", "d"], ["a x c d", "d"]) == 50.0
    assert word_error_rate(["a"], ["a b c"]) == 200.0
