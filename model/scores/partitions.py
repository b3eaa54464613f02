"""Scores of how pixels are grouped into segments, whatever these are called."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint16]


def rand_f(true: Labels, predicted: Labels) -> float:
    """Returns the Rand F-score, restricted to the true foreground.

    Of all pairs of pixels that are both foreground in the truth: with precision, the part of
    the pairs in one predicted segment that are in one true object, and recall, the part of the
    pairs in one true object that are in one predicted segment, their harmonic mean; 1 - the
    "adapted Rand error" of the ISBI 2012 challenge (Arganda-Carreras et al., 2015), by
    scikit-image. What is predicted as background inside the true foreground is one segment,
    too. The challenge also thinned the predicted membranes first, which is not done here.

    Args:
        true: uint16 `[H, W]`, true instance ids, 0 background, whose pixels do not count.
        predicted: uint16 `[H, W]`, predicted instance ids.

    Returns:
        0 to 1; 1 when no pair is in one true or predicted segment, so that nothing is wrong.
    """
    from skimage.metrics import adapted_rand_error

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 / 0, where there are no pairs
        error = adapted_rand_error(true.astype(np.int64), predicted.astype(np.int64))[0]
    return 1.0 if np.isnan(error) else float(1 - error)


def variation_of_information(true: Labels, predicted: Labels) -> tuple[float, float]:
    """Returns what was split and what was merged, in bits, within the true foreground.

    The conditional entropies H(predicted | true) and H(true | predicted) (Meilă, 2007), by
    scikit-image; their sum is the variation of information, 0 for equal partitions.

    Args:
        true: uint16 `[H, W]`, true instance ids, 0 background, whose pixels do not count.
        predicted: uint16 `[H, W]`, predicted instance ids.
    """
    from skimage.metrics import variation_of_information as entropies

    inside = true > 0
    if not inside.any():
        return 0.0, 0.0
    split, merged = entropies(
        true[inside].astype(np.int64)[None], predicted[inside].astype(np.int64)[None]
    )
    return float(split), float(merged)
