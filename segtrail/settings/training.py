"""`recipes.<name>.training` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segtrail.settings.base import Seed, Strict
from segtrail.settings.hardware import Hardware
from segtrail.settings.loss import LossName, LossOptions, check_options
from segtrail.settings.schedule import EarlyStopping, Schedule

# what `monitor` watches, and whether the highest or the lowest is best
MONITORS = {"iou": ("val_iou", "max"), "loss": ("val_loss", "min")}


class Augmentation(Strict):
    """Random changes of image and mask together, in training only.

    Rotation, shear, zoom and elastic deformation interpolate, so they come to a share of the
    crops alone (`chance`); `segtrail augment` draws a page of samples.
    """

    flip: bool = Field(default=True, description="left and right, top and bottom")
    rotate90: bool = Field(default=True, description="by quarter turns")
    chance: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.8, description="of a crop to be rotated, sheared, zoomed and deformed"
    )
    rotate: Annotated[float, Field(ge=0, le=180)] = Field(default=0.0, description="± degrees")
    shift: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.0, description="± parts of the crop, beyond where the tile ends"
    )
    shear: Annotated[float, Field(ge=0, le=45)] = Field(default=0.0, description="± degrees")
    zoom: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="up to 1 + zoom times larger or smaller"
    )
    elastic: Annotated[float, Field(ge=0, le=32)] = Field(
        default=0.0, description="standard deviation of the displacements, pixels"
    )
    elastic_spacing: Annotated[int, Field(ge=8, le=256)] = Field(
        default=32, description="pixels between the nodes of the displacements"
    )
    gamma: Annotated[float, Field(ge=0, le=3)] = Field(
        default=0.0,
        description="exponent of the grey levels, between 1 / (1 + gamma) and 1 + gamma",
    )
    stain: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="± parts of each dye's amount; rgb images of stained slides only"
    )
    brightness: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="± normalised units"
    )
    contrast: Annotated[float, Field(ge=0, le=1)] = Field(default=0.2, description="± parts")

    @model_validator(mode="after")
    def _does_not_fold(self) -> Augmentation:
        if self.elastic > self.elastic_spacing / 4:
            raise ValueError(
                f"elastic ({self.elastic}) must not be above a quarter of elastic_spacing "
                f"({self.elastic_spacing}): the image would fold over itself"
            )
        return self


class Training(Strict):
    """At most so many steps, so that a run can be repeated, with a validation every so many."""

    steps: Annotated[int, Field(ge=1)] = Field(description="batches that are learnt from, at most")
    batch_size: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=8, description="crops a step, on all devices together"
    )
    crop: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = Field(
        default=128,
        description="side of the squares that are cut out of the tiles, pixels; a multiple of the "
        "network's down-scaling, and not above preprocessing.tile",
    )
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=1e-3, description="where the schedule is highest"
    )
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=1e-4, description="of AdamW; 0 is Adam"
    )
    schedule: Schedule = Schedule()
    loss: LossName = Field(
        default="bce_dice",
        description="cross_entropy, cross_entropy_dice and categorical_focal need masks: classes",
    )
    loss_options: LossOptions = LossOptions()
    validate_every: Annotated[int, Field(ge=1)] = Field(
        default=200, description="steps: an epoch; what a killed training loses at most"
    )
    monitor: Literal["iou", "loss"] = Field(
        default="iou", description="what tells a better validation, of the validation tiles"
    )
    keep: Literal["last", "best"] = Field(
        default="last", description="the weights that are exported: a cosine ends at its best"
    )
    early_stopping: EarlyStopping | None = None
    oversample: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="0: images as they come; 1: every slice equally often"
    )
    oversample_classes: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="part of the crops that lie around a pixel of some class, or of the border "
        "between objects, each that a tile has equally often",
    )
    augmentation: Augmentation = Augmentation()
    hardware: Hardware = Hardware()
    seed: Seed = Field(default=1, description="of everything random in training")
    deterministic: bool = Field(
        default=True, description="the same inputs give the same weights, hash for hash"
    )

    def steps_after(self, epochs: int) -> int:
        """Returns how many steps are done at the end of so many epochs."""
        return min(epochs * self.validate_every, self.steps)

    @model_validator(mode="after")
    def _options_are_read(self) -> Training:
        check_options(self.loss, self.loss_options)
        return self
