"""All scores of one image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from model.canny_counter import count_contours
from model.components import components, predicted_objects
from model.scores.boundaries import score_boundaries
from model.scores.heights import cup_to_disc
from model.scores.levels import Counts, cross_entropy
from model.scores.objects import Labels, Overlaps, score_objects
from model.scores.partitions import rand_f, variation_of_information
from model.scores.pixels import score_pixels
from segtrail.settings.metrics import CUP, CUP_AND_DISC, DISC, ONE, TOLERANCE
from segtrail.settings.objects import Objects
from segtrail.task import Task

Planes = npt.NDArray[np.bool_]


def score_image(
    true: npt.NDArray[np.uint16],
    mask: npt.NDArray[np.uint8],
    levels: Counts,
    labels: Labels | None,
    found: Labels | None,
    task: Task,
    objects: Objects,
) -> dict[str, Any]:
    """Returns the scores of one answer, by the names of their columns.

    `score_pixels`, `cross_entropy` and of each class `score_boundaries` always; with instances
    `score_objects`; where there is one kind of thing to count, which are instances or the
    connected components of the one class of masks: classes, also `count_true`, `count_predicted`
    and `count_canny`, by the two counters (`model.objects`, `model.canny_counter`); of such
    components `rand_f`, `vi_split` and `vi_merged`, too; of cup and disc `cup_to_disc_error`.

    Args:
        true: uint16 `[H, W]`, the mask as the dataset stores it.
        mask: uint8 `[H, W]`, as answered.
        levels: What was answered with which probability: see `model.scores.levels`.
        labels: uint16 `[H, W]`, as answered; None without objects.
        found: uint16 `[H, W]`, of `model.watershed`; None where the recipe asks for none.
        task: What the masks' values mean.
        objects: Which components are too small to count, and the second counter's options.
    """
    there, said = task.true_planes(true), task.answered_planes(mask)
    scores: dict[str, Any] = score_pixels(there, said, task.classes)
    scores["cross_entropy"] = cross_entropy(levels)
    scores |= _boundaries(there, said, task)
    if labels is not None:
        pairs = Overlaps.of(true, labels)
        scores |= score_objects(pairs)
        scores["count_true"], scores["count_predicted"] = pairs.true_count, pairs.predicted_count
        scores["count_canny"] = count_contours(mask > 0, objects.canny)
    elif ONE.met(task.masks, task.classes):
        scores |= _of_components(there[..., 0], said[..., 0], found, objects)
    if CUP_AND_DISC.met(task.masks, task.classes):
        cup, disc = task.classes.index(CUP), task.classes.index(DISC)
        truth, ours = (cup_to_disc(p[..., cup], p[..., disc]) for p in (there, said))
        scores |= {
            "cup_to_disc_true": truth,
            "cup_to_disc_predicted": ours,
            "cup_to_disc_error": abs(ours - truth),
        }
    return scores


def _boundaries(there: Planes, said: Planes, task: Task) -> dict[str, float]:
    each = [
        score_boundaries(there[..., k], said[..., k], TOLERANCE) for k in range(len(task.classes))
    ]
    scores = {}
    for name, values in zip(("hausdorff_95", "surface_dice"), zip(*each, strict=True), strict=True):
        scores[name] = float(np.mean(values))
        scores |= {f"{name}_{of}": v for of, v in zip(task.classes, values, strict=True)}
    return scores


def _of_components(
    truth: npt.NDArray[np.bool_],
    said: npt.NDArray[np.bool_],
    found: Labels | None,
    objects: Objects,
) -> dict[str, Any]:
    """Scores the objects of the one class. What is too small is not counted, on both sides.

    Partitions are of whole basins, between which there are lines: the ISBI 2012 challenge thins
    membranes to such.
    """
    true_parts = components(truth)
    parts = components(said) if found is None else found
    split, merged = variation_of_information(true_parts, parts)
    return {
        "count_true": int(components(truth, objects.min_size).max(initial=0)),
        "count_predicted": int(predicted_objects(said, found, objects.min_size).max(initial=0)),
        "count_canny": count_contours(said, objects.canny),
        "rand_f": rand_f(true_parts, parts),
        "vi_split": split,
        "vi_merged": merged,
    }
