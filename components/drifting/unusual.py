"""The new images that are least like the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.drifting.sample import Sample, resolution
from components.drifting.words import name_of, number

_SIGMAS = 1.349  # the interquartile range of a normal distribution


@dataclass(frozen=True)
class Unusual:
    """One image.

    Attributes:
        image: What it is called.
        slice: Its slice; empty if not known.
        statistic: The one that is furthest out.
        value: Its value.
        share: How much of the baseline is at least as far out on that side, 0 to 1.
        says: In a sentence.
    """

    image: str
    slice: str
    statistic: str
    value: float
    share: float
    says: str


def most_unusual(baseline: Sample, new: Sample, count: int, enough: int) -> list[Unusual]:
    """Returns the images furthest out in any statistic, the furthest first.

    Args:
        baseline: What the champion learnt from.
        new: What is looked at.
        count: How many at most.
        enough: An image is compared with its slice if the baseline has so many of it, else
            with all of the baseline.
    """
    found: list[tuple[float, float, Unusual]] = []
    for name in sorted(set(new.slices)):
        of_slice = baseline.of_slice(name)
        known = bool(name) and len(of_slice) >= enough
        found += _ranked(of_slice if known else baseline, new.of_slice(name))
    found.sort(key=lambda item: (item[0], -item[1], item[2].image))
    return [image for _, _, image in found[:count]]


def _ranked(baseline: Sample, new: Sample) -> list[tuple[float, float, Unusual]]:
    names = [name for name in new.values if name in baseline.values]
    if not len(baseline) or not names:
        return []
    shares, steps = zip(*(_tails(baseline, new, name) for name in names), strict=True)
    share, step = np.stack(shares), np.stack(steps)  # [statistics, images]
    worst = np.lexsort((-step, share), axis=0)[0]
    return [
        (float(share[k, i]), float(step[k, i]), _describe(baseline, new, names[k], i))
        for i, k in enumerate(worst)
    ]


def _tails(baseline: Sample, new: Sample, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smaller tail beyond each value, and its distance in robust deviations."""
    old, values = np.sort(baseline.values[name]), new.values[name]
    below = np.searchsorted(old, values, "right")
    above = len(old) - np.searchsorted(old, values, "left")
    low, middle, high = np.quantile(old, (0.25, 0.5, 0.75))
    spread = max((high - low) / _SIGMAS, float(old.std()), resolution(name))
    return np.minimum(below, above) / len(old), np.abs(values - middle) / spread


def _describe(baseline: Sample, new: Sample, name: str, at: int) -> Unusual:
    old, value = baseline.values[name], float(new.values[name][at])
    high = value >= float(np.median(old))
    share = float((old >= value).mean() if high else (old <= value).mean())
    limits = f"{number(float(old.min()))} to {number(float(old.max()))} in training"
    side = "as high" if high else "as low"
    text = f"{name_of(name)} {number(value)}: {share:.1%} of training images are {side} ({limits})"
    return Unusual(new.images[at], new.slices[at], name, value, share, text)
