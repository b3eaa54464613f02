"""Losses, heads and metrics that a recipe may name."""

import pytest
import yaml
from pydantic import ValidationError

from segtrail.errors import ConfigError
from segtrail.params import load_params
from segtrail.settings.loss import LossOptions, check_options
from segtrail.settings.training import Training


def load(folder, masks="classes", classes=("a", "b"), metric="mean_iou", **training):
    side = "max" if metric.startswith("count_error") else "min"  # less of an error is better
    raw = {
        "datasets": {
            "cells": {
                "adapter": "folders", "masks": masks, "classes": list(classes), "slices": {},
                "splits": {},
            }
        },
        "recipes": {
            "r": {
                "dataset": "cells", "classes": list(classes), "preprocessing": {}, "network": {},
                "training": {"steps": 1, **training}, "objects": {}, "validation": {},
                "serving": {}, "gate": {"absolute": [{"metric": metric, side: 0.5}]},
            }
        },
    }  # fmt: skip
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    return load_params(path).recipes["r"]


def test_a_loss_is_named_and_told_what_it_reads(tmp_path):
    recipe = load(tmp_path, loss="focal_tversky", loss_options={"tversky_alpha": 0.4})
    assert recipe.training.loss_options == LossOptions(tversky_alpha=0.4)
    assert load(tmp_path).training == Training(steps=1, loss="bce_dice")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loss": "dice"}, "recipes.r.training.loss"),
        ({"loss": "bce", "loss_options": {"focal_gamma": 1.0}},
         "training.loss_options.focal_gamma is read by focal and categorical_focal, not by "
         "training.loss: bce"),
        ({"loss": "tversky", "loss_options": {"tversky_alpha": 1.5}}, "tversky_alpha"),
        ({"loss_options": {"gamma": 2.0}}, "gamma"),
        ({"loss": "cross_entropy", "masks": "multilabel"},
         "recipes.r.training.loss is cross_entropy, which is for classes that exclude each other; "
         "the masks of the dataset 'cells' hold multilabel. Use bce"),
        ({"loss": "categorical_focal", "masks": "instances", "classes": ["a"]}, "hold instances"),
        ({"classes": ["a", "foreground"]}, "'foreground' stands for all classes together"),
        ({"metric": "rand_f"},
         "asks for rand_f, which needs masks: classes of which one is learnt"),
        ({"metric": "dice_foreground", "classes": ["a"]}, "which needs more than one class"),
        ({"metric": "count_errors"}, "Did you mean 'count_error'?"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(tmp_path, changes, says):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **changes)
    assert says in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "cross_entropy_dice", "loss_options": {"dice_weight": 0.5}},
        {"metric": "dice_foreground"},
        {"metric": "rand_f", "classes": ["a"]},
        {"metric": "count_error", "classes": ["a"]},
        {"classes": ["foreground"], "metric": "dice_foreground"},  # the class's own
    ],
)
def test_what_goes_together_is_taken(tmp_path, changes):
    load(tmp_path, **changes)


def test_defaults_that_are_written_out_go_with_any_loss():
    check_options("bce", LossOptions.model_validate(LossOptions().model_dump()))
    with pytest.raises(ValueError, match="tversky_alpha is read by tversky and focal_tversky"):
        check_options("bce", LossOptions(tversky_alpha=0.31))


def test_options_are_between_sensible_bounds():
    for wrong in ({"border_weight": 0.5}, {"focal_gamma": -1.0}, {"focal_tversky_power": 0.0}):
        with pytest.raises(ValidationError):
            LossOptions(**wrong)
