"""Images as drift sees them: statistics, slices, and which images depend on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from segtrail.settings.drift import Drift

Values = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

# A smaller difference is none: the red part of a grey image is 1/3 or, stored as RGB, 0.33333334.
_RESOLUTION = {"saturation": 1e-3, "red": 1e-3, "blue": 1e-3, "sharpness": 1e-3}
_RESOLUTION_OF_OTHERS = 1e-2
_FOREGROUND = "foreground"
_NEED_MASKS = (_FOREGROUND, "objects", "median_object")


@dataclass(frozen=True)
class Sample:
    """Statistics of some images.

    Attributes:
        images: What the images are called.
        slices: Each image's slice; empty where nobody said.
        groups: Each image's group: images of one group (a field, a patient) depend on each
            other, groups do not.
        values: `{statistic: float64 [N]}`, rounded to what makes a difference.
    """

    images: tuple[str, ...]
    slices: tuple[str, ...]
    groups: tuple[str, ...]
    values: Mapping[str, Values]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return len(set(self.groups))

    def take(self, which: npt.NDArray[np.bool_] | Codes) -> Sample:
        """Returns the images at these places, or where `which` is true."""
        places = np.flatnonzero(which) if which.dtype == bool else which
        return Sample(
            tuple(self.images[i] for i in places),
            tuple(self.slices[i] for i in places),
            tuple(self.groups[i] for i in places),
            {name: values[places] for name, values in self.values.items()},
        )

    def of_slice(self, name: str) -> Sample:
        """Returns the images of one slice."""
        return self.take(np.array([s == name for s in self.slices], dtype=bool))


def sample_of(
    rows: Sequence[Mapping[str, Any]],
    statistics: Sequence[str],
    names: Mapping[str, str] = MappingProxyType({}),
) -> Sample:
    """Makes a sample of rows with `image`, `slice`, `group` and statistics.

    Args:
        rows: One an image; an empty group is a group of its own.
        statistics: Those wanted; one that a row lacks, or that is not finite, is left out.
        names: What people call a slice, where they call it otherwise than the row.
    """
    values = {}
    for name in statistics:
        column = np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)
        if np.isfinite(column).all():
            step = resolution(name)
            values[name] = np.round(column / step) * step
    return Sample(
        tuple(str(row["image"]) for row in rows),
        tuple(names.get(str(row["slice"]), str(row["slice"])) for row in rows),
        tuple(str(row["group"] or row["image"]) for row in rows),
        values,
    )


def resolution(statistic: str) -> float:
    """Returns the smallest difference of a statistic that means anything."""
    if _FOREGROUND in statistic:
        return _RESOLUTION["red"]
    return _RESOLUTION.get(statistic, _RESOLUTION_OF_OTHERS)


def statistics_of(options: Drift, classes: Sequence[str], masks: bool) -> list[str]:
    """Returns the names of the statistics to compare.

    Args:
        options: The recipe's.
        classes: The dataset's; if there are several, the foreground of each is looked at too.
        masks: Whether there are masks.
    """
    wanted: list[str] = list(dict.fromkeys(options.statistics))
    if not masks:
        return [name for name in wanted if name not in _NEED_MASKS]
    if _FOREGROUND in wanted and len(classes) > 1:
        wanted += [f"{_FOREGROUND}_{name}" for name in classes]
    return wanted
