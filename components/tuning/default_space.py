"""What is searched where a recipe does not say: what costs no more compute than the recipe does."""

from __future__ import annotations

from typing import get_args

from segtrail.recipe import Recipe
from segtrail.settings.loss import READ_BY, SOFTMAX, LossName, head_of
from segtrail.settings.tuning import Choices, Entry, Range
from segtrail.task import Task

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
    searched = {"dice_weight", "border_weight"}
    kept = training.loss_options.model_dump(exclude_defaults=True, exclude=searched)
    losses = [
        name
        for name in get_args(LossName)
        if name in (SOFTMAX, _SIGMOID)[_is_sigmoid(recipe)]
        and all(name in READ_BY[option] for option in kept)
    ]
    space: dict[str, Entry] = {
        "training.learning_rate": Range(low=3e-4, high=1e-2, log=True),
        "training.augmentation.rotate": Range(low=0.0, high=45.0),
        "training.augmentation.zoom": Range(low=0.0, high=0.4),
        "training.augmentation.elastic": Range(
            low=0.0, high=min(6.0, training.augmentation.elastic_spacing / 4)
        ),
        "training.augmentation.gamma": Range(low=0.0, high=0.6),
    }
    weights = {"dice_weight": (0.25, 4.0)}
    if task.has_objects:
        weights["border_weight"] = (1.5, 12.0)
    if len(losses) > 1:
        space["training.loss"] = Choices(choices=losses)
    for option, (low, high) in weights.items():
        readers = [name for name in losses if name in READ_BY[option]]
        if readers:
            space[f"training.loss_options.{option}"] = Range(
                low=low, high=high, log=True,
                when={"training.loss": readers} if len(losses) > 1 else {},
            )  # fmt: skip
    if training.weight_decay > 0:  # 0 is Adam, which is a choice of its own
        space["training.weight_decay"] = Range(low=1e-6, high=1e-2, log=True)
    if isinstance(getattr(recipe.network, "dropout", None), float):
        space["network.dropout"] = Range(low=0.0, high=0.4)
    return space


def _is_sigmoid(recipe: Recipe) -> bool:
    return head_of(recipe.training.loss) == "sigmoid"
