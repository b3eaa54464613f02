"""`recipes.<name>.validation` of `params.yaml`."""

from __future__ import annotations

import difflib
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from segtrail import expectations
from segtrail.expectations import Severity
from segtrail.settings.base import Fraction, Strict


class Validation(Strict):
    """What the examples must hold before anything is learnt from them."""

    min_images: Annotated[int, Field(ge=3)] = Field(
        default=20, description="in all splits together"
    )
    min_side: Annotated[int, Field(ge=1)] = Field(
        default=32, description="of height and width, pixels"
    )
    max_side: Annotated[int, Field(ge=32)] = Field(
        default=4096, description="of height and width, pixels"
    )
    min_contrast: Annotated[float, Field(ge=0, le=128)] = Field(
        default=0.5,
        description="standard deviation of the grey levels, 0 to 255; of 16 bits those in use",
    )
    max_foreground: Fraction = Field(default=0.95, description="part of an image")
    max_objects: Annotated[int, Field(ge=1)] = Field(default=2000, description="in an image")
    min_object: Annotated[int, Field(ge=1)] = Field(default=4, description="pixels")
    max_object: Fraction = Field(default=0.9, description="part of the image")
    max_border_objects: Fraction = Field(
        default=0.75, description="part of an image's objects that touch its edge, from 4 objects"
    )
    share_tolerance: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.05, description="a split's share of the images against `datasets.<name>.splits`"
    )
    min_of_slice: Annotated[int, Field(ge=0)] = Field(
        default=1, description="images of each slice in each split"
    )
    min_of_class: Annotated[int, Field(ge=0)] = Field(
        default=1, description="images with each class in each split"
    )
    baseline_tolerance: Annotated[float, Field(ge=0, le=10)] = Field(
        default=0.25, description="outside the baseline's range, in parts of the range"
    )
    min_baseline_images: Annotated[int, Field(ge=2)] = Field(
        default=10, description="a slice whose baseline rests on fewer is not compared"
    )
    severity: dict[str, Severity] = Field(
        default={}, description="error, warning or off, by expectation; the rest by default"
    )

    @field_validator("severity", mode="before")
    @classmethod
    def _off_is_a_word(cls, severity: Any) -> Any:
        """YAML 1.1 reads a bare `off` as false."""
        if not isinstance(severity, dict):
            return severity
        return {name: "off" if value is False else value for name, value in severity.items()}

    @field_validator("severity")
    @classmethod
    def _expectations_exist(cls, severity: dict[str, Severity]) -> dict[str, Severity]:
        for name in severity:
            if name not in expectations.DEFAULTS:
                close = difflib.get_close_matches(name, expectations.DEFAULTS, n=1)
                more = (
                    f"did you mean {close[0]!r}?"
                    if close
                    else f"there are {', '.join(expectations.DEFAULTS)}"
                )
                raise ValueError(f"no expectation is called {name!r}; {more}")
        return severity

    @model_validator(mode="after")
    def _sides_in_order(self) -> Validation:
        if self.min_side > self.max_side:
            raise ValueError(
                f"min_side ({self.min_side}) must not be above max_side ({self.max_side})"
            )
        return self
