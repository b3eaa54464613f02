"""The schema of `params.yaml`: datasets and recipes."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from segtrail import expectations
from segtrail.expectations import Severity

MaskKind = Literal["instances", "classes", "multilabel"]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy and scikit-learn take
ALL = "all"  # the slice that is every image


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class Splits(_Strict):
    """How the images of a delivery are dealt to the splits, within each cluster."""

    validation: Fraction = 0.1
    test: Fraction = 0.1
    seed: Seed = 1

    @model_validator(mode="after")
    def _leaves_training(self) -> Splits:
        if self.validation + self.test >= 0.9:
            raise ValueError("validation + test must leave at least 0.1 for training")
        return self


class Limits(_Strict):
    """What one delivery may hold at most; more is refused before it is unpacked or decoded."""

    files: Annotated[int, Field(ge=1)] = 1_000_000
    file_mib: Annotated[int, Field(ge=1)] = 1024
    total_gib: Annotated[int, Field(ge=1)] = 64
    ratio: Annotated[int, Field(ge=1)] = Field(
        default=100, description="unpacked : packed, of files above 1 MiB"
    )
    megapixels: Annotated[int, Field(ge=1, le=67)] = Field(default=67, description="an image's")


class Dataset(_Strict):
    """A body of images and masks under `data/<name>`."""

    adapter: Name = Field(description="how deliveries are laid out: see `segtrail ingest --help`")
    licence: str | None = Field(default=None, description="if not the publisher's")
    masks: MaskKind = Field(
        description="what a mask's values are: instance ids; class indices, 1 for the first of "
        "`classes`; or one bit a class, bit 0 for the first",
    )
    classes: list[Name] = Field(min_length=1, max_length=8, description="the foreground classes")
    splits: Splits
    slices: dict[str, Name] = Field(
        description="what people call each kind of image in the split ledger: what the adapter "
        "says, or else the modality (dark-grey, bright-grey, bright-colour, dark-colour)",
    )
    limits: Limits = Limits()

    @field_validator("classes")
    @classmethod
    def _each_once(cls, classes: list[str]) -> list[str]:
        if len(set(classes)) < len(classes):
            raise ValueError(f"each class once; got {', '.join(classes)}")
        return classes

    @field_validator("slices")
    @classmethod
    def _all_is_taken(cls, slices: dict[str, str]) -> dict[str, str]:
        if ALL in slices.values():
            raise ValueError(f"{ALL!r} stands for every image; call the slice something else")
        return slices

    @model_validator(mode="after")
    def _one_class_of_instances(self) -> Dataset:
        if self.masks == "instances" and len(self.classes) > 1:
            raise ValueError("masks: instances have one class; found " + ", ".join(self.classes))
        return self


class Preprocessing(_Strict):
    """What the transform graph and the tiling do; read by the transform stage.

    Lengths are in pixels of the image that the network sees, `scale` times smaller.
    """

    colour: Literal["grey", "rgb"] = "grey"
    invert_bright: bool = Field(
        default=True, description="bright images become dark ones; by default not with rgb"
    )
    normalisation: Literal["image", "dataset"] = "image"
    scale: Literal[1, 2, 4] = Field(
        default=1, description="blocks of so many pixels a side are averaged before anything else"
    )
    tile: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = 192
    stride: Annotated[int, Field(ge=16, le=1024)] = 160
    border_width: Annotated[int, Field(ge=1, le=15)] = 2

    @model_validator(mode="before")
    @classmethod
    def _colours_stay(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("colour") == "rgb":
            return {"invert_bright": False} | given
        return given

    @model_validator(mode="after")
    def _tiles_cover(self) -> Preprocessing:
        if self.stride > self.tile:
            raise ValueError(
                f"stride ({self.stride}) must not be above tile ({self.tile}): "
                "pixels between the tiles would never be seen"
            )
        return self


class Network(_Strict):
    """A compact U-Net."""

    name: Literal["unet"] = "unet"
    base_filters: Annotated[int, Field(ge=2, le=128)] = 16
    depth: Annotated[int, Field(ge=1, le=6)] = 4
    stem_stride: Literal[1, 2] = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Augmentation(_Strict):
    """Random changes of image and mask together, in training only."""

    flip: bool = True
    rotate90: bool = True
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.1
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.2


class Training(_Strict):
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


class Objects(_Strict):
    """The one definition of an object: see `model.objects`."""

    threshold: Fraction = 0.5
    border_threshold: Fraction = 0.5
    grow: Annotated[int, Field(ge=0, le=32)] = 2
    min_size: Annotated[int, Field(ge=0)] = 16


class Validation(_Strict):
    """What the examples must hold before anything is learnt from them."""

    min_images: Annotated[int, Field(ge=3)] = 20
    min_side: Annotated[int, Field(ge=1)] = 32
    max_side: Annotated[int, Field(ge=32)] = 4096
    min_contrast: Annotated[float, Field(ge=0, le=128)] = Field(
        default=0.5,
        description="standard deviation of the grey levels, 0 to 255; of 16 bits those in use",
    )
    max_foreground: Fraction = 0.95
    max_objects: Annotated[int, Field(ge=1)] = 2000
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


OF_OBJECTS, OF_A_CLASS = ("ap_50", "count_error"), ("iou_", "dice_")


def _known_metric(name: str) -> str:
    if name in ("mean_iou", "mean_dice", *OF_OBJECTS) or name.startswith(OF_A_CLASS):
        return name
    raise ValueError(
        f"got {name!r}; expected mean_iou, mean_dice, iou_<class>, dice_<class>, ap_50 or "
        "count_error"
    )


def _at_most_one(name: str) -> str:
    if name == "count_error":
        raise ValueError("a margin of count_error is not known; use ap_50")
    return name


Metric = Annotated[str, AfterValidator(_known_metric)]


class AbsoluteRule(_Strict):
    """`metric >= min` (or `<= max`) on one slice of the test split."""

    metric: Metric
    slice: str = ALL
    min: float | None = None
    max: float | None = None
    min_images: Annotated[int, Field(ge=1)] = 5

    @model_validator(mode="after")
    def _one_bound(self) -> AbsoluteRule:
        if (self.min is None) == (self.max is None):
            raise ValueError("give one of min and max")
        bound = self.max if self.min is None else self.min
        if bound is not None and (bound < 0 or (bound > 1 and self.metric != "count_error")):
            allowed = "0 or more" if self.metric == "count_error" else "between 0 and 1"
            raise ValueError(f"{self.metric} is {allowed}; a bound of {bound} is out of reach")
        return self


class RelativeRule(_Strict):
    """The candidate's mean is not below the champion's by more than `margin`."""

    metric: Annotated[Metric, AfterValidator(_at_most_one)] = "mean_iou"
    slice: str = ALL
    margin: Annotated[float, Field(ge=0, le=1)] = 0.01
    confidence: Fraction = 0.95
    min_images: Annotated[int, Field(ge=2)] = 5


class Gate(_Strict):
    """Rules that a candidate must all pass."""

    absolute: list[AbsoluteRule] = Field(min_length=1)
    relative: list[RelativeRule] = []
    resamples: Annotated[int, Field(ge=1000, le=1_000_000)] = 10_000
    seed: Seed = 1


class Serving(_Strict):
    """Where the champion is asked for, and what a candidate must do to be served."""

    target: str = Field(default="127.0.0.1:8500", pattern=r"^[^\s:/]+:\d{1,5}$")
    golden_images: Annotated[int, Field(ge=1, le=64)] = 5

    @field_validator("target")
    @classmethod
    def _port_exists(cls, target: str) -> str:
        if not 1 <= int(target.rpartition(":")[2]) <= 65_535:
            raise ValueError(f"got {target!r}; the port should be between 1 and 65535")
        return target


DriftStatistic = Literal[
    "brightness", "contrast", "median", "skewness", "saturation", "red", "blue", "sharpness",
    "height", "width", "foreground", "objects", "median_object",
]  # fmt: skip


class Drift(_Strict):
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
    seed: Seed = 1

    @model_validator(mode="after")
    def _in_order(self) -> Drift:
        if self.moderate > self.severe:
            raise ValueError(f"moderate ({self.moderate}) must not be above severe ({self.severe})")
        return self


class Recipe(_Strict):
    """One model's configuration. A stage of `dvc.yaml` names its sections: none has a default."""

    dataset: Name
    classes: list[Name] = Field(
        min_length=1, max_length=8, description="those of its dataset that are learnt, in its order"
    )
    preprocessing: Preprocessing
    network: Network
    training: Training
    objects: Objects
    validation: Validation
    gate: Gate
    serving: Serving
    drift: Drift = Drift()
    schedule: str | None = Field(default=None, description="cron line for `segtrail deploy`")

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.training.crop > self.preprocessing.tile:
            raise ValueError(
                f"training.crop ({self.training.crop}) must not be above "
                f"preprocessing.tile ({self.preprocessing.tile}), out of which it is cut"
            )
        step = 2**self.network.depth * self.network.stem_stride
        if self.training.crop % step:
            raise ValueError(
                f"training.crop ({self.training.crop}) must be a multiple of {step} "
                "(2^depth times stem_stride), the network's down-scaling"
            )
        return self


