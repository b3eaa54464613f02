"""`recipes.<name>.training` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segtrail.settings.base import Seed, Strict


class Augmentation(Strict):
    """Random changes of image and mask together, in training only."""

    flip: bool = True
    rotate90: bool = True
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.1
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.2


class Training(Strict):
    """A fixed number of steps, so that a run can be repeated."""

    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8
    crop: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = 128
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    loss: Literal["bce", "bce_dice"] = "bce_dice"
    validate_every: Annotated[int, Field(ge=1)] = 200
    oversample: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="0: images as they come; 1: every slice equally often"
    )
    augmentation: Augmentation = Augmentation()
    seed: Seed = 1
    deterministic: bool = True
