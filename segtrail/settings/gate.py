"""`recipes.<name>.gate` of `params.yaml`."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from segtrail.settings.base import ALL, Fraction, Seed, Strict
from segtrail.settings.metrics import Metric, kind_of

FEW, FEW_FOR_A_BOUND, FEW_FOR_A_CHANGE = 5, 25, 6
FEW_IN_A_TAIL = 5  # resamples beyond each end of an interval


class Rule(Strict):
    """What rules of both kinds say."""

    metric: Metric = Field(description="its mean over the images is judged")
    slice: str = Field(
        default=ALL,
        description="a value of the dataset's slices; all: every image; each: a rule for each of "
        "the slices that the test split has",
    )
    min_images: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="fewer images, or groups of such that belong together where a bound is "
        f"judged, are insufficient evidence; by default {FEW} images, {FEW_FOR_A_BOUND} groups for "
        f"a bound, {FEW_FOR_A_CHANGE} for that of a change",
    )
    too_few: Literal["block", "report"] = Field(
        default="block",
        description="report: a slice with fewer images does not keep a candidate from passing",
    )

    @model_validator(mode="after")
    def _all_images_decide(self) -> Rule:
        if self.too_few == "report" and self.slice == ALL:
            raise ValueError(
                "too_few: report is for slices; too few images of all kinds are no evidence"
            )
        return self


class AbsoluteRule(Rule):
    """`metric >= min` (or `<= max`) on one slice of the test split."""

    min: float | None = Field(
        default=None, description="give one of min and max: 0 to 1, of errors 0 or more"
    )
    max: float | None = Field(default=None, description="give one of min and max")
    judged: Literal["value", "bound"] = Field(
        default="value",
        description="value: the mean of the test images; bound: the end of its interval, so that "
        "the mean of all images like them is within",
    )

    @property
    def least(self) -> int:
        """How many images or groups it takes."""
        return self.min_images or (FEW if self.judged == "value" else FEW_FOR_A_BOUND)

    @model_validator(mode="after")
    def _one_bound(self) -> AbsoluteRule:
        if (self.min is None) == (self.max is None):
            raise ValueError("give one of min and max")
        bound, kind = self.max if self.min is None else self.min, kind_of(self.metric)
        least = -kind.highest if kind.better == "neither" else 0
        if bound is not None and not least <= bound <= kind.highest:
            allowed = "0 or more" if kind.highest == math.inf else f"between 0 and {kind.highest:g}"
            raise ValueError(f"{self.metric} is {allowed}; a bound of {bound} is out of reach")
        wrong = {"more": "max", "less": "min"}.get(kind.better)
        if wrong and getattr(self, wrong) is not None:
            raise ValueError(
                f"of {self.metric}, {kind.better} is better: {wrong} would refuse the better "
                f"model, so use {'min' if wrong == 'max' else 'max'}"
            )
        return self


class RelativeRule(Rule):
    """The candidate is not worse than the champion, on the same images, by more than `margin`."""

    metric: Metric = Field(default="mean_iou", description="its mean over the images is compared")
    margin: Annotated[float, Field(ge=0)] = Field(
        default=0.01, description="what the metric may be worse by, in its own unit"
    )
    judged: Literal["value", "bound"] = Field(
        default="bound",
        description="bound: the whole interval of the change must be better than -margin; value: "
        "the change on the test images alone, which says nothing about other images",
    )

    @property
    def least(self) -> int:
        """How many images or groups it takes."""
        return self.min_images or (FEW if self.judged == "value" else FEW_FOR_A_CHANGE)

    @model_validator(mode="after")
    def _margin_in_reach(self) -> RelativeRule:
        kind = kind_of(self.metric)
        if kind.better == "neither":
            raise ValueError(
                f"{self.metric} is best near 0, so that more is not worse; use count_error"
            )
        if self.margin > kind.highest:
            raise ValueError(
                f"{self.metric} is between 0 and {kind.highest:g}; with a margin of "
                f"{self.margin:g} nothing would be refused"
            )
        return self


class Limits(Strict):
    """What a candidate may cost where it serves, as `infra-validate` measures it."""

    latency_ms: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="the median time of a request with one of the golden images, one after "
        "another, on the machine that judges",
    )
    size_mb: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="of the SavedModel's files, in 10^6 bytes"
    )
    memory_mb: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="the most memory that the server's process had resident, the model and all, "
        "after the golden images and 30 requests, in 10^6 bytes; Linux tells it",
    )


class Gate(Strict):
    """Rules that a candidate must all pass; docs/gates.md tells how sure their verdicts are."""

    absolute: list[AbsoluteRule] = Field(min_length=1)
    relative: list[RelativeRule] = Field(default=[])
    limits: Limits = Field(default=Limits())
    confidence: Fraction = Field(default=0.95, description="of all intervals, two-sided")
    correction: Literal["holm", "none"] = Field(
        default="holm",
        description="holm: however many slices are tested, the chance that one is falsely said "
        "to fail stays below (1 - confidence) / 2; none: that is so for each of them",
    )
    resamples: Annotated[int, Field(ge=1000, le=1_000_000)] = Field(
        default=10_000, description="that the intervals rest on"
    )
    seed: Seed = Field(default=1, description="of the resamples")

    @model_validator(mode="after")
    def _resamples_reach_the_tail(self) -> Gate:
        tail = (1 - self.confidence) / 2
        if self.resamples * tail < FEW_IN_A_TAIL:
            raise ValueError(
                f"with confidence {self.confidence:g} only {self.resamples * tail:.2g} of "
                f"{self.resamples} resamples lie beyond an interval's end; give at least "
                f"{math.ceil(FEW_IN_A_TAIL / tail)} resamples"
            )
        return self