class Params(_Strict):
    """The whole of `params.yaml`."""

    datasets: dict[Name, Dataset]
    recipes: dict[Name, Recipe]

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        for name, recipe in self.recipes.items():
            if recipe.dataset not in self.datasets:
                raise ValueError(
                    f"recipes.{name}.dataset is {recipe.dataset!r}, which is not under "
                    f"datasets: ({', '.join(sorted(self.datasets))})"
                )
            _check_task(name, recipe, self.datasets[recipe.dataset])
            known = {ALL, *self.datasets[recipe.dataset].slices.values()}
            rules: list[AbsoluteRule | RelativeRule] = [
                *recipe.gate.absolute,
                *recipe.gate.relative,
            ]
            for rule in rules:
                if rule.slice not in known:
                    raise ValueError(
                        f"recipes.{name}.gate names the slice {rule.slice!r}; the dataset "
                        f"{recipe.dataset!r} has {', '.join(sorted(known))}"
                    )
        return self


def _check_task(name: str, recipe: Recipe, dataset: Dataset) -> None:
    """Refuses classes that the dataset does not have, and metrics that the recipe cannot have."""
    places = [dataset.classes.index(c) if c in dataset.classes else -1 for c in recipe.classes]
    if -1 in places or places != sorted(set(places)):
        raise ValueError(
            f"recipes.{name}.classes is {', '.join(recipe.classes)}; expected one or more of "
            f"those of the dataset {recipe.dataset!r}, in its order: {', '.join(dataset.classes)}"
        )
    rules: list[AbsoluteRule | RelativeRule] = [*recipe.gate.absolute, *recipe.gate.relative]
    for rule in rules:
        prefix, _, of_class = rule.metric.partition("_")
        if rule.metric in OF_OBJECTS and dataset.masks != "instances":
            raise ValueError(
                f"recipes.{name}.gate asks for {rule.metric}, which needs instances; the masks of "
                f"the dataset {recipe.dataset!r} hold {dataset.masks}. Use mean_iou, mean_dice, "
                "iou_<class> or dice_<class>"
            )
        if f"{prefix}_" in OF_A_CLASS and of_class not in recipe.classes:
            raise ValueError(
                f"recipes.{name}.gate asks for {rule.metric}; the recipe's classes are "
                f"{', '.join(recipe.classes)}"
            )
