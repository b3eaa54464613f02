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


def _known_metric(name: str) -> str:
    if name in (*OF_ALL, *OF_SOME) or name.startswith(OF_A_CLASS):
        return name
    raise ValueError(
        f"got {name!r}; expected {', '.join(OF_ALL)}, iou_<class>, dice_<class>, "
        f"{', '.join(list(OF_SOME)[:-1])} or {list(OF_SOME)[-1]}"
    )


Metric = Annotated[str, AfterValidator(_known_metric)]
