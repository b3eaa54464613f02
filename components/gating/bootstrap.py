"""Bootstrap intervals of a mean over images that may come in groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_BLOCK = 2_000  # resamples at once: bounds the memory


def mean_interval(
    values: npt.NDArray[np.float64],
    groups: Sequence[str],
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Returns a percentile bootstrap interval of the mean.

    Whole groups are drawn with replacement (Efron and Tibshirani, 1993, chapter 13; cluster
    bootstrap), so that images which belong together count as one piece of evidence.

    Args:
        values: One an image; for a paired comparison, the differences.
        groups: The group of each image.
        confidence: Such as 0.95, two-sided.
        resamples: How many.
        seed: The same seed gives the same interval.
    """
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(member, weights=values)
    sizes = np.bincount(member).astype(np.float64)
    generator = np.random.default_rng(seed)
    means = []
    for start in range(0, resamples, _BLOCK):
        drawn = generator.integers(
            0, len(sums), (min(_BLOCK, resamples - start), len(sums)), dtype=np.int32
        )
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
