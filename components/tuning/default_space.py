"""What is searched where a recipe does not say: what costs no more compute than the recipe does."""

from __future__ import annotations

from typing import get_args

from segtrail.recipe import Recipe
from segtrail.settings.loss import SOFTMAX, LossName, head_of
from segtrail.settings.tuning import Choices, Entry, Range
from segtrail.task import Task

_DICE = ("bce_dice", "cross_entropy_dice")
_BORDER = ("bce", "bce_dice", "focal")
_SIGMOID = ("bce", "bce_dice", "focal", "tversky")


def default_space(recipe: Recipe, task: Task) -> dict[str, Entry]:
    """Returns entries for the rate, the loss, regularisation and augmentation.

    Filters, depth and batch size are not among them: more of each is slower, so the best of
    so many steps is no fair winner.

    Args:
        recipe: Whose loss tells which others there are; a field that it does not use is left out.
        task: Whose border plane has a weight of its own.
    """
    training = recipe.training
    losses = [n for n in get_args(LossName) if n in (SOFTMAX, _SIGMOID)[_is_sigmoid(recipe)]]
    space: dict[str, Entry] = {
        "training.learning_rate": Range(low=3e-4, high=1e-2, log=True),
        "training.loss": Choices(choices=losses),
        "training.loss_options.dice_weight": Range(
            low=0.25, high=4.0, log=True, when={"training.loss": list(_DICE)}
        ),
        "training.augmentation.rotate": Range(low=0.0, high=45.0),
        "training.augmentation.zoom": Range(low=0.0, high=0.4),
        "training.augmentation.elastic": Range(
            low=0.0, high=min(6.0, training.augmentation.elastic_spacing / 4)
        ),
        "training.augmentation.gamma": Range(low=0.0, high=0.6),
    }
    if training.weight_decay > 0:  # 0 is Adam, which is a choice of its own
        space["training.weight_decay"] = Range(low=1e-6, high=1e-2, log=True)
    if task.has_objects:
        space["training.loss_options.border_weight"] = Range(
            low=1.5, high=12.0, log=True, when={"training.loss": list(_BORDER)}
        )
    if isinstance(getattr(recipe.network, "dropout", None), float):
        space["network.dropout"] = Range(low=0.0, high=0.4)
    return space


def _is_sigmoid(recipe: Recipe) -> bool:
    return head_of(recipe.training.loss) == "sigmoid"
