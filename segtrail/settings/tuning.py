"""`recipes.<name>.tuning` of `params.yaml`: what `segtrail tune` may change. No stage reads it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from segtrail.settings.base import Strict

Scalar = bool | int | float | str | None
SEARCHED = ("network", "training")  # the sections of a recipe that trials may change
_NOT_SEARCHED = {
    "training.seed": "another seed is noise, not a better recipe",
    "training.steps": "all trials train for the steps of --steps",
    "training.validate_every": "trials are compared at the same steps",
    "training.monitor": "trials are compared by the IoU of the validation tiles",
    "training.hardware": "it decides how fast, not how well",
    "training.deterministic": "it decides how fast, not how well",
}


class _Entry(Strict):
    when: dict[str, list[Scalar]] = Field(
        default={}, description="other fields and their values with which this one is searched"
    )


class Range(_Entry):
    """Numbers from `low` to `high`, both included."""

    low: int | float
    high: int | float
    log: bool = Field(default=False, description="search the logarithm")
    step: Annotated[int | float, Field(gt=0)] | None = Field(
        default=None, description="from one number to the next; not with log"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low ({self.low}) must be above 0 where log is true")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self


class Choices(_Entry):
    """One of several values, which may be lists or whole sections."""

    choices: Annotated[list[Any], Field(min_length=2, max_length=64)]

    @field_validator("choices")
    @classmethod
    def _differ(cls, choices: list[Any]) -> list[Any]:
        if any(choice in choices[:place] for place, choice in enumerate(choices)):
            raise ValueError(f"got {choices}; expected different values")
        return choices


Entry = Annotated[
    Annotated[Range, Tag("[range]")] | Annotated[Choices, Tag("[choices]")],
    Discriminator(
        lambda given: (
            "[choices]"
            if isinstance(given, Choices) or (isinstance(given, dict) and "choices" in given)
            else "[range]"
        )
    ),
]


class Tuning(Strict):
    """What is searched; without a space the one of `components.tuning.default_space`."""

    space: dict[str, Entry] = Field(
        default={}, description="by field, such as training.learning_rate"
    )
    pruner: Literal["median", "none"] = Field(
        default="median", description="median: give up what is below the median of the trials"
    )

    @field_validator("space")
    @classmethod
    def _can_be_searched(cls, space: dict[str, Entry]) -> dict[str, Entry]:
        for field in space:
            section = field.partition(".")[0]
            if section not in SEARCHED:
                raise ValueError(
                    f"{field} cannot be searched; expected a field of {' or '.join(SEARCHED)}: "
                    "preprocessing would need another transform, and the other sections do not "
                    "change the score"
                )
            for fixed, why in _NOT_SEARCHED.items():
                if field == fixed or field.startswith(f"{fixed}."):
                    raise ValueError(f"{field} cannot be searched: {why}")
            for other in space:
                if other.startswith(f"{field}."):
                    raise ValueError(f"{other} is a part of {field}; search one of the two")
        return space
