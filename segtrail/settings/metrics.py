"""What the metrics of an evaluation are called."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

OF_OBJECTS, OF_A_CLASS = ("ap_50", "count_error"), ("iou_", "dice_")


def _known_metric(name: str) -> str:
    if name in ("mean_iou", "mean_dice", *OF_OBJECTS) or name.startswith(OF_A_CLASS):
        return name
    raise ValueError(
        f"got {name!r}; expected mean_iou, mean_dice, iou_<class>, dice_<class>, ap_50 or "
        "count_error"
    )


Metric = Annotated[str, AfterValidator(_known_metric)]
