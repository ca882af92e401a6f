"""Whether something stays as it is: samples over time, and the straight line through them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Two-sided 95 % of the normal distribution; there are dozens of means.
_DEVIATIONS = 1.96
# Samples that follow each other are alike. Means of so many seconds are nearly independent of each other.
_MEAN_SECONDS = 60.0


@dataclass(frozen=True)
class Trend:
    """A line through samples: their mean, and the line's growth an hour with its 95 % confidence interval."""

    mean: float
    slope: float
    low: float
    high: float

    @property
    def is_flat(self) -> bool:
        """Whether the samples do not show that it grows by more than 2 % an hour."""
        return self.low <= 0.02 * self.mean


def trend(seconds: Sequence[float], values: Sequence[float]) -> Trend:
    """Through the means of each minute, of which there must be three at least. Ordinary least squares."""
    times, means = _means(np.asarray(seconds), np.asarray(values))
    hours = (times - times.mean()) / 3600
    spread = float(hours @ hours)
    slope = float(hours @ means) / spread
    residuals = means - means.mean() - slope * hours
    error = float(np.sqrt(residuals @ residuals / (len(means) - 2) / spread))
    return Trend(float(means.mean()), slope, slope - _DEVIATIONS * error, slope + _DEVIATIONS * error)


def _means(
    seconds: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    """Times and values, averaged over spans of _MEAN_SECONDS; a last span that is not full is left out."""
    spans = ((seconds - seconds[0]) // _MEAN_SECONDS).astype(int)
    full = [spans == number for number in range(spans[-1])]
    if len(full) < 3:
        raise ValueError("three minutes of samples at least")
    return np.array([seconds[span].mean() for span in full]), np.array([values[span].mean() for span in full])
