"""Conversations that benchmarks are run on: what was asked for is in them, and the references are true."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.conversations import Manner, Placed, converse, turns_of, words_of
from benchmarks.corpus import Samples, Turn
from benchmarks.voices import MARGIN_SECONDS, PHRASES, VOICES, Phrase, Voice
from serving.times import SAMPLE_RATE

LOUD = 1_000
PHRASE = Phrase("file", 1.0, 3.0, "ever tried ever failed")


def tone(voice: Voice, phrase: Phrase) -> Samples:
    """In place of a recording."""
    seconds = voice.duration(phrase) + 2 * MARGIN_SECONDS
    return np.full(round(seconds * SAMPLE_RATE), LOUD, np.int16)


@pytest.mark.parametrize("speakers", range(2, len(VOICES) + 1))
def test_as_many_speak_for_as_long_as_asked_for(speakers: int) -> None:
    conversation = converse(240, speakers, say=tone)
    assert len({turn.speaker for turn in conversation.turns}) == speakers
    assert 240 <= conversation.seconds < 280


@pytest.mark.parametrize("share", [0.0, 0.04, 0.12])
def test_overlap_has_the_share_asked_for(share: float) -> None:
    conversation = converse(600, 3, manner=Manner(overlap=share), say=tone)
    assert conversation.overlap == pytest.approx(share, abs=0.015)


def test_a_seed_always_gives_the_same_conversation() -> None:
    first, again, other = (converse(60, 2, seed, say=tone) for seed in (7, 7, 8))
    assert np.array_equal(first.samples, again.samples)
    assert first.words == again.words
    assert first.words != other.words


def test_turns_are_where_somebody_is_heard() -> None:
    conversation = converse(120, 3, say=tone)
    heard = np.abs(conversation.samples) > LOUD // 2
    spoken = np.zeros(len(heard), bool)
    for turn in conversation.turns:
        start, end = (round(time * SAMPLE_RATE) for time in (turn.start, turn.end))
        spoken[start:end] = True
        assert heard[start : start + SAMPLE_RATE // 10].all()
    # Phrases have margins, and a turn holds short pauses.
    assert (heard & ~spoken).mean() < 0.05
    assert (spoken & ~heard).mean() < 0.05


def test_words_share_their_phrase_by_letters() -> None:
    words = list(words_of(Placed(10.0, VOICES[1], PHRASE)))
    assert [word.text for word in words] == ["ever", "tried", "ever", "failed"]
    assert [word.opens for word in words] == [True, False, False, False]
    assert words[0].start == 10.0
    assert words[-1].end == pytest.approx(12.0)
    assert words[1].end - words[1].start == pytest.approx(2.0 * 5 / 19)
    assert all(before.end == after.start for before, after in pairwise(words))


def test_a_faster_voice_takes_less_time() -> None:
    fast = next(voice for voice in VOICES if voice.speed > 1)
    assert Placed(0.0, fast, PHRASE).end == pytest.approx(2.0 / fast.speed)


def test_a_voices_phrases_are_one_turn_over_short_pauses() -> None:
    one, other = VOICES[0], VOICES[1]
    placed = [
        Placed(0.0, one, PHRASE),
        Placed(1.0, other, PHRASE),
        Placed(2.2, one, PHRASE),
        Placed(9.0, one, PHRASE),
    ]
    assert turns_of(placed) == [
        Turn(0.0, 4.2, one.name),
        Turn(1.0, 3.0, other.name),
        Turn(9.0, 11.0, one.name),
    ]


def test_phrases_lie_in_their_recordings_one_after_the_other() -> None:
    for phrases in PHRASES.values():
        by_file = sorted(phrases, key=lambda phrase: (phrase.file, phrase.start))
        assert all(
            before.end <= after.start for before, after in pairwise(by_file) if before.file == after.file
        )


def test_more_speakers_than_there_are_voices_are_refused() -> None:
    with pytest.raises(ValueError, match="2 to 6 speakers"):
        converse(10, 7, say=tone)
