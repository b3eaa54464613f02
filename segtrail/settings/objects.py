"""`recipes.<name>.objects` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from segtrail.settings.base import Fraction, Strict

Level = Annotated[int, Field(ge=0, le=255)]


class CannyContours(Strict):
    """The second counter, for comparison: see `model.canny_counter`."""

    blur: Annotated[int, Field(ge=1, le=31)] = Field(
        default=5, description="side of the Gaussian, pixels, odd; 1: none"
    )
    low: Level = Field(default=30, description="gradient from which an edge goes on")
    high: Level = Field(default=150, description="gradient at which an edge begins")
    contours: Literal["outer", "all"] = Field(
        default="outer", description="outer: contours inside others do not count"
    )

    @field_validator("blur")
    @classmethod
    def _has_a_middle(cls, blur: int) -> int:
        if blur % 2 == 0:
            raise ValueError(f"got {blur}; expected an odd number, so that there is a middle")
        return blur

    @model_validator(mode="after")
    def _in_order(self) -> CannyContours:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not be above high ({self.high})")
        return self


class Watershed(Strict):
    """Objects that touch, told apart where no border is learnt: see `model.watershed`."""

    smooth: Annotated[float, Field(ge=0, le=32)] = Field(
        default=3.0, description="standard deviation of the Gaussian over the probability, pixels"
    )
    depth: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="how far the probability must dip between two objects"
    )


class Objects(Strict):
    """The one definition of an object: see `model.objects`."""

    threshold: Fraction = Field(default=0.5, description="probability above which a class is")
    border_threshold: Fraction = Field(
        default=0.5, description="probability above which objects are held apart; masks: instances"
    )
    grow: Annotated[int, Field(ge=0, le=32)] = Field(
        default=2,
        description="dilations back into the foreground, 4 neighbours; masks: instances",
    )
    min_size: Annotated[int, Field(ge=0)] = Field(
        default=16, description="pixels; smaller objects are dropped"
    )
    largest: tuple[str, ...] = Field(
        default=(),
        strict=False,  # YAML's lists
        description="classes of which an image has one: all but the largest component is dropped; "
        "masks: classes or multilabel",
    )
    watershed: Watershed | None = Field(
        default=None, description="of one class of masks: classes, instead of its components"
    )
    canny: CannyContours = CannyContours()
