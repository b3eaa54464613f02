"""What chance alone gives: the groups' labels "baseline" and "new" dealt anew, many times.

Images of one group depend on each other: crops of a field, slices of a block, eyes of a patient.
A test that counts images finds too much certainty in them. Whole groups are exchangeable if
nothing drifted, so a statistic's distribution over relabelled groups is the one to compare with
(Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005, chapter 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from components.drifting.distances import jensen_shannon
from components.drifting.sample import Codes, Values

_FOR_EXPECTATION = 200  # relabellings enough for a mean
_BLOCK = 1 << 21  # values held at once
_ROUNDING = 1e-6
_LEVELS = 129


class Relabelling:
    """Deals the labels of two samples anew, by group.

    Args:
        baseline: Each image's group, `[N]`.
        new: Each image's group, `[M]`. A group has its images on one side: the same name on
            both sides is two groups.
        draws: How many relabellings a p rests on.
        seed: Of the random numbers.
    """

    def __init__(
        self, baseline: Sequence[str], new: Sequence[str], draws: int, seed: Sequence[int]
    ) -> None:
        names = [f"b{name}" for name in baseline] + [f"n{name}" for name in new]
        _, codes = np.unique(names, return_inverse=True)
        self.codes: Codes = codes
        self.groups = int(codes.max()) + 1
        self.new_groups = len(set(new))
        self._draws, self._seed = draws, seed

    @property
    def independent(self) -> bool:
        """Whether every image is a group of its own."""
        return self.groups == len(self.codes)

    @property
    def ways(self) -> int:
        """How many relabellings there are: no p can be below one over this."""
        return math.comb(self.groups, self.new_groups)

    @cached_property
    def _labels(self) -> npt.NDArray[np.bool_]:
        """Which groups are new, `[draws, groups]`."""
        rng = np.random.default_rng(self._seed)
        rows = max(self._draws, _FOR_EXPECTATION)
        labels = np.zeros((rows, self.groups), dtype=bool)
        for at in _blocks(rows, self.groups):
            dice = rng.random((at.stop - at.start, self.groups), dtype=np.float32)
            chosen = np.argpartition(dice, self.new_groups - 1, axis=1)[:, : self.new_groups]
            np.put_along_axis(labels[at], chosen, True, axis=1)
        return labels

    def distances(self, bins: Codes, count: int, draws: int = _FOR_EXPECTATION) -> Values:
        """Returns the Jensen-Shannon distance under each of some relabellings.

        Args:
            bins: Each image's bin, baseline first, `[N + M]`.
            count: How many bins there are.
            draws: How many relabellings.
        """
        per_group = np.zeros((self.groups, count), dtype=np.float32)
        np.add.at(per_group, (self.codes, bins), 1)
        new = self._labels[:draws].astype(np.float32) @ per_group
        return jensen_shannon(new, per_group.sum(0) - new)

    def distance_p(self, bins: Codes, count: int, found: float) -> float:
        """Returns the p of a Jensen-Shannon distance: the share of relabellings that reach it."""
        reached = self.distances(bins, count, len(self._labels)) >= found - _ROUNDING
        return self._p(int(reached.sum()))

    def kolmogorov_smirnov_p(self, values: Values) -> float:
        """Returns the p of the largest difference of the distribution functions.

        They are compared at no more than 129 quantiles of all values: the same ones however
        the groups are labelled, so that the test stays exact.

        Args:
            values: Baseline first, `[N + M]`.
        """
        levels = np.unique(np.quantile(values, np.linspace(0, 1, _LEVELS), method="lower"))
        below = np.zeros((self.groups, len(levels)), dtype=np.float32)
        np.add.at(below, (self.codes, np.searchsorted(levels, values, "left")), 1)
        below = np.cumsum(below, axis=1)  # images up to each level, by group

        def gap(labels: npt.NDArray[np.bool_]) -> Values:
            new = labels.astype(np.float32) @ below
            old = below.sum(0) - new
            found: Values = np.abs(new / new[:, -1:] - old / old[:, -1:]).max(1)
            return found

        true = np.arange(self.groups) >= self.groups - self.new_groups  # names begin with b or n
        return self._p(int((gap(self._labels) >= gap(true[None])[0] - _ROUNDING).sum()))

    def _p(self, reached: int) -> float:
        return (1 + reached) / (1 + len(self._labels))


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(columns, 1))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))
