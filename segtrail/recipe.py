"""The schema of `params.yaml`: datasets and recipes; their sections are in `segtrail.settings`."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from segtrail.settings.base import ALL, EACH, Name, Strict
from segtrail.settings.classes import BACKGROUND, NO_BACKGROUND, Classes
from segtrail.settings.dataset import Dataset
from segtrail.settings.drift import Drift
from segtrail.settings.gate import AbsoluteRule, Gate, RelativeRule
from segtrail.settings.loss import head_of
from segtrail.settings.metrics import FOREGROUND, KINDS, metrics_of
from segtrail.settings.network import Network
from segtrail.settings.objects import Objects
from segtrail.settings.operations import Operations
from segtrail.settings.platform import Platform
from segtrail.settings.preprocessing import Preprocessing
from segtrail.settings.promotion import Promotion
from segtrail.settings.serving import CANARY_SUFFIX, Serving
from segtrail.settings.training import Training
from segtrail.settings.tuning import Tuning
from segtrail.settings.validation import Validation
from segtrail.words import near


class Recipe(Strict):
    """One model's configuration. A stage of `dvc.yaml` names its sections: none has a default."""

    dataset: Name
    classes: Classes
    preprocessing: Preprocessing
    network: Network
    training: Training
    objects: Objects
    validation: Validation
    gate: Gate
    serving: Serving
    promotion: Promotion = Promotion()
    drift: Drift = Drift()
    tuning: Tuning = Tuning()
    operations: Operations = Operations()

    @model_validator(mode="before")
    @classmethod
    def _without_retired(cls, given: Any) -> Any:
        """Takes recipes of older versions of the code, as provenance and git history hold them."""
        if not isinstance(given, dict) or "schedule" not in given:
            return given
        if given["schedule"] is not None:
            raise ValueError("schedule is now operations.retrain")
        return {key: value for key, value in given.items() if key != "schedule"}

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.training.crop > self.preprocessing.tile:
            raise ValueError(
                f"training.crop ({self.training.crop}) must not be above "
                f"preprocessing.tile ({self.preprocessing.tile}), out of which it is cut"
            )
        step = self.network.down_scale
        sides = {"training.crop": self.training.crop, "preprocessing.tile": self.preprocessing.tile}
        for field, side in sides.items():
            if side % step:
                raise ValueError(
                    f"{field} ({side}) must be a multiple of {step}, "
                    f"the down-scaling of the network {self.network.name}"
                )
        if self.training.augmentation.stain and self.preprocessing.colour != "rgb":
            raise ValueError(
                "training.augmentation.stain needs preprocessing.colour: rgb; found "
                f"{self.preprocessing.colour}, in which stains cannot be told apart"
            )
        return self


class Params(Strict):
    """The whole of `params.yaml`."""

    datasets: dict[Name, Dataset]
    recipes: dict[Name, Recipe]
    platform: Platform = Platform()

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        for name, dataset in self.datasets.items():
            if BACKGROUND in dataset.classes:
                raise ValueError(f"datasets.{name}.classes: {NO_BACKGROUND}")
        for name, recipe in self.recipes.items():
            if name.endswith(CANARY_SUFFIX):
                raise ValueError(
                    f"recipes.{name}: names that end in {CANARY_SUFFIX} are those under which "
                    "canaries are served; call the recipe something else"
                )
            if recipe.dataset not in self.datasets:
                raise ValueError(
                    f"recipes.{name}.dataset is {recipe.dataset!r}, which is not under "
                    f"datasets: ({', '.join(sorted(self.datasets))})"
                )
            _check_classes(name, recipe, self.datasets[recipe.dataset])
            _check_task(name, recipe, self.datasets[recipe.dataset])
            known = {ALL, EACH, *self.datasets[recipe.dataset].slices.values()}
            rules: list[AbsoluteRule | RelativeRule] = [
                *recipe.gate.absolute,
                *recipe.gate.relative,
            ]
            for rule in rules:
                if rule.slice not in known:
                    raise ValueError(
                        f"recipes.{name}.gate names the slice {rule.slice!r}; the dataset "
                        f"{recipe.dataset!r} has {', '.join(sorted(known))}."
                        f"{near(rule.slice, known)}"
                    )
        return self


