"""What a recipe segments: which of its dataset's classes, and how masks tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segtrail.params import load_dataset, load_recipe
from segtrail.recipe import Recipe
from segtrail.settings.dataset import Dataset, MaskKind
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Task:
    """The classes of a recipe, in the masks of its dataset.

    Args:
        masks: What a mask's values are: instance ids, class indices, or one bit a class.
        classes: The K foreground classes that the recipe learns.
        numbers: Of each, the places of what it is among its dataset's classes, from 1.
    """

    masks: MaskKind
    classes: tuple[str, ...]
    numbers: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset) -> Task:
        """Returns what a recipe learns of a dataset."""
        numbers = tuple(
            tuple(dataset.classes.index(name) + 1 for name in members)
            for members in recipe.classes.values()
        )
        return cls(dataset.masks, tuple(recipe.classes), numbers)

    @property
    def has_objects(self) -> bool:
        """Whether single objects are told apart, by a border plane."""
        return self.masks == "instances"

    @property
    def planes(self) -> tuple[str, ...]:
        """What the network's outputs are: the classes, and with objects the border."""
        return (*self.classes, "border") if self.has_objects else self.classes

    def true_planes(self, mask: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
        """Returns bool `[H, W, K]` of a mask `[H, W]` of the dataset."""
        return class_planes(mask, self.masks, self.numbers)

    def answered_planes(self, mask: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Returns bool `[H, W, K]` of a model's `mask_png`, whose classes are the recipe's."""
        return class_planes(mask, self.masks, own_places(len(self.classes)))


def own_places(classes: int) -> list[tuple[int]]:
    """Returns the numbers of classes each of which is its own: 1, 2, …"""
    return [(number,) for number in range(1, classes + 1)]


def class_planes(
    mask: npt.NDArray[np.integer], kind: MaskKind, numbers: Sequence[Sequence[int]]
) -> npt.NDArray[np.bool_]:
    """Returns where each class is.

    Args:
        mask: `[H, W]`; of instances every value above 0 is of the one class.
        kind: What its values are.
        numbers: Of each of K classes, the mask's classes that it is of, counted from 1.

    Returns:
        bool `[H, W, K]`.
    """
    if kind == "instances":
        return np.stack([mask > 0] * len(numbers), axis=-1)
    if kind == "classes":
        return np.stack([np.isin(mask, group) for group in numbers], axis=-1)
    bits = [sum(1 << (number - 1) for number in group) for group in numbers]
    return np.stack([mask & bit > 0 for bit in bits], axis=-1)


def load_task(workspace: Workspace, name: str) -> Task:
    """Returns the task of one recipe of the workspace.

    Raises:
        ConfigError: `params.yaml` is wrong or has no such recipe.
    """
    recipe = load_recipe(workspace, name)
    return Task.of(recipe, load_dataset(workspace, recipe.dataset))
