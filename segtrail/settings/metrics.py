"""The metrics of an evaluation: what they are called, which a recipe has, what is good.

`model.scores` computes them, an image at a time; a metric is the mean over images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator

from segtrail.settings.dataset import MaskKind
from segtrail.words import near

FOREGROUND = "foreground"  # all classes together; not a class's name where there are several
CUP, DISC = "cup", "disc"  # classes of these names have a ratio of heights
TOLERANCE = 2.0  # pixels that a boundary may be off, of the surface Dice


class Needs(NamedTuple):
    """What a recipe must be to have a metric."""

    says: str
    met: Callable[[MaskKind, Sequence[str]], bool]


def _one(masks: MaskKind, classes: Sequence[str]) -> bool:
    return masks == "classes" and len(classes) == 1


ANYTHING = Needs("", lambda masks, classes: True)
INSTANCES = Needs("instances", lambda masks, classes: masks == "instances")
ONE = Needs("masks: classes of which one is learnt", _one)
COUNTED = Needs(
    "instances, or masks: classes of which one is learnt",
    lambda masks, classes: masks == "instances" or _one(masks, classes),
)
SEVERAL = Needs("more than one class", lambda masks, classes: len(classes) > 1)
CUP_AND_DISC = Needs(
    f"classes called {CUP} and {DISC}", lambda masks, classes: {CUP, DISC} <= set(classes)
)


class Kind(NamedTuple):
    """What a metric is.

    Attributes:
        says: What it measures.
        needs: What a recipe must be.
        better: Which direction; `neither` of what should be near 0.
        highest: The most it can be; the least is 0, or its negative of what should be near 0.
    """

    says: str
    needs: Needs = ANYTHING
    better: Literal["more", "less", "neither"] = "more"
    highest: float = 1.0


_IOU = "intersection over union"
_HAUSDORFF = "95th percentile of the distances between predicted and true boundary, pixels"
_SURFACE = f"part of both boundaries that lies within {TOLERANCE:g} pixels of the other"
OF_A_CLASS = {
    "iou_": Kind(f"{_IOU} of the class"),
    "dice_": Kind("2|A and B| / (|A| + |B|) of the class"),
    "precision_": Kind("part of what is predicted that is right"),
    "recall_": Kind("part of what is there that is predicted"),
    "hausdorff_95_": Kind(_HAUSDORFF, better="less", highest=math.inf),
    "surface_dice_": Kind(_SURFACE),
}
KINDS = {
    "mean_iou": Kind(f"{_IOU}, mean over the classes"),
    "mean_dice": Kind("Dice, mean over the classes"),
    "mean_precision": Kind("precision, mean over the classes"),
    "mean_recall": Kind("recall, mean over the classes"),
    "pixel_accuracy": Kind("part of the pixels that are right in every class"),
    "cross_entropy": Kind(
        "cross-entropy of the served probabilities, nats a pixel and class",
        better="less", highest=math.inf,
    ),
    "mean_hausdorff_95": Kind(_HAUSDORFF, better="less", highest=math.inf),
    "mean_surface_dice": Kind(_SURFACE),
    f"dice_{FOREGROUND}": Kind("Dice of all classes together", SEVERAL),
    **{
        f"ap_{iou}": Kind(f"objects: TP / (TP + FP + FN) at IoU above 0.{iou}", INSTANCES)
        for iou in range(50, 100, 5)
    },
    "ap": Kind("mean of ap_50 to ap_95 (not COCO's)", INSTANCES),
    "f1": Kind("objects: F1 at IoU above 0.5; the RQ of panoptic quality", INSTANCES),
    "sq": Kind("mean IoU of the objects that were found", INSTANCES),
    "pq": Kind("panoptic quality: f1 times sq", INSTANCES),
    "merged": Kind("part of the true objects that share a predicted one", INSTANCES, "less"),
    "split": Kind("part of the true objects that hold several predicted ones", INSTANCES, "less"),
    "count_error": Kind("|predicted - true| number of objects", COUNTED, "less", math.inf),
    "count_error_canny": Kind(
        "the same by Canny and contours, see docs/counters.md", COUNTED, "less", math.inf
    ),
    "count_bias": Kind("predicted - true number of objects", COUNTED, "neither", math.inf),
    "rand_f": Kind("Rand F-score of the true foreground: 1 - adapted Rand error", ONE),
    "vi_split": Kind("variation of information: what was split, bits", ONE, "less", math.inf),
    "vi_merged": Kind("variation of information: what was merged, bits", ONE, "less", math.inf),
    "cup_to_disc_error": Kind(
        "|predicted - true| ratio of the heights of cup and disc", CUP_AND_DISC, "less", math.inf
    ),
}  # fmt: skip


def metrics_of(masks: MaskKind, classes: Sequence[str]) -> list[str]:
    """Returns the metrics that an evaluation gives of a recipe, those of each class last.

    Args:
        masks: What its dataset's masks hold.
        classes: Those that the recipe learns.
    """
    return [
        *(name for name, kind in KINDS.items() if kind.needs.met(masks, classes)),
        *(f"{prefix}{name}" for name in classes for prefix in OF_A_CLASS),
    ]


def kind_of(metric: str) -> Kind:
    """Returns what a metric is.

    Raises:
        KeyError: There is no such metric.
    """
    if metric in KINDS:
        return KINDS[metric]
    prefix = next((prefix for prefix in OF_A_CLASS if metric.startswith(prefix)), metric)
    return OF_A_CLASS[prefix]


def _known_metric(name: str) -> str:
    try:
        kind_of(name)
    except KeyError:
        of_a_class = ", ".join(f"{prefix}<class>" for prefix in OF_A_CLASS)
        raise ValueError(
            f"got {name!r}; expected {', '.join(KINDS)}, {of_a_class}.{near(name, KINDS)}"
        ) from None
    return name


Metric = Annotated[str, AfterValidator(_known_metric)]
