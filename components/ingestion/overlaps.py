"""Finds crops that overlap: a part of one image is, pixel for pixel, a part of another.

Sliding windows over a slide, or a tile delivered once alone and once in its field. Both crops
choose the same small windows by their content (see `fingerprints.windows`); two that share one
are laid over each other there and compared pixel by pixel.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

import numpy as np

from components.ingestion.fingerprints import WINDOW, Fingerprint, Grey, windows

COMMON = 20  # images that share a window; more share a scale bar or a logo, not a specimen
EQUAL = 0.95  # of the pixels in common
CANDIDATES = 8


def candidates(
    known: Mapping[str, Fingerprint], arrived: Mapping[str, Fingerprint]
) -> list[tuple[str, str]]:
    """Returns `(arrived, other)` of images that share a window, each pair once."""
    holders: dict[int, list[str]] = defaultdict(list)
    for group in (arrived, known):
        for image in sorted(group):
            for window in group[image].windows:
                holders[window].append(image)
    shared: dict[str, Counter[str]] = defaultdict(Counter)
    for images in holders.values():
        if 1 < len(images) <= COMMON:
            for n, one in enumerate(images):
                if one in arrived:
                    shared[one].update(images[n + 1 :])
    return [
        (one, other)
        for one in sorted(shared)
        for other, _ in sorted(shared[one].items(), key=lambda item: (-item[1], item[0]))[
            :CANDIDATES
        ]
    ]


def overlap(one: str, other: str, grey: Callable[[str], Grey]) -> float:
    """Returns how large a part of the smaller image is in the other; 0 if they do not overlap.

    Args:
        one: An image.
        other: Another.
        grey: Returns an image's grey levels.
    """
    a, b = grey(one), grey(other)
    if a.dtype != b.dtype:
        return 0.0
    (first, at), (second, there) = windows(a), windows(b)
    _, i, j = np.intersect1d(first, second, return_indices=True)
    votes = Counter(
        (int(y), int(x)) for y, x in at[i].reshape(-1, 2) - there[j].reshape(-1, 2)
    ).most_common(3)
    return max((_agreement(a, b, shift) for shift, _ in votes), default=0.0)


def _agreement(a: Grey, b: Grey, shift: tuple[int, int]) -> float:
    """Returns the overlap of `a` with `b` moved by `shift`, or 0 if its pixels differ."""
    (top, bottom), (left, right) = (
        (max(0, s), min(n, m + s)) for n, m, s in zip(a.shape, b.shape, shift, strict=True)
    )
    if bottom - top < WINDOW or right - left < WINDOW:
        return 0.0
    mine = a[top:bottom, left:right]
    theirs = b[top - shift[0] : bottom - shift[0], left - shift[1] : right - shift[1]]
    if mine.std() < 1 or float((mine == theirs).mean()) < EQUAL:
        return 0.0
    return mine.size / min(a.size, b.size)
