"""Sorts images by raster statistics: by a fixed rule into modalities, and within each slice by a
fitted clustering into strata, of which every split gets its share.

The modality is a fixed rule and not a fitted clustering: it names the image's slice, which must
not depend on the other images. On the 609 images of the Data Science Bowl the statistics leave
wide gaps (measured): the level is at most 0.18 for fluorescence and at least 0.40 for stained
tissue, also purple on purple, and 0.88 for grey bright-field; the saturation is 0 for grey
images and at least 0.057 for others.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segtrail.errors import DataError
from segtrail.image_statistics import image_statistics
from segtrail.split_ledger import Row

DARK_GREY, BRIGHT_GREY, BRIGHT_COLOUR, DARK_COLOUR = CLUSTERS = (
    "dark-grey",
    "bright-grey",
    "bright-colour",
    "dark-colour",
)
BRIGHT_FROM = 0.30
COLOUR_FROM = 0.03

STRATA = "clusters.json"
STATISTICS = ("minimum", "maximum", "brightness", "contrast")
FEWEST = 20  # images of a slice that strata are fitted to
MOST_STRATA = 6
SILHOUETTE = 0.4
_SMALLEST = 5  # images in a stratum
_FITTED = 2000  # images at most that strata are fitted to


def modality(pixels: npt.NDArray[np.integer], statistics: Mapping[str, float] | None = None) -> str:
    """Returns what an image looks like: dark or bright ground, grey or colour.

    Level: the median grey value as a part of full scale. Saturation: as in
    `segtrail.image_statistics`.

    Args:
        pixels: uint8 or uint16 `[H, W]`, `[H, W, 3]` or `[H, W, 4]`; alpha is not looked at.
        statistics: Those of the image, if they are known already.
    """
    found = statistics or image_statistics(pixels)
    bright = found["median"] / _full_scale(found) >= BRIGHT_FROM
    if found["saturation"] >= COLOUR_FROM:
        return BRIGHT_COLOUR if bright else DARK_COLOUR
    return BRIGHT_GREY if bright else DARK_GREY


def _full_scale(statistics: Mapping[str, float]) -> float:
    """Returns the largest value: for 16 bit, of the bits in use (10, 12 and 14 are common)."""
    if statistics["bits"] == 8:
        return 255.0
    highest = round(statistics["maximum"] * 257)
    return max(255, (1 << highest.bit_length()) - 1) / 257


@dataclass(frozen=True)
class Strata:
    """The strata of one slice.

    Attributes:
        mean: Of each of `STATISTICS` over the images that it was fitted to.
        scale: Their standard deviation.
        centres: Of each stratum, of the standardised statistics, in ascending order of
            brightness. One centre: the slice is one stratum.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]

    def nearest(self, statistics: Mapping[str, float]) -> int:
        """Returns the number of the nearest centre, from 0."""
        point = (_point(statistics) - np.array(self.mean)) / np.array(self.scale)
        return int(((np.array(self.centres) - point) ** 2).sum(1).argmin())


def assign(
    fitted: Mapping[str, Strata], arrived: Sequence[tuple[Row, Mapping[str, float]]], seed: int
) -> tuple[dict[str, Strata], dict[str, str]]:
    """Gives images that arrived their strata; fits the strata of slices that have none yet.

    A slice's strata are fitted once, to the first delivery that brings enough images of it,
    and never change: later images go to the nearest centre.

    Args:
        fitted: The strata so far, by slice.
        arrived: Rows and the statistics of their images, in any order.
        seed: Of the clustering.

    Returns:
        The strata from now on, by slice; and by image the name of its stratum: its slice's,
        with a number if the slice has several.
    """
    by_slice: dict[str, list[tuple[Row, Mapping[str, float]]]] = defaultdict(list)
    for row, statistics in sorted(arrived, key=lambda item: (item[0].sha256, item[0].image)):
        by_slice[row.slice].append((row, statistics))
    out, names = dict(fitted), {}
    for name, members in sorted(by_slice.items()):
        different = {row.sha256: statistics for row, statistics in members}
        if name not in out and len(different) >= FEWEST:
            out[name] = fit(list(different.values())[:_FITTED], seed)
        for row, statistics in members:
            several = name in out and len(out[name].centres) > 1
            number = f"-{out[name].nearest(statistics) + 1}" if several else ""
            names[row.image] = f"{name}{number}"
    return out, names


def fit(statistics: Sequence[Mapping[str, float]], seed: int) -> Strata:
    """Fits the strata of one slice by k-means, k by the mean silhouette (Rousseeuw, 1987).

    One stratum if the best silhouette is below 0.4, or if a stratum would have fewer than five
    images. All numbers are rounded, so that they are the same on every machine.

    Args:
        statistics: Of each image, in an order that does not depend on names.
        seed: Of the clustering.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    points = np.array([_point(s) for s in statistics])
    mean, scale = points.mean(0).round(4), points.std(0).round(4)
    scale[scale == 0] = 1
    standard = (points - mean) / scale
    best, centres = SILHOUETTE, np.zeros((1, len(STATISTICS)))
    different = len(np.unique(standard.round(9), axis=0))
    most = min(MOST_STRATA, len(points) // _SMALLEST, different - 1)
    with threadpool_limits(1):  # so few points: threads would only wait for each other
        for k in range(2, most + 1):
            model = KMeans(k, n_init=4, random_state=seed).fit(standard)
            if np.bincount(model.labels_, minlength=k).min() < _SMALLEST:
                continue
            score = round(float(silhouette_score(standard, model.labels_)), 4)
            if score > best:
                best, centres = score, model.cluster_centers_.round(3)
    brightness = STATISTICS.index("brightness")
    ordered = sorted(centres.tolist(), key=lambda c: (c[brightness], c))
    return Strata(
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        centres=tuple(tuple(c) for c in ordered),
    )


def _point(statistics: Mapping[str, float]) -> npt.NDArray[np.float64]:
    return np.array([float(statistics[key]) for key in STATISTICS])


def read(path: Path) -> dict[str, Strata]:
    """Reads the strata, by slice; none if there is no such file.

    Raises:
        DataError: Not a file of strata.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["slices"]
        strata = {
            name: Strata(
                mean=tuple(map(float, one["mean"])),
                scale=tuple(map(float, one["scale"])),
                centres=tuple(tuple(map(float, centre)) for centre in one["centres"]),
            )
            for name, one in found.items()
        }
        for one in strata.values():
            if {len(STATISTICS)} != {len(row) for row in (one.mean, one.scale, *one.centres)}:
                raise ValueError(f"expected {len(STATISTICS)} numbers in each row")
            if not one.centres or not np.isfinite([one.mean, one.scale, *one.centres]).all():
                raise ValueError("expected finite numbers")
            if min(one.scale) <= 0:
                raise ValueError("a scale must be above 0")
    except (ValueError, LookupError, TypeError, AttributeError) as e:
        raise DataError(
            f"{path}: not a file of strata: {e}", "restore it: dvc checkout data.dvc"
        ) from None
    return strata


def to_json(strata: Mapping[str, Strata]) -> str:
    """Returns the strata as JSON, by slice."""
    slices = {name: asdict(one) for name, one in strata.items()}
    content = {"statistics": STATISTICS, "slices": slices}
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
