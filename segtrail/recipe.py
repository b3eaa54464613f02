"""The schema of `params.yaml`: datasets and recipes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Fraction = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
ALL = "all"  # the slice that is every image


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class Splits(_Strict):
    """How the images of a delivery are dealt to the splits, within each cluster."""

    validation: Fraction = 0.1
    test: Fraction = 0.1
    seed: int = 1

    @model_validator(mode="after")
    def _leaves_training(self) -> Splits:
        if self.validation + self.test >= 0.9:
            raise ValueError("validation + test must leave at least 0.1 for training")
        return self


class Dataset(_Strict):
    """A body of images and masks under `data/<name>`."""

    adapter: Literal["dsb2018"] = "dsb2018"
    licence: str
    splits: Splits = Splits()
    slices: dict[str, Name] = Field(
        description="what people call each cluster of raster statistics"
    )


class Preprocessing(_Strict):
    """What the transform graph and the tiling do; read by the transform stage."""

    colour: Literal["grey"] = "grey"
    invert_bright: bool = True
    normalisation: Literal["image", "dataset"] = "image"
    tile: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = 192
    stride: Annotated[int, Field(ge=16, le=1024)] = 160
    border_width: Annotated[int, Field(ge=1, le=15)] = 2

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
    seed: int = 1
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
    max_foreground: Fraction = 0.95
    max_objects: Annotated[int, Field(ge=1)] = 2000

    @model_validator(mode="after")
    def _sides_in_order(self) -> Validation:
        if self.min_side > self.max_side:
            raise ValueError(
                f"min_side ({self.min_side}) must not be above max_side ({self.max_side})"
            )
        return self


Metric = Literal["mean_iou", "mean_dice", "ap_50", "count_error"]


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

    metric: Literal["mean_iou", "mean_dice", "ap_50"] = "mean_iou"
    slice: str = ALL
    margin: Annotated[float, Field(ge=0, le=1)] = 0.01
    confidence: Fraction = 0.95
    min_images: Annotated[int, Field(ge=2)] = 5


class Gate(_Strict):
    """Rules that a candidate must all pass."""

    absolute: list[AbsoluteRule] = Field(min_length=1)
    relative: list[RelativeRule] = []
    resamples: Annotated[int, Field(ge=1000, le=1_000_000)] = 10_000
    seed: int = 1


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


class Recipe(_Strict):
    """One model's configuration. A stage of `dvc.yaml` names its sections: none has a default."""

    dataset: Name
    classes: list[Name] = Field(min_length=1, max_length=1)
    preprocessing: Preprocessing
    network: Network
    training: Training
    objects: Objects
    validation: Validation
    gate: Gate
    serving: Serving
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