def _check_classes(name: str, recipe: Recipe, dataset: Dataset) -> None:
    """Refuses classes that the dataset does not have, and puts each one's members in its order."""
    key, known = f"recipes.{name}.classes", ", ".join(dataset.classes)
    for members in recipe.classes.values():
        for each in members:
            if each not in dataset.classes:
                raise ValueError(
                    f"{key}: the dataset {recipe.dataset!r} has no {each!r}; expected one or more "
                    f"of {known}.{near(each, dataset.classes)}"
                )
        members.sort(key=dataset.classes.index)
    ordered = sorted(recipe.classes, key=lambda c: dataset.classes.index(recipe.classes[c][0]))
    if ordered != list(recipe.classes):
        raise ValueError(
            f"{key} is {', '.join(recipe.classes)}; expected the order of the dataset "
            f"{recipe.dataset!r}: {', '.join(ordered)}"
        )


def _check_task(name: str, recipe: Recipe, dataset: Dataset) -> None:
    """Refuses what the masks of the dataset do not allow."""
    if FOREGROUND in recipe.classes and len(recipe.classes) > 1:
        raise ValueError(
            f"recipes.{name}.classes: {FOREGROUND!r} stands for all classes together in the "
            "metrics; call the class something else"
        )
    if dataset.masks != "instances" and (given := _of_instances(recipe)):
        raise ValueError(
            f"recipes.{name}.{given[0]} is read where objects are told apart by a border; the "
            f"masks of the dataset {recipe.dataset!r} hold {dataset.masks}: leave it out"
        )
    if recipe.objects.watershed and (dataset.masks != "classes" or len(recipe.classes) > 1):
        raise ValueError(
            f"recipes.{name}.objects.watershed is for one class of masks: classes; this recipe has "
            f"{len(recipe.classes)} of {dataset.masks}: leave it out"
        )
    if recipe.objects.largest and dataset.masks == "instances":
        raise ValueError(
            f"recipes.{name}.objects.largest is for classes of which an image has one; the masks "
            f"of the dataset {recipe.dataset!r} hold instances: leave it out"
        )
    if unknown := [each for each in recipe.objects.largest if each not in recipe.classes]:
        raise ValueError(
            f"recipes.{name}.objects.largest names {', '.join(unknown)}; expected classes of the "
            f"recipe: {', '.join(recipe.classes)}"
        )
    if head_of(recipe.training.loss) == "softmax" and dataset.masks != "classes":
        raise ValueError(
            f"recipes.{name}.training.loss is {recipe.training.loss}, which is for classes that "
            f"exclude each other; the masks of the dataset {recipe.dataset!r} hold "
            f"{dataset.masks}. Use bce, bce_dice, focal, tversky or focal_tversky"
        )
    rules: list[AbsoluteRule | RelativeRule] = [*recipe.gate.absolute, *recipe.gate.relative]
    for rule in rules:
        if rule.metric in metrics_of(dataset.masks, [*recipe.classes]):
            continue
        if rule.metric in KINDS:
            raise ValueError(
                f"recipes.{name}.gate asks for {rule.metric}, which needs "
                f"{KINDS[rule.metric].needs.says}; "
                f"the masks of the dataset {recipe.dataset!r} hold {dataset.masks}. Use mean_iou, "
                "mean_dice, iou_<class> or dice_<class>"
            )
        raise ValueError(
            f"recipes.{name}.gate asks for {rule.metric}; the recipe's classes are "
            f"{', '.join(recipe.classes)}"
        )


def _of_instances(recipe: Recipe) -> list[str]:
    """Returns the options that are set and that only recipes of instances read."""
    sections = {
        "preprocessing": (recipe.preprocessing, {"border_width"}),
        "training.loss_options": (recipe.training.loss_options, {"border_weight"}),
        "objects": (recipe.objects, {"border_threshold", "grow"}),
    }
    return [
        f"{key}.{option}"
        for key, (section, options) in sections.items()
        for option in section.model_dump(exclude_defaults=True, include=options)
    ]
