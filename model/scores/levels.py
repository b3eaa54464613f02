"""What the served probabilities say: how sure, how often right, and at which threshold best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEVELS = 256
_P = np.arange(LEVELS) / (LEVELS - 1)


def count_levels(true: Planes, probability: npt.NDArray[np.uint8]) -> Counts:
    """Returns how many pixels were given each probability.

    Args:
        true: bool `[H, W, K]`, where each class is.
        probability: uint8 `[H, W, K]`, 255 is certain, as it is served.

    Returns:
        int64 `[K, 2, 256]`: of each class where it is not, and where it is.
    """
    number = probability.astype(np.int64) + LEVELS * true
    classes = true.shape[-1]
    flat = (number + 2 * LEVELS * np.arange(classes)).ravel()
    return np.bincount(flat, minlength=2 * LEVELS * classes).reshape(classes, 2, LEVELS)


def cross_entropy(counts: Counts) -> float:
    """Returns the mean binary cross-entropy of pixels and classes, in nats.

    Half a level is kept from 0 and 1, so that a certain mistake costs 6.2 and not infinitely much.

    Args:
        counts: See `count_levels`.
    """
    p = np.clip(_P, 0.5 / (LEVELS - 1), 1 - 0.5 / (LEVELS - 1))
    costs = np.stack([-np.log1p(-p), -np.log(p)])
    return float((counts * costs).sum() / max(int(counts.sum()), 1))


def sweep(counts: Counts) -> tuple[Floats, Floats]:
    """Returns thresholds `[255]` and the IoU of all pixels of each class above them, `[K, 255]`.

    A class is where its probability alone is above the threshold; of classes that exclude each
    other the answer takes the likeliest instead. 1 where nothing is there nor said.
    """
    above = counts[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]  # at least level 1, 2, …
    false, hit = above[:, 0], above[:, 1]
    union = false + counts[:, 1].sum(-1, keepdims=True)
    iou = np.where(union > 0, hit / np.maximum(union, 1), 1.0)
    return (np.arange(1, LEVELS) - 0.5) / (LEVELS - 1), iou


def calibration(counts: Counts, bins: int = 10) -> tuple[Floats, Floats, Floats]:
    """Returns how often a class is there when the model says so with some probability.

    Args:
        counts: See `count_levels`; of all classes together.
        bins: Of equal width (Guo et al., 2017).

    Returns:
        Three of `[bins]`: the mean probability, the share of pixels where the class is (NaN where
        no pixel is in the bin), and the share of all pixels in the bin.
    """
    of = np.minimum((_P * bins).astype(int), bins - 1)
    pixels, hits, said = np.zeros(bins), np.zeros(bins), np.zeros(bins)
    total = counts.sum(0)
    np.add.at(pixels, of, total.sum(0))
    np.add.at(hits, of, total[1])
    np.add.at(said, of, total.sum(0) * _P)
    with np.errstate(invalid="ignore", divide="ignore"):
        return said / pixels, hits / pixels, pixels / max(pixels.sum(), 1)


def calibration_error(counts: Counts) -> float:
    """Returns the expected calibration error: mean |share - probability| over pixels."""
    said, there, share = calibration(counts)
    return float(np.nansum(np.abs(there - said) * share))
