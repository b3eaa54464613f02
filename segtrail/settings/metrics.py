"""What the metrics of an evaluation are called, and which a recipe has; see `model.evaluation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from segtrail.settings.dataset import MaskKind

OF_A_CLASS = ("iou_", "dice_")
OF_ALL = ("mean_iou", "mean_dice", "pixel_accuracy")
FOREGROUND = "foreground"  # all classes together; not a class's name where there are several
OF_SOME: dict[str, str] = {  # and what each of them needs
    "ap_50": "instances",
    "count_error": "instances, or masks: classes of which one is learnt",
    "rand_f": "masks: classes of which one is learnt",
    f"dice_{FOREGROUND}": "more than one class",
}
ERRORS = ("count_error",)  # less is better, and there is no most; all others are from 0 to 1


def metrics_of(masks: MaskKind, classes: Sequence[str]) -> list[str]:
    """Returns the metrics that an evaluation gives of a recipe, those of each class last.

    Args:
        masks: What its dataset's masks hold.
        classes: Those that the recipe learns.
    """
    one = masks == "classes" and len(classes) == 1
    have = {
        "ap_50": masks == "instances",
        "count_error": masks == "instances" or one,
        "rand_f": one,
        f"dice_{FOREGROUND}": len(classes) > 1,
    }
    return [
        *OF_ALL,
        *(name for name, has in have.items() if has),
        *(f"{kind}{name}" for name in classes for kind in OF_A_CLASS),
    ]


def highest(metric: str) -> float:
    """Returns the most that a metric can be; the least is 0."""
    return float("inf") if metric in ERRORS else 1.0


def less_is_better(metric: str) -> bool:
    """Returns whether a metric is of what is wrong."""
    return metric in ERRORS


def _known_metric(name: str) -> str:
    if name in (*OF_ALL, *OF_SOME) or name.startswith(OF_A_CLASS):
        return name
    raise ValueError(
        f"got {name!r}; expected {', '.join(OF_ALL)}, iou_<class>, dice_<class>, "
        f"{', '.join(list(OF_SOME)[:-1])} or {list(OF_SOME)[-1]}"
    )


Metric = Annotated[str, AfterValidator(_known_metric)]
