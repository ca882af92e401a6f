"""What a profile means for the inputs of an encoder."""

import pytest

from asr_service.engines.ort.profiles import parse
from asr_service.engines.ort.shapes import FeatureLayout, shape_ranges
from serving.errors import ModelUnavailable

PROFILE = parse("1:8:32x0.5:10:30")


def centred(samples: int) -> int:
    """Frames of a front end with a hop of 10 ms that pads both ends."""
    return samples // 160 + 1


NEMO = FeatureLayout(bins=128, time_axis=2, frames=centred)
ICEFALL = FeatureLayout(bins=80, time_axis=1, frames=lambda samples: samples // 160)


def test_frames_are_the_last_axis_of_nemo_encoders() -> None:
    ranges = shape_ranges({"audio_signal": (None, 128, None), "length": (None,)}, NEMO, PROFILE)
    assert ranges.min == {"audio_signal": (1, 128, 51), "length": (1,)}
    assert ranges.opt == {"audio_signal": (8, 128, 1001), "length": (8,)}
    assert ranges.max == {"audio_signal": (32, 128, 3001), "length": (32,)}


def test_frames_are_the_middle_axis_of_icefall_encoders() -> None:
    ranges = shape_ranges({"x": (None, None, 80), "x_lens": (None,)}, ICEFALL, PROFILE)
    assert ranges.max == {"x": (32, 3000, 80), "x_lens": (32,)}


def test_a_feature_axis_that_is_dynamic_gets_the_feature_size() -> None:
    assert shape_ranges({"audio_signal": (None, None, None)}, NEMO, PROFILE).opt["audio_signal"] == (
        8,
        128,
        1001,
    )


def test_inputs_of_fixed_shape_have_no_ranges() -> None:
    ranges = shape_ranges({"x": (None, None, 80), "one": (1,)}, ICEFALL, parse("1x30"))
    assert set(ranges.min) == set(ranges.max) == {"x"}


@pytest.mark.parametrize(
    ("shape", "told"),
    [((1, 128, None), "1x128x?"), ((None, 80, None), "?x80x?"), ((None, 128, 3000), "?x128x3000")],
)
def test_a_fixed_axis_that_contradicts_the_profile_is_told(shape: tuple[int | None, ...], told: str) -> None:
    with pytest.raises(ModelUnavailable) as raised:
        shape_ranges({"audio_signal": shape}, NEMO, PROFILE)
    assert f"'audio_signal' is fixed to {told}" in raised.value.message
    assert "--profile" in raised.value.message


def test_inputs_that_no_profile_describes_are_told() -> None:
    with pytest.raises(ModelUnavailable, match=r"'cache' has 4 axes.*--provider cuda"):
        shape_ranges({"x": (None, None, 80), "cache": (None, 2, 3, 4)}, ICEFALL, PROFILE)
