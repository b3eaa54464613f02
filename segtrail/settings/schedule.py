"""How the learning rate goes, and when training ends before its last step."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from segtrail.settings.base import Fraction, Strict

Kind = Literal["constant", "cosine", "step", "plateau"]

_READ_BY = {
    "final": ("cosine",),
    "factor": ("step", "plateau"),
    "every": ("step",),
    "patience": ("plateau",),
}


class Schedule(Strict):
    """The learning rate over the steps; see `model.schedules` for the formulas."""

    kind: Kind = "cosine"
    warm_up: Annotated[float, Field(ge=0, lt=0.9)] = Field(
        default=0.05, description="part of the steps over which the rate rises; not with plateau"
    )
    final: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="part of the rate that is left at the end; cosine"
    )
    factor: Fraction = Field(default=0.5, description="what the rate falls by; step and plateau")
    every: Annotated[int, Field(ge=1)] = Field(
        default=1000, description="steps between two falls; step"
    )
    patience: Annotated[int, Field(ge=1)] = Field(
        default=3, description="validations without a better one before a fall; plateau"
    )

    @model_validator(mode="before")
    @classmethod
    def _reads_what_is_set(cls, given: Any) -> Any:
        """Refuses an option that the kind does not read, rather than not to heed it."""
        if not isinstance(given, dict):
            return given
        kind = given.get("kind", "cosine")
        if kind not in get_args(Kind):
            return given
        for name, kinds in _READ_BY.items():
            default = cls.model_fields[name].default
            if given.get(name, default) != default and kind not in kinds:
                raise ValueError(
                    f"{name} is read by the schedule {' and '.join(kinds)}, not by {kind}"
                )
        if kind == "plateau":
            if given.get("warm_up", 0) not in (0, cls.model_fields["warm_up"].default):
                raise ValueError("the schedule plateau has no warm_up: it sets the rate itself")
            return given | {"warm_up": 0.0}
        return given


class EarlyStopping(Strict):
    """Training ends when validation has not become better for a while."""

    patience: Annotated[int, Field(ge=1)] = Field(
        default=5, description="validations without a better one"
    )
    min_delta: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="what a validation must be better by"
    )
