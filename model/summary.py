"""From the scores of images to the metrics of slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from model.scores.coco import Ranking
from model.uncertainty import FEWEST, level_intervals
from segtrail.settings.base import ALL
from segtrail.settings.metrics import KINDS, OF_A_CLASS, kind_of

CONFIDENCE, RESAMPLES, SEED = 0.95, 10_000, 1
COCO_RESAMPLES = 500  # each ranks all objects
COUNTS = {"count_error": "count_predicted", "count_error_canny": "count_canny"}
BIAS = "count_bias"


def metrics_in(per_image: Any) -> list[str]:
    """Returns the metrics that the rows of `per_image` have the scores of."""
    return [
        *(name for name in KINDS if set(_columns(name)) <= set(per_image)),
        *(c for c in per_image if c.startswith(tuple(OF_A_CLASS)) and c not in KINDS),
    ]


def values(per_image: Any, metric: str) -> npt.NDArray[np.float64]:
    """Returns the per-image values whose mean a metric is."""
    scores = [np.asarray(per_image[column], np.float64) for column in _columns(metric)]
    if metric == BIAS:
        return np.asarray(scores[0] - scores[1])
    return np.asarray(np.abs(scores[0] - scores[1]) if metric in COUNTS else scores[0])


def summarise(per_image: Any) -> dict[str, dict[str, float]]:
    """Returns the number of images and the metrics of each slice, and of `all`.

    Args:
        per_image: A data frame with a row an image, see `model.evaluation.score`.
    """
    return {
        name: {"n": len(part)} | {m: float(values(part, m).mean()) for m in metrics_in(part)}
        for name, part in slices(per_image).items()
    }


def intervals(per_image: Any) -> dict[str, dict[str, list[float] | None]]:
    """Returns the 95 % interval of each metric of each slice; None where there is too little.

    Args:
        per_image: See `summarise`.
    """
    names = metrics_in(per_image)
    found: dict[str, dict[str, list[float] | None]] = {}
    for name, part in slices(per_image).items():
        scores = np.stack([values(part, metric) for metric in names], -1)
        ends = level_intervals(scores, list(part["group"]), CONFIDENCE, RESAMPLES, SEED)
        found[name] = {
            metric: within(metric, *pair) for metric, pair in zip(names, ends, strict=True)
        }
    return found


def coco(per_image: Any, objects: Any) -> tuple[dict[str, float], dict[str, list[float] | None]]:
    """Returns the average precisions in the sense of COCO, and their 95 % intervals.

    These are of all objects of a slice together, no means over images: the intervals are of the
    percentile bootstrap over groups (of fewer than six there is none).

    Args:
        per_image: The images of a slice, with `group` and `count_true`.
        objects: A row a predicted object of these or other images: `image`, `confidence`, `iou`
            with the true object that it overlaps best, and `true_label`, which that is.
    """
    codes, groups = np.unique(per_image["group"], return_inverse=True)
    place = dict(zip(per_image["image"], groups, strict=True))
    mine = objects[objects["image"].isin(place)]
    of = np.asarray([place[image] for image in mine["image"]], np.int64)
    confidence, iou = (np.asarray(mine[c], np.float64) for c in ("confidence", "iou"))
    wanted = np.bincount(groups, weights=per_image["count_true"], minlength=len(codes))

    ranking = Ranking(confidence, iou, mine.groupby(["image", "true_label"]).ngroup().to_numpy())

    def at(times: npt.NDArray[np.float64]) -> dict[str, float]:
        return ranking.average_precision(times[of], float(wanted @ times))

    found = at(np.ones(len(codes)))
    if len(codes) < FEWEST:
        return found, dict.fromkeys(found)
    generator = np.random.default_rng(SEED)
    drawn = generator.integers(0, len(codes), (COCO_RESAMPLES, len(codes)))
    each = [at(np.bincount(row, minlength=len(codes)).astype(float)) for row in drawn]
    table = np.asarray([[row[name] for name in found] for row in each])
    low, high = np.quantile(table, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return found, {name: [float(low[k]), float(high[k])] for k, name in enumerate(found)}


def within(metric: str, low: float, high: float) -> list[float] | None:
    """Returns an interval cut off where the metric ends; None if an end is infinite."""
    if not np.isfinite([low, high]).all():
        return None
    kind = kind_of(metric)
    least = -kind.highest if kind.better == "neither" else 0.0
    return [max(float(low), least), min(float(high), kind.highest)]


def slices(per_image: Any) -> dict[str, Any]:
    """Returns the rows of each slice, and all of them."""
    return {ALL: per_image} | dict(iter(per_image.groupby("slice")))


def _columns(metric: str) -> list[str]:
    if metric in COUNTS:
        return [COUNTS[metric], "count_true"]
    if metric == BIAS:
        return ["count_predicted", "count_true"]
    return [metric.removeprefix("mean_")]
