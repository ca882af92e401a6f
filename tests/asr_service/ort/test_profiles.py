"""Engine profiles: their notation, which batch goes where, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_service.engines.ort.profiles import (
    OutsideProfiles,
    Profile,
    Profiles,
    Range,
    defaults,
    parse,
    parse_all,
)

SHORT = Profile(Range(1, 16, 64), Range(0.5, 5.0, 10.0))
LONG = Profile(Range(1, 8, 32), Range(0.5, 20.0, 40.0))
BOTH = Profiles((SHORT, LONG))


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("1:8:32x0.5:10:30", Profile(Range(1, 8, 32), Range(0.5, 10.0, 30.0))),
        ("8:32x10:30", Profile(Range(1, 8, 32), Range(0.5, 10.0, 30.0))),
        ("32x30", Profile(Range(1, 32, 32), Range(0.5, 30.0, 30.0))),
        ("32x30s", Profile(Range(1, 32, 32), Range(0.5, 30.0, 30.0))),
        ("1x0.2", Profile(Range(1, 1, 1), Range(0.2, 0.2, 0.2))),
    ],
)
def test_the_least_and_the_usual_may_be_left_out(text: str, means: Profile) -> None:
    assert parse(text) == means


@pytest.mark.parametrize("profile", [SHORT, LONG, *defaults("whisper")])
def test_a_profile_is_written_as_it_is_read(profile: Profile) -> None:
    assert parse(str(profile)) == profile


@pytest.mark.parametrize(
    "text",
    ["", "32", "32x", "x30", "axb", "0x30", "32x0", "8:4x30", "32x30:10", "1:2:3:4x30", "-1x30", "32xnan"],
)
def test_what_is_no_profile_is_told_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="ROWSxSECONDS") as raised:
        parse(text)
    assert repr(text) in str(raised.value)


def test_a_profile_named_twice_counts_once() -> None:
    assert parse_all(["8x30", "1:8:8x0.5:30:30", "4x60"]) == (parse("8x30"), parse("4x60"))


def test_a_batch_goes_to_the_smallest_profile_that_admits_it() -> None:
    assert BOTH.choose(64, 10.0) == SHORT
    assert BOTH.choose(1, 0.1) == SHORT
    assert BOTH.choose(32, 10.1) == LONG


def test_a_length_of_which_only_rounding_passes_the_longest_is_admitted() -> None:
    assert BOTH.choose(1, 40.0 + 1e-9) == LONG
    assert BOTH.bucket(40.0 + 1e-9) == BOTH.bucket(40.0)


@pytest.mark.parametrize(("rows", "seconds"), [(1, 40.1), (33, 20.0), (65, 1.0)])
def test_a_batch_outside_all_profiles_is_refused(rows: int, seconds: float) -> None:
    with pytest.raises(
        OutsideProfiles, match=r"fit none of the profiles 1:16:64x0\.5:5:10, 1:8:32x0\.5:20:40"
    ):
        BOTH.choose(rows, seconds)


def test_an_utterance_that_is_too_long_is_refused_wherever_it_is_asked_for() -> None:
    for ask in (BOTH.bucket, BOTH.ceiling, lambda seconds: BOTH.split(1, seconds)):
        with pytest.raises(OutsideProfiles, match="41 s"):
            ask(41.0)


def test_a_batch_that_is_too_large_is_split_evenly() -> None:
    assert BOTH.split(64, 8.0) == [64]
    assert BOTH.split(65, 8.0) == [33, 32]
    assert BOTH.split(100, 20.0) == [25, 25, 25, 25]


@given(st.integers(1, 300), st.floats(0.01, 40.0))
def test_every_part_of_a_split_batch_has_a_profile(rows: int, seconds: float) -> None:
    parts = BOTH.split(rows, seconds)
    assert sum(parts) == rows
    assert max(parts) - min(parts) <= 1
    for part in parts:
        assert BOTH.choose(part, seconds).admits(part, seconds)


@given(st.floats(0.01, 40.0))
def test_lengths_of_a_bucket_differ_by_a_fifth_or_half_a_second_at_most(seconds: float) -> None:
    ceiling = BOTH.ceiling(seconds)
    assert seconds <= ceiling + 1e-6
    assert ceiling <= max(seconds * 1.2 + 0.1, seconds + 0.6, BOTH.min_seconds)


@given(st.floats(0.01, 40.0), st.floats(0.01, 40.0))
def test_a_longer_utterance_is_never_in_a_smaller_bucket(one: float, other: float) -> None:
    shorter, longer = sorted((one, other))
    assert BOTH.bucket(shorter) <= BOTH.bucket(longer)


def test_a_bucket_never_reaches_from_one_profile_into_the_next() -> None:
    assert {SHORT.seconds.max, LONG.seconds.max} <= set(BOTH.ceilings)
    assert BOTH.ceilings[-1] == BOTH.max_seconds


def test_whisper_knows_one_length() -> None:
    profiles = Profiles(defaults("whisper"))
    assert profiles.ceilings == (30.0,)
    assert profiles.bucket(0.3) == profiles.bucket(29.0) == 0
    assert profiles.min_seconds == profiles.max_seconds == 30.0


def test_defaults_take_what_voice_activity_cuts() -> None:
    profiles = Profiles(defaults("nemo-transducer"))
    assert profiles.max_seconds >= 30
    assert profiles.max_rows == 64
