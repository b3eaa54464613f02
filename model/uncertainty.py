"""What a sample of images, which may come in groups, says about a mean: intervals and p-values.

Two kinds of means need two methods, since what is known of their spread differs; `docs/gates.md`
has the error rates of both, and of the usual percentile bootstrap, on real scores:

- The *level* of a score: scores end at 1 and have a long tail towards 0, so that the distance of a
  sample's mean from the truth is skewed. The studentized bootstrap follows that.
- The *change* of a score between two models on the same images: if the models are equally good,
  either could have given either score, so that each difference is as likely to be positive as
  negative. The sign-flip test uses just that, and is exact with any number of images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FEWEST = 6  # groups that a level's interval takes: of fewer, resamples are too much alike
_CELLS = 4_000_000  # resamples times groups at once: bounds the memory
_ROUNDING = 1e-12
_SAME = 1e-12  # what sums of the same numbers in another order differ by, at most


class Evidence(ABC):
    """What a sample says about a mean.

    Images of one group are one piece of evidence: whole groups are drawn (cluster bootstrap,
    Davison and Hinkley, 1997, section 3.8).

    Attributes:
        mean: Of the sample, over images.
        groups: How many pieces of evidence there are.
    """

    def __init__(self, mean: float, groups: int) -> None:
        self.mean, self.groups = mean, groups

    def interval(self, confidence: float) -> tuple[float, float]:
        """Returns a two-sided interval; infinite where the sample is too small for a bound.

        It holds what neither `p_below` nor `p_above` rejects at `tail_of` the confidence.
        """
        return self._interval(tail_of(confidence))

    @abstractmethod
    def p_below(self, limit: float) -> float:
        """Returns the p-value of a mean that is `limit` or more: small if it is below."""

    @abstractmethod
    def p_above(self, limit: float) -> float:
        """Returns the p-value of a mean that is `limit` or less: small if it is above."""

    @abstractmethod
    def _interval(self, tail: float) -> tuple[float, float]: ...


class Level(Evidence):
    """The level of a score, by the studentized bootstrap (Efron and Tibshirani, 1993, 12.5).

    Of fewer than six groups it says nothing.

    Args:
        values: `[n]`, one an image.
        groups: The group of each image.
        resamples: How many; p-values are multiples of 1 / (resamples + 1).
        seed: The same seed gives the same answers.
    """

    def __init__(self, values: Floats, groups: Sequence[str], resamples: int, seed: int) -> None:
        sums, sizes = _by_group(values[:, None], groups)
        super().__init__(float(values.mean()), len(sizes))
        self._error, self._ratios = (x[..., 0] for x in _studentized(sums, sizes, resamples, seed))
        self._ratios = np.sort(self._ratios)

    def p_below(self, limit: float) -> float:
        return self._p(self._ratios <= self._ratio(limit))

    def p_above(self, limit: float) -> float:
        return self._p(self._ratios >= self._ratio(limit))

    def _p(self, against: npt.NDArray[np.bool_]) -> float:
        return _p_value(against) if self.groups >= FEWEST else 1.0

    def _ratio(self, limit: float) -> float:
        return float(_divided(np.asarray(self.mean - limit), np.asarray(self._error)))

    def _interval(self, tail: float) -> tuple[float, float]:
        low, high = _level_interval(
            np.asarray([self.mean]), self._error[None], self._ratios[:, None], tail, self.groups
        )
        return float(low[0]), float(high[0])


class Change(Evidence):
    """The change of a score between two models on the same images, by the sign-flip test.

    Turning the sign of some groups' differences is as good as any other way the sample could have
    come out if the models were equally good (Fisher, 1935). The changes that such a test does not
    reject lie between quantiles of the means of random subsets of the groups ("typical values",
    Hartigan, 1969). All subsets are taken where that are not more than `resamples`.

    With fewer than six groups no difference is evidence at a confidence of 0.95: a fair coin, too,
    falls five times on one side in 1 of 32.

    Args:
        differences: `[n]`, one an image: the candidate's score less the other's.
        groups: The group of each image.
        resamples: How many subsets.
        seed: The same seed gives the same answers.
    """

    def __init__(
        self, differences: Floats, groups: Sequence[str], resamples: int, seed: int
    ) -> None:
        sums, sizes = _by_group(differences[:, None], groups)
        super().__init__(float(differences.mean()), len(sizes))
        self._low, self._high = _subset_means(sums[:, 0], sizes, resamples, seed)

    def p_below(self, limit: float) -> float:
        return _p_value(self._high >= limit - _SAME)

    def p_above(self, limit: float) -> float:
        return _p_value(self._low <= limit + _SAME)

    def _interval(self, tail: float) -> tuple[float, float]:
        place = _place(len(self._low), tail)
        if place < 1:
            return -np.inf, np.inf
        return float(self._low[place - 1]), float(self._high[-place])


def level_intervals(
    values: Floats, groups: Sequence[str], confidence: float, resamples: int, seed: int
) -> Floats:
    """Returns the intervals of the levels of several scores of the same images, as `Level` does.

    Args:
        values: `[n, M]`, a row an image.
        groups: The group of each image.
        confidence: Such as 0.95, two-sided.
        resamples: How many.
        seed: Of the draws, which are the same for all scores.

    Returns:
        `[M, 2]`, lower and upper bounds.
    """
    sums, sizes = _by_group(values, groups)
    error, ratios = _studentized(sums, sizes, resamples, seed)
    low, high = _level_interval(
        values.mean(0), error, np.sort(ratios, axis=0), tail_of(confidence), len(sizes)
    )
    return np.stack([low, high], -1)


def tail_of(confidence: float) -> float:
    """Returns the level of each side of a two-sided interval: 0.025 of 0.95."""
    return round((1 - confidence) / 2, 12)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns adjusted p-values: those below a level are rejected together at that level.

    The chance of one false rejection among all is at most the level, however they depend on each
    other (Holm, 1979).
    """
    n, adjusted, highest = len(p_values), [1.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (n - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _by_group(values: Floats, groups: Sequence[str]) -> tuple[Floats, Floats]:
    """Returns the sums of each group, `[k, M]`, and their numbers of images, `[k]`."""
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(member).astype(np.float64)
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, member, values)
    return sums, sizes


def _studentized(sums: Floats, sizes: Floats, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Returns the standard errors, `[M]`, and resampled (mean* - mean) / error*, `[resamples, M]`.

    The mean is a ratio, of sums to numbers of images; its error is that of the linearised ratio.
    """
    k, m = sums.shape
    mean = sums.sum(0) / sizes.sum()
    # centred sums: of the squares of residuals about a resample's own mean little is cancelled
    centred = sums - mean * sizes[:, None]
    columns = np.column_stack([centred, centred**2, centred * sizes[:, None], sizes, sizes**2])

    def errors(totals: Floats, off: Floats) -> Floats:
        """Returns the error of each mean that is `off` from the sample's, `[…, M]`."""
        squares, mixed = totals[..., m : 2 * m], totals[..., 2 * m : 3 * m]
        n, n_squares = totals[..., 3 * m, None], totals[..., 3 * m + 1, None]
        rest = squares - 2 * off * mixed + off**2 * n_squares
        # of a resample of one group over and over nothing is left but what floats round to
        rest = np.where(rest <= _ROUNDING * squares, 0, rest)
        return cast(Floats, np.sqrt(rest * k / max(k - 1, 1)) / n)

    ratios = np.empty((resamples, m))
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // k)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = generator.integers(0, k, (rows, k), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * k
        times = np.bincount(drawn.ravel(), minlength=rows * k).reshape(rows, k)
        totals = times @ columns
        off = totals[:, :m] / totals[:, 3 * m, None]
        ratios[start : start + rows] = _divided(off, errors(totals, off))
    error = errors(columns.sum(0), np.zeros(m))
    return np.where(error < _SAME, 0.0, error), ratios


def _level_interval(
    mean: Floats, error: Floats, ratios: Floats, tail: float, groups: int
) -> tuple[Floats, Floats]:
    """Returns the bounds of each mean; `ratios` are sorted, `[resamples, M]`."""
    place = _place(len(ratios), tail)
    if place < 1 or groups < FEWEST:
        return np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    with np.errstate(invalid="ignore"):  # 0 times infinity: a score that never varies
        low, high = mean - ratios[-place] * error, mean - ratios[place - 1] * error
    return np.where(error == 0, mean, low), np.where(error == 0, mean, high)


def _subset_means(sums: Floats, sizes: Floats, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Returns the means of subsets of the groups, sorted; an empty one is below and above all."""
    k = len(sizes)
    columns = np.column_stack([sums, sizes])
    if 2**k - 1 <= resamples:
        chosen = (np.arange(1, 2**k)[:, None] >> np.arange(k)) & 1
        totals = chosen.astype(np.float64) @ columns
    else:
        generator = np.random.default_rng(seed)
        totals = np.empty((resamples, 2))
        block = max(1, _CELLS // k)
        for start in range(0, resamples, block):
            rows = min(block, resamples - start)
            totals[start : start + rows] = (
                generator.integers(0, 2, (rows, k)).astype(np.float64) @ columns
            )
    empty = totals[:, 1] == 0
    means = totals[:, 0] / np.where(empty, 1, totals[:, 1])
    low, high = (np.sort(np.where(empty, end, means)) for end in (-np.inf, np.inf))
    return low, high


def _p_value(against: npt.NDArray[np.bool_]) -> float:
    """Returns the share of resamples that speak against it, the sample itself being one."""
    return (1 + int(np.count_nonzero(against))) / (1 + len(against))


def _place(resamples: int, tail: float) -> int:
    """Returns which of the sorted resamples, from 1, is the bound; 0 if they are too few."""
    return int((resamples + 1) * tail + 1e-9)


def _divided(a: Floats, b: Floats) -> Floats:
    """Returns a / b: of 0 / 0 it is 0, of anything else over 0 infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return cast(Floats, np.where((a == 0) & (b == 0), 0.0, a / b))
