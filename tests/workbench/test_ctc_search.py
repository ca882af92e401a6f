"""What CTC models say, from log-probabilities or from tokens that they collapsed themselves."""

import numpy as np

from workbench.ctc_search import LETTERS, BestPath, Collapsed, word_pieces


def test_the_best_path_loses_repetitions_and_blanks() -> None:
    blank = len(LETTERS)
    paths = np.array([[blank, 1, 1, blank, 1, 2], [3, 0, 4, 4, 4, 27]])
    search = BestPath("logprobs", LETTERS)
    tokens = search.tokens({"logprobs": np.eye(blank + 1, dtype=np.float32)[paths]})
    assert tokens == [[1, 1, 2], [3, 0, 4, 27]]
    assert [search.text(row) for row in tokens] == ["aab", "c d'"]


def test_collapsed_tokens_end_where_the_filling_begins() -> None:
    search = Collapsed("tokens", word_pieces(4))
    tokens = search.tokens({"tokens": np.array([[1, 2, 3, -1], [-1, -1, -1, -1]])})
    assert tokens == [[1, 2, 3], []]
    assert search.text(tokens[0]).split() == ["baba", "be"]
