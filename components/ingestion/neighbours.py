"""Finds images that show the same specimen, so that they never stand in different splits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from components.ingestion import crops, layout, near_duplicates, overlaps
from components.ingestion.fingerprints import Fingerprint, Grey, edge_lines, grey_levels

SAME_CONTENT = "same content"
SAME_GROUP = "same group"  # said by the adapter or the ledger, not found here
NEAR_DUPLICATE = "near duplicate"
OVERLAPPING_CROP = "overlapping crop"
NEIGHBOURING_CROP = "neighbouring crop"
KINDS = (  # surest first
    SAME_CONTENT,
    SAME_GROUP,
    NEAR_DUPLICATE,
    OVERLAPPING_CROP,
    NEIGHBOURING_CROP,
)

Pixels = Callable[[str], npt.NDArray[np.integer]]


@dataclass(frozen=True)
class Link:
    """Two images of one specimen.

    Attributes:
        first: One image; of neighbouring crops the one to the left or above.
        second: The other.
        kind: One of `KINDS`.
        score: How sure, 0 to 1. Same content or group: 1. Near duplicate: the correlation of fine
            structure. Overlapping crop: the overlap, as a part of the smaller. Neighbouring
            crop: how much less the edges differ where they meet than at the next best place.
    """

    first: str
    second: str
    kind: str
    score: float

    @property
    def rank(self) -> tuple[int, float, str, str]:
        """Sorts the surest first."""
        return KINDS.index(self.kind), -self.score, self.first, self.second


def find_links(
    known: Mapping[str, Fingerprint], arrived: Mapping[str, Fingerprint], pixels: Pixels
) -> list[Link]:
    """Compares images that arrived with each other and with those that are there.

    Candidates come from the fingerprints alone; only these are read and compared at full
    resolution. Each pair has one link, the surest.

    Args:
        known: Of the images that are there, without those that arrived.
        arrived: Of the images that arrived.
        pixels: Returns an image's pixels; is called for candidates only.

    Returns:
        The links, the surest first. Not among them: pairs of two known images.
    """
    if not arrived:
        return []
    views = _Views(pixels)
    found = [
        *_duplicates(known, arrived, views),
        *(
            _link(one, other, OVERLAPPING_CROP, score)
            for one, other in overlaps.candidates(known, arrived)
            if (score := overlaps.overlap(one, other, views.grey)) > 0
        ),
    ]
    copies = {frozenset((link.first, link.second)) for link in found}
    found += _neighbours(known, arrived, views, copies)
    best: dict[frozenset[str], Link] = {}
    for link in sorted(found, key=lambda link: link.rank):
        best.setdefault(frozenset((link.first, link.second)), link)
    return sorted(best.values(), key=lambda link: link.rank)


def _link(one: str, other: str, kind: str, score: float) -> Link:
    return Link(min(one, other), max(one, other), kind, round(score, 3))


def _duplicates(
    known: Mapping[str, Fingerprint], arrived: Mapping[str, Fingerprint], views: _Views
) -> list[Link]:
    found = []
    for one, other, way in near_duplicates.candidates(known, arrived):
        if np.array_equal(views.grey(one), views.grey(other)):
            found.append(_link(one, other, SAME_CONTENT, 1.0))
            continue
        score = near_duplicates.alike(one, other, way, views.detail)
        if score >= near_duplicates.CORRELATION:
            found.append(_link(one, other, NEAR_DUPLICATE, score))
    return found


def _neighbours(
    known: Mapping[str, Fingerprint],
    arrived: Mapping[str, Fingerprint],
    views: _Views,
    copies: set[frozenset[str]],
) -> list[Link]:
    def same(one: str, other: str) -> bool:
        return one == other or frozenset((one, other)) in copies

    def shape(image: str) -> tuple[int, int]:
        return (arrived[image] if image in arrived else known[image]).shape

    def seams(mirrored: bool) -> list[crops.Seam]:
        found = [
            seam
            for first, second, meeting in crops.candidates(known, arrived, mirrored)
            if (seam := crops.seam(first, second, meeting, views.lines, mirrored))
        ]
        return layout.consistent(found, shape, same)

    return [
        Link(seam.first, seam.second, NEIGHBOURING_CROP, round(1 - seam.elsewhere, 3))
        for seam in layout.trusted(seams(False), seams(True))
    ]


T = TypeVar("T")


class _Recent(Generic[T]):
    """The values of a function, the last `size` of them kept."""

    def __init__(self, make: Callable[[str], T], size: int) -> None:
        self._make, self._size = make, size
        self._kept: OrderedDict[str, T] = OrderedDict()

    def __call__(self, image: str) -> T:
        if image in self._kept:
            self._kept.move_to_end(image)
            return self._kept[image]
        value = self._kept[image] = self._make(image)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return value


class _Views:
    """What the comparisons see of an image; a bounded number are kept in memory."""

    def __init__(self, pixels: Pixels) -> None:
        self.grey: _Recent[Grey] = _Recent(lambda image: grey_levels(pixels(image)), 16)
        self.detail = _Recent(lambda image: near_duplicates.detail(self.grey(image)), 256)
        self.lines = _Recent(lambda image: edge_lines(self.grey(image)), 8192)
