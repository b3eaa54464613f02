"""How the distribution of a statistic shifted between two states, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.comparing.statistics import Measured, Statistics, column
from segtrail.settings.base import ALL
from segtrail.settings.dataset import Dataset

STATISTICS = ("brightness", "contrast", "height", "width", "foreground", "objects", "median_object")


@dataclass(frozen=True)
class Shift:
    """One statistic of the images of one slice, before and after.

    Attributes:
        slice: Its name; `all` is every image.
        statistic: See `segtrail.image_statistics`.
        n_before: Images before.
        n_after: Images after.
        mean_before: None if there were none.
        mean_after: None if there are none.
        deviations: The difference of the means in standard deviations of before (Glass's
            delta); None if there are fewer than two images before, or they are all alike
            and the mean differs.
        ks: Kolmogorov-Smirnov statistic, the largest distance of the two cumulative
            distributions, 0 to 1; None if either is empty.
    """

    slice: str
    statistic: str
    n_before: int
    n_after: int
    mean_before: float | None
    mean_after: float | None
    deviations: float | None
    ks: float | None


def shifts(
    measured: Measured,
    slices_before: Mapping[str, str],
    slices_after: Mapping[str, str],
    settings: Dataset,
) -> list[Shift]:
    """Returns the shift of each statistic, of all images and then of each slice.

    Args:
        measured: The statistics.
        slices_before: `{image: its slice}` before.
        slices_after: `{image: its slice}` after.
        settings: With several classes, the foreground share of each is looked at too.
    """
    statistics = list(STATISTICS)
    if len(settings.classes) > 1:
        at = statistics.index("foreground") + 1
        statistics[at:at] = [f"foreground_{name}" for name in settings.classes]
    names = sorted({*slices_before.values(), *slices_after.values()} - {"", ALL})
    out = []
    for name in (ALL, *names):
        old = _in_slice(measured.before, slices_before, name)
        new = _in_slice(measured.after, slices_after, name)
        if old or new:
            out += [_shift(name, s, column(old, s), column(new, s)) for s in statistics]
    return out


def _in_slice(
    statistics: Mapping[str, Statistics], slices: Mapping[str, str], name: str
) -> dict[str, Statistics]:
    return {
        image: row
        for image, row in statistics.items()
        if name == ALL or slices.get(image, "") == name
    }


def _shift(
    name: str, statistic: str, old: npt.NDArray[np.float64], new: npt.NDArray[np.float64]
) -> Shift:
    before, after = (float(v.mean()) if len(v) else None for v in (old, new))
    return Shift(
        name, statistic, len(old), len(new), before, after,
        _deviations(old, new), _kolmogorov_smirnov(old, new),
    )  # fmt: skip


def _deviations(old: npt.NDArray[np.float64], new: npt.NDArray[np.float64]) -> float | None:
    if len(old) < 2 or not len(new):
        return None
    difference = float(new.mean() - old.mean())
    spread = float(old.std(ddof=1))
    if spread > 1e-9 * max(1.0, abs(float(old.mean()))):
        return difference / spread
    return 0.0 if np.isclose(difference, 0) else None


def _kolmogorov_smirnov(old: npt.NDArray[np.float64], new: npt.NDArray[np.float64]) -> float | None:
    if not len(old) or not len(new):
        return None
    from scipy.stats import ks_2samp

    with np.errstate(divide="ignore", invalid="ignore"):  # in the p-value, of single images
        return float(ks_2samp(old, new, method="asymp").statistic)
