import hashlib

import pytest

from gateway.access.tokens import Tokens, line_for, new_token


def test_a_token_is_256_random_bits_behind_a_name_that_scanners_know():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        assert token.startswith("duoscribe_")
        # Six bits a character.
        assert len(token.removeprefix("duoscribe_")) * 6 >= 256


def test_the_file_holds_the_hash_and_not_the_token():
    line = line_for("billing", "duoscribe_secret")
    assert line == f"billing: {hashlib.sha256(b'duoscribe_secret').hexdigest()}"


def test_a_token_is_given_to_the_caller_whose_line_has_its_hash():
    tokens = Tokens.parse(
        "\n".join(
            (
                "# who may call",
                line_for("spiffe://example.org/billing", "first"),
                "",
                line_for("archive", "old"),
                line_for("archive", "new"),
            )
        )
    )
    assert tokens.caller("first") == "spiffe://example.org/billing"
    assert tokens.caller("old") == tokens.caller("new") == "archive"
    assert tokens.caller("First") is None
    assert tokens.caller("") is None
    assert tokens.names == {"spiffe://example.org/billing", "archive"}


@pytest.mark.parametrize(
    "line",
    [
        "billing",
        "billing: duoscribe_secret",
        f": {'0' * 64}",
        f"billing {'0' * 64}",
        f"billing: {'0' * 63}",
        f"billing: {'A' * 64}",
    ],
)
def test_a_line_of_another_kind_is_named_by_its_number_and_not_repeated(line):
    with pytest.raises(ValueError, match="line 2 is not NAME: HASH") as caught:
        Tokens.parse(f"{line_for('archive', 'old')}\n{line}")
    assert "secret" not in str(caught.value)
