"""`recipes.<name>.drift` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from segtrail.settings.base import Fraction, Seed, Strict

DriftStatistic = Literal[
    "brightness", "contrast", "median", "skewness", "saturation", "red", "blue", "sharpness",
    "height", "width", "foreground", "objects", "median_object",
]  # fmt: skip


class Drift(Strict):
    """When images count as drifted from those that the champion learnt from; see docs/drift.md.

    No stage reads it, so that it may have defaults and `dvc.yaml` need not name it.
    """

    statistics: list[DriftStatistic] = Field(
        default=list(get_args(DriftStatistic)),
        min_length=1,
        description="what is compared; the last three need masks",
    )
    false_alarms: Annotated[float, Field(ge=0.005, le=0.5)] = Field(
        default=0.02,
        description="the chance that any statistic of any slice alarms where nothing drifted",
    )
    moderate: Fraction = Field(
        default=0.2,
        description="Jensen-Shannon distance, less what chance gives, from which drift is moderate",
    )
    severe: Fraction = Field(default=0.4, description="and from which it is severe")
    bins: Annotated[int, Field(ge=3, le=50)] = Field(
        default=10, description="of a histogram, each with the same share of the baseline"
    )
    min_images: Annotated[int, Field(ge=5)] = Field(
        default=20, description="on either side; a slice with fewer is insufficient evidence"
    )
    seed: Seed = Field(default=1, description="of the draws that tell chance from drift")

    @model_validator(mode="after")
    def _in_order(self) -> Drift:
        if self.moderate > self.severe:
            raise ValueError(f"moderate ({self.moderate}) must not be above severe ({self.severe})")
        return self
