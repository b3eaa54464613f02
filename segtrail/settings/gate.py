"""`recipes.<name>.gate` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from segtrail.settings.base import ALL, Fraction, Seed, Strict
from segtrail.settings.metrics import Metric


def _at_most_one(name: str) -> str:
    if name == "count_error":
        raise ValueError("a margin of count_error is not known; use ap_50")
    return name


class AbsoluteRule(Strict):
    """`metric >= min` (or `<= max`) on one slice of the test split."""

    metric: Metric = Field(description="its mean over the images is judged")
    slice: str = Field(default=ALL, description="a value of the dataset's slices; all: every image")
    min: float | None = Field(
        default=None, description="give one of min and max: 0 to 1, of count_error 0 or more"
    )
    max: float | None = Field(
        default=None, description="give one of min and max: 0 to 1, of count_error 0 or more"
    )
    min_images: Annotated[int, Field(ge=1)] = Field(
        default=5, description="fewer images are insufficient evidence"
    )

    @model_validator(mode="after")
    def _one_bound(self) -> AbsoluteRule:
        if (self.min is None) == (self.max is None):
            raise ValueError("give one of min and max")
        bound = self.max if self.min is None else self.min
        if bound is not None and (bound < 0 or (bound > 1 and self.metric != "count_error")):
            allowed = "0 or more" if self.metric == "count_error" else "between 0 and 1"
            raise ValueError(f"{self.metric} is {allowed}; a bound of {bound} is out of reach")
        return self


class RelativeRule(Strict):
    """The candidate's mean is not below the champion's by more than `margin`."""

    metric: Annotated[Metric, AfterValidator(_at_most_one)] = Field(
        default="mean_iou", description="any but count_error"
    )
    slice: str = Field(default=ALL, description="a value of the dataset's slices; all: every image")
    margin: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="what the mean may fall by"
    )
    confidence: Fraction = Field(
        default=0.95, description="of the interval of the change, which must lie above -margin"
    )
    min_images: Annotated[int, Field(ge=2)] = Field(
        default=5, description="fewer images that both models scored are insufficient evidence"
    )


class Gate(Strict):
    """Rules that a candidate must all pass."""

    absolute: list[AbsoluteRule] = Field(min_length=1)
    relative: list[RelativeRule] = Field(default=[])
    resamples: Annotated[int, Field(ge=1000, le=1_000_000)] = Field(
        default=10_000, description="of the bootstrap that gives the intervals"
    )
    seed: Seed = Field(default=1, description="of the bootstrap")
