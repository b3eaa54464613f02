"""Puts tiles together into fields, and keeps the seams that fit into one picture."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from components.ingestion.crops import Seam

BY_CHANCE = 0.02  # of the seams that are kept
_RUNNER_UP = 0.9  # `elsewhere` over that of the next best partner


def trusted(seams: Sequence[Seam], mirrored: Sequence[Seam]) -> list[Seam]:
    """Keeps so many of the best fitting seams that few of them are there by chance.

    Where images are alike (one exposure, an even ground, objects of one size), many edges fit
    by chance, the more the more images there are. How many, the seams of mirrored edges tell:
    as many comparisons, none of which can be right (target-decoy estimate of the false
    discovery rate: Elias and Gygi, 2007).

    Args:
        seams: Found among edges as they are.
        mirrored: Found in the same way with one of the edges read backwards.
    """
    kept, ranked = 0, sorted(seams, key=lambda s: -s.fit)
    for n, s in enumerate(ranked, 1):
        if sum(m.fit >= s.fit for m in mirrored) <= BY_CHANCE * n:
            kept = n
    return ranked[:kept]


def consistent(
    seams: Sequence[Seam],
    shape: Callable[[str], tuple[int, int]],
    same: Callable[[str, str], bool] = operator.eq,
) -> list[Seam]:
    """Keeps the seams that fit together: each edge meets one other, and tiles do not overlap.

    The surest come first. A seam falls if an edge has two partners that fit about equally
    well, unless these are copies of each other; if an edge is taken; or if, in the field that
    the seams so far put together, it would put two images onto one place.

    Args:
        seams: Found by `seam`.
        shape: Returns an image's height and width.
        same: Says whether two images are one, or copies of each other.
    """
    rivals: dict[tuple[str, int], list[Seam]] = defaultdict(list)
    for s in seams:
        rivals[s.first, s.meeting].append(s)
        rivals[s.second, s.meeting + 2].append(s)
    field = _Fields(shape)
    taken: dict[tuple[str, int], str] = {}
    kept = []
    for s in sorted(seams, key=lambda s: (s.elsewhere, s.first, s.second, s.meeting)):
        ends = ((s.first, s.meeting, s.second), (s.second, s.meeting + 2, s.first))
        if any(not same(taken.get((image, side), other), other) for image, side, other in ends):
            continue
        if _ambiguous(s, rivals, same) or not field.join(s):
            continue
        for image, side, other in ends:
            taken.setdefault((image, side), other)
        kept.append(s)
    return kept


def _ambiguous(
    s: Seam,
    rivals: Mapping[tuple[str, int], Sequence[Seam]],
    same: Callable[[str, str], bool],
) -> bool:
    """Whether another image fits about as well, or better."""
    others = [
        *(r for r in rivals[s.first, s.meeting] if not same(r.second, s.second)),
        *(r for r in rivals[s.second, s.meeting + 2] if not same(r.first, s.first)),
    ]
    return any(r.elsewhere * _RUNNER_UP < s.elsewhere for r in others)


class _Fields:
    """Fields put together from tiles: each tile's place in its field."""

    def __init__(self, shape: Callable[[str], tuple[int, int]]) -> None:
        self._shape = shape
        self._field: dict[str, dict[str, tuple[int, int]]] = {}

    def _of(self, image: str) -> dict[str, tuple[int, int]]:
        return self._field.setdefault(image, {image: (0, 0)})

    def join(self, s: Seam) -> bool:
        """Puts two fields together along a seam; returns False if they do not fit."""
        one, other = self._of(s.first), self._of(s.second)
        height, width = self._shape(s.first)
        y, x = one[s.first]
        place = (y, x + width) if s.meeting == 0 else (y + height, x)
        if one is other:
            return one[s.second] == place
        down, across = place[0] - other[s.second][0], place[1] - other[s.second][1]
        moved = {image: (y + down, x + across) for image, (y, x) in other.items()}
        for image, at in moved.items():
            if any(self._overlap(image, at, there, one[there]) for there in one):
                return False
        one |= moved
        for image in moved:
            self._field[image] = one
        return True

    def _overlap(self, a: str, at: tuple[int, int], b: str, there: tuple[int, int]) -> bool:
        (ah, aw), (bh, bw) = self._shape(a), self._shape(b)
        return (
            at[0] < there[0] + bh
            and there[0] < at[0] + ah
            and at[1] < there[1] + bw
            and there[1] < at[1] + aw
        )
