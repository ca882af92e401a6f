import math
import re

import pytest

from gateway.access.limits import CallersFile, Limits

TEXT = """
[default]
streams = 4
audio_minutes_per_hour = 600

[callers."spiffe://example.org/billing"]
streams = 16
audio_minutes_per_minute = 1.5

[callers.archive]
audio_minutes_per_hour = inf

[callers.retired]
allowed = false
"""


def test_a_caller_has_the_limits_of_its_table_and_for_the_rest_the_default():
    file = CallersFile.parse(TEXT)
    assert file.limits("spiffe://example.org/billing") == Limits(
        streams=16, audio_minutes_per_minute=1.5, audio_minutes_per_hour=600
    )
    assert file.limits("archive") == Limits(streams=4, audio_minutes_per_hour=math.inf)
    assert file.limits("retired") == Limits(allowed=False, streams=4, audio_minutes_per_hour=600)
    assert file.limits("somebody else") == Limits(streams=4, audio_minutes_per_hour=600)


def test_only_those_who_are_named_may_call_where_the_default_says_so():
    file = CallersFile.parse("default.allowed = false\ncallers.billing.allowed = true")
    assert file.limits("billing").allowed
    assert not file.limits("somebody else").allowed


def test_nobody_is_limited_by_an_empty_file():
    assert CallersFile.parse("").limits("anybody") == Limits()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default.streams = 0", "streams in default must be a whole number from 1, or inf"),
        ("default.streams = 1.5", "streams in default must be"),
        ("default.streams = true", "streams in default must be"),
        ("default.streams = nan", "streams in default must be"),
        ("default.audio_minutes_per_hour = 0", "audio_minutes_per_hour in default must be a positive number"),
        ("default.audio_minutes_per_hour = -1", "audio_minutes_per_hour in default must be"),
        ("default.audio_minutes_per_hour = nan", "audio_minutes_per_hour in default must be"),
        ("default.audio_minutes_per_hour = '5'", "audio_minutes_per_hour in default must be"),
        ("callers.billing.allowed = 1", "allowed in callers.billing must be true or false"),
        ("callers.billing.stream = 1", "stream in callers.billing is no limit"),
        ("caller.billing.streams = 1", "there is no table caller"),
        ("callers = 1", "callers must be a table"),
        ("callers.billing = 1", "callers.billing must be a table"),
        ("default = 1 2", "line 1"),
    ],
)
def test_what_cannot_be_meant_is_named(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        CallersFile.parse(text)
