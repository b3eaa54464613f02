"""Deals units of images to training, validation and test.

A unit is what must stay together: the images of one subject or block, copies, crops of one
field. Units differ in size, so it is images that are counted. Wanted are, over the whole
dataset, in each slice and in each stratum, `test` and `validation` of the images, and the rest
for training. Rules, in this order:

1. A unit that has a split keeps it for good.
2. A slice of three units or more has one in each split; one of fewer has one for training. Where
   units are of several slices, one slice may take from the other; validation tells.
3. The sum of the squared differences from what is wanted, in images, over splits and the three
   levels, is made as small as moving and exchanging units can make it.
4. Which of several like units goes where is said by `sha256("<seed>:<content sha256>")`: not by
   name, nor by the order within a delivery.

All arithmetic is on integers, so the result is the same on every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

from segtrail.artifacts import SPLITS, TRAIN
from segtrail.files import sha256_bytes
from segtrail.settings.dataset import Splits

Ints = npt.NDArray[np.int64]
_MOST_STEPS = 10_000
_TYPES_EXCHANGED = 512  # kinds of units whose exchange is tried; more would take long
_PARTS = 10_000  # a share's decimals: with more, sums of squares would outgrow 64 bits


@dataclass(frozen=True)
class Unit:
    """Images that stay together.

    Attributes:
        content: The least content hash of its images: decides among like units.
        images: How many it has of each (slice, stratum).
        split: The one that it has for good; empty if it is to be dealt.
    """

    content: str
    images: Mapping[tuple[str, str], int]
    split: str = ""


def deal(units: Sequence[Unit], rule: Splits) -> list[str]:
    """Returns the split of each unit; of one that has a split, that one."""
    order = sorted(
        range(len(units)),
        key=lambda n: (sha256_bytes(f"{rule.seed}:{units[n].content}".encode()), n),
    )
    ordered = [units[n] for n in order]
    pinned: dict[int, int] = {n: SPLITS.index(u.split) for n, u in enumerate(ordered) if u.split}
    dealt = [-1] * len(units)
    if len(pinned) < len(units):
        table = _Table(ordered, rule)
        dealt = table.solve(pinned)
        while missing := _missing(ordered, dealt, pinned):
            slice_, split = missing
            unit = _nearest(ordered, dealt, pinned, slice_, split, rule)
            if unit is None:
                break
            pinned[unit] = split
            dealt = table.solve(pinned)
    else:
        dealt = [pinned[n] for n in range(len(units))]
    out = [""] * len(units)
    for n, split in zip(order, dealt, strict=True):
        out[n] = SPLITS[split]
    return out


def shares(rule: Splits) -> tuple[Fraction, ...]:
    """Returns the wanted part of each of `SPLITS`, to four decimals of what the settings say."""
    validation, test = (Fraction(round(s * _PARTS), _PARTS) for s in (rule.validation, rule.test))
    return 1 - validation - test, validation, test


class _Table:
    """Counts of images over the levels, and how far they are from what is wanted.

    Deviations are in parts of an image, so that they are whole numbers.

    Args:
        units: In the order that decides among like ones.
        rule: The wanted shares.
    """

    def __init__(self, units: Sequence[Unit], rule: Splits) -> None:
        strata = sorted({key for u in units for key in u.images})
        slices = sorted({slice_ for slice_, _ in strata})
        column = {key: n for n, key in enumerate(strata)}
        counts = np.zeros((len(units), len(strata) + len(slices) + 1), np.int64)
        for n, unit in enumerate(units):
            for key, images in unit.images.items():
                counts[n, column[key]] += images
                counts[n, len(strata) + slices.index(key[0])] += images
                counts[n, -1] += images
        self.kinds, self.kind = np.unique(counts, axis=0, return_inverse=True)
        self.kind = self.kind.reshape(-1)
        parts = shares(rule)
        self.unit = lcm(*(part.denominator for part in parts))
        every = counts.sum(0)
        self.wanted = np.stack([every * int(part * self.unit) for part in parts])
        self.counts = counts

    def solve(self, pinned: Mapping[int, int]) -> list[int]:
        """Returns the split of each unit, as a number; those pinned keep theirs."""
        split = np.full(len(self.counts), -1, np.int64)
        deviation = -self.wanted.copy()
        for n, to in pinned.items():
            split[n] = to
            deviation[to] += self.counts[n] * self.unit
        free = [n for n in range(len(split)) if n not in pinned]
        for n in free:
            costs = ((self.counts[n] * self.unit + 2 * deviation) * self.counts[n]).sum(1)
            split[n] = int(costs.argmin())
            deviation[split[n]] += self.counts[n] * self.unit
        self._improve(split, deviation, np.array(free, np.int64))
        return [int(s) for s in split]

    def _improve(self, split: Ints, deviation: Ints, free: Ints) -> None:
        """Moves units, or exchanges two, as long as that brings the counts nearer."""
        holders: dict[tuple[int, int], list[int]] = defaultdict(list)
        for n in free[::-1]:  # the last of a list is the first in order
            holders[int(self.kind[n]), int(split[n])].append(int(n))

        def move(kind: int, source: int, target: int) -> None:
            n = holders[kind, source].pop()
            holders[kind, target].append(n)
            split[n] = target
            deviation[source] -= self.kinds[kind] * self.unit
            deviation[target] += self.kinds[kind] * self.unit

        for _ in range(_MOST_STEPS):
            step = self._best_step(deviation, holders)
            if step is None:
                return
            gone, source, target, back = step
            move(gone, source, target)
            if back is not None:
                move(back, target, source)

    def _best_step(
        self, deviation: Ints, holders: Mapping[tuple[int, int], Sequence[int]]
    ) -> tuple[int, int, int, int | None] | None:
        """Returns (kind, from, to, kind that comes back or None) of the largest gain."""
        best = 0
        step: tuple[int, int, int, int | None] | None = None
        for source in range(len(SPLITS)):
            for target in range(len(SPLITS)):
                mine = [k for k in range(len(self.kinds)) if holders.get((k, source))]
                if source == target or not mine:
                    continue
                slope = deviation[target] - deviation[source]
                out = self.kinds[mine]
                gains = ((out * self.unit + slope) * out).sum(1)
                if gains.min() < best:
                    best = int(gains.min())
                    step = (mine[int(gains.argmin())], source, target, None)
                theirs = [k for k in range(len(self.kinds)) if holders.get((k, target))]
                if source > target or not theirs:
                    continue  # an exchange is the same from both ends
                mine, theirs = mine[:_TYPES_EXCHANGED], theirs[:_TYPES_EXCHANGED]
                for k in mine:
                    net = self.kinds[k] - self.kinds[theirs]
                    gains = ((net * self.unit + slope) * net).sum(1)
                    if gains.min() < best:
                        best = int(gains.min())
                        step = (k, source, target, theirs[int(gains.argmin())])
        return step


def _slices(units: Sequence[Unit]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for n, unit in enumerate(units):
        for slice_ in sorted({slice_ for slice_, _ in unit.images}):
            members[slice_].append(n)
    return members


def _missing(
    units: Sequence[Unit], dealt: Sequence[int], pinned: Mapping[int, int]
) -> tuple[str, int] | None:
    """Returns the first slice that lacks a split and has a unit to give it, and the split."""
    for slice_, members in sorted(_slices(units).items()):
        have = {dealt[n] for n in members}
        needed = range(len(SPLITS)) if len(members) >= 3 else [SPLITS.index(TRAIN)]
        for split in needed:
            if split not in have and any(_may_go(n, dealt, pinned, members) for n in members):
                return slice_, split
    return None


def _may_go(
    n: int, dealt: Sequence[int], pinned: Mapping[int, int], members: Sequence[int]
) -> bool:
    """Whether a unit may leave its split without emptying it, or the split is not needed."""
    if n in pinned:
        return False
    alone = sum(dealt[m] == dealt[n] for m in members) == 1
    return not (alone and (len(members) >= 3 or dealt[n] == SPLITS.index(TRAIN)))


def _nearest(
    units: Sequence[Unit],
    dealt: Sequence[int],
    pinned: Mapping[int, int],
    slice_: str,
    split: int,
    rule: Splits,
) -> int | None:
    """Returns the unit whose size is nearest to what the split wants of a slice."""
    members = _slices(units)[slice_]

    def size(n: int) -> int:
        return sum(images for (name, _), images in units[n].images.items() if name == slice_)

    wanted = shares(rule)[split] * sum(size(n) for n in members)
    may = [n for n in members if _may_go(n, dealt, pinned, members)]
    return min(may, key=lambda n: (abs(size(n) - wanted), n), default=None)
