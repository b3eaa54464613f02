"""`recipes.<name>.training.loss` and `.loss_options` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segtrail.settings.base import Fraction, Strict

LossName = Literal[
    "bce", "bce_dice", "cross_entropy", "cross_entropy_dice", "focal", "categorical_focal",
    "tversky", "focal_tversky",
]  # fmt: skip
Head = Literal["sigmoid", "softmax"]

SOFTMAX = ("cross_entropy", "cross_entropy_dice", "categorical_focal")
READ_BY: dict[str, tuple[LossName, ...]] = {
    "border_weight": ("bce", "bce_dice", "focal"),
    "dice_weight": ("bce_dice", "cross_entropy_dice"),
    "focal_gamma": ("focal", "categorical_focal"),
    "tversky_alpha": ("tversky", "focal_tversky"),
    "focal_tversky_power": ("focal_tversky",),
}


class LossOptions(Strict):
    """What the losses can be told; see `model.losses` for the formulas."""

    border_weight: Annotated[float, Field(ge=1, le=100)] = Field(
        default=5.0,
        description="of a border pixel, of which there are few: about 1 % of a tile; "
        "masks: instances",
    )
    dice_weight: Annotated[float, Field(gt=0, le=100)] = Field(
        default=1.0, description="of the Dice part against the cross-entropy part"
    )
    focal_gamma: Annotated[float, Field(ge=0, le=5)] = Field(
        default=2.0, description="the higher, the less an easy pixel weighs; 0: cross-entropy"
    )
    tversky_alpha: Fraction = Field(
        default=0.3,
        description="what a false positive costs; a false negative costs the rest to 1",
    )
    focal_tversky_power: Annotated[float, Field(gt=0, le=3)] = Field(
        default=0.75, description="of 1 - Tversky index; below 1: small errors weigh more"
    )


def head_of(loss: LossName) -> Head:
    """Returns what turns the logits of a network trained with `loss` into probabilities."""
    return "softmax" if loss in SOFTMAX else "sigmoid"


def check_options(loss: LossName, options: LossOptions) -> None:
    """Refuses an option that is set and that the loss does not read.

    Raises:
        ValueError: Says which losses read it.
    """
    for name, readers in READ_BY.items():
        default = LossOptions.model_fields[name].default
        if loss not in readers and getattr(options, name) != default:
            raise ValueError(
                f"training.loss_options.{name} is read by {' and '.join(readers)}, "
                f"not by training.loss: {loss}"
            )
