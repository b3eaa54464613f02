"""Finds near duplicates: the same picture again, re-encoded, re-scaled, brightened or turned.

Perceptual hashes propose, pixels decide. A hash alone says too little: fundus images and crops
around single cells all look alike at low frequencies. So pairs are compared in fine structure,
each place relative to the contrast around it, which vessels and chromatin do not share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from components.ingestion.fingerprints import Fingerprint, Grey, turn, turned

DISTANCE = 10  # of 63 bits
CORRELATION = 0.55  # unrelated images of the four public sets reach 0.41
CANDIDATES = 8  # an image's nearest that are looked at in full
_BLOCK = 1024
_SIDE = 256
_MARGIN = 40
_SOMETHING = 0.1
_SHIFT = 10  # pixels of 256: a crop's margin of 4 %

Detail = npt.NDArray[np.float32]


def candidates(
    known: Mapping[str, Fingerprint], arrived: Mapping[str, Fingerprint]
) -> list[tuple[str, str, int]]:
    """Returns `(arrived, other, turn)` of images whose hashes are near.

    Each pair once. `turn` is how the arrived one is turned to look like the other: see
    `fingerprints.turned`. Images without structure have no hash and are left out.
    """
    new, old = (sorted(n for n, f in g.items() if f.phash) for g in (arrived, known))
    names = [*new, *old]
    if not new:
        return []
    every = np.array([*(arrived[n].phash for n in new), *(known[n].phash for n in old)], np.uint64)
    turns = np.array([turned(arrived[n].phash) for n in new], np.uint64)
    found = []
    for at in range(0, len(new), _BLOCK):
        rows, best = turns[at : at + _BLOCK], np.zeros((0, 4), np.int64)
        for across in range(at, len(names), _BLOCK):  # new ones come first: each pair once
            columns = every[across : across + _BLOCK]
            distance = np.bitwise_count(rows[:, 0, None] ^ columns)
            for k in range(1, 8):
                np.minimum(distance, np.bitwise_count(rows[:, k, None] ^ columns), out=distance)
            a, b = np.nonzero(distance <= DISTANCE)
            way = np.bitwise_count(rows[a] ^ columns[b, None]).argmin(1)
            part = np.stack([a + at, b + across, distance[a, b], way], 1).astype(np.int64)
            best = _nearest(np.concatenate([best, part[part[:, 0] < part[:, 1]]]))
        found.append(best)
    return [(names[a], names[b], int(k)) for a, b, _, k in np.concatenate(found)]


def _nearest(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns, of pairs `(one, other, distance, turn)`, the nearest others of each one.

    Taken after each block, so that memory stays bounded where all images look alike.
    """
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 2], pairs[:, 0]))]
    rank = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
    return pairs[rank < CANDIDATES]


def detail(grey: Grey) -> Detail | None:
    """Returns the fine structure of an image, float32 `[256, 256]`; None if it has none.

    The difference of Gaussians of 1 and 4 pixels, over its own standard deviation around.
    """
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    band = cv2.GaussianBlur(small, (0, 0), 1) - cv2.GaussianBlur(small, (0, 0), 4)
    overall = float(band.std())
    if overall < 1e-3:
        return None
    around = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 8))
    out: Detail = band / (around + 0.3 * overall)
    return out


def alike(arrived: str, other: str, way: int, details: Callable[[str], Detail | None]) -> float:
    """Returns how much of the fine structure two images share: -1 to 1, at the best shift.

    The lesser of the correlations over the whole and over the middle, if there is something in
    the middle: frames, fields of view and scale bars are alike in many images.
    """
    a, b = details(arrived), details(other)
    if a is None or b is None:
        return 0.0
    a = turn(a, way)
    whole = _correlation(a[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT], b)
    middle = slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN)
    if whole < CORRELATION or min(a[middle].std(), b[middle].std()) < _SOMETHING:
        return whole
    wider = slice(_MARGIN - _SHIFT, _SHIFT - _MARGIN)
    return min(whole, _correlation(a[middle], b[wider, wider]))


def _correlation(part: Detail, within: Detail) -> float:
    found = cv2.matchTemplate(within, np.ascontiguousarray(part), cv2.TM_CCOEFF_NORMED)
    return float(found.max())
