"""What is searched: entries that fit the recipe, values that come out as they are written."""

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.tuning.default_space import default_space
from components.tuning.space import Space
from segtrail.errors import ConfigError
from segtrail.params import dump
from segtrail.settings.tuning import Tuning
from segtrail.task import Task


def space_of(params, **entries):
    recipe, dataset = params.recipes["cells"], params.datasets["plates"]
    searched = Tuning.model_validate({"space": entries}).space or default_space(
        recipe, Task.of(recipe, dataset)
    )
    return Space.around("cells", recipe, dataset, searched)


def draws(space, count=30):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    return [space.suggest(study.ask()) for _ in range(count)]


def test_the_default_space_draws_recipes_that_the_schema_takes(params):
    space = space_of(params())
    assert space.holds(space.own_values())
    for values in draws(space):
        made = dump(space.make(values))
        for field, value in values.items():
            found = made
            for part in field.split("."):
                found = found[part]
            assert found == value
        reads_dice = values["training.loss"] in ("bce_dice", "cross_entropy_dice")
        assert ("training.loss_options.dice_weight" in values) == reads_dice


def test_what_a_loss_does_not_read_is_reset_rather_than_refused(params):
    options = {"steps": 40, "loss": "bce_dice", "loss_options": {"dice_weight": 3.0}}
    space = space_of(params(training=options))
    assert space.own_values()["training.loss_options.dice_weight"] == 3.0
    values = space.own_values() | {"training.loss": "tversky"}
    for field in ("dice_weight", "border_weight"):
        values.pop(f"training.loss_options.{field}")
    assert space.make(values).training.loss_options.dice_weight == 1.0


def test_losses_that_would_not_read_the_recipes_options_are_no_choice(params):
    options = {"steps": 40, "loss": "focal", "loss_options": {"focal_gamma": 1.0}}
    space = space_of(params(training=options))
    assert {space.make(values).training.loss for values in draws(space)} == {"focal"}


def test_the_recipe_itself_lies_within_and_comes_out_unchanged(params):
    space = space_of(
        params(training={"steps": 40, "learning_rate": 0.0123, "batch_size": 3}),
        **{
            "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "training.batch_size": {"choices": [4, 8]},
        },
    )
    assert space.entries["training.learning_rate"].high == 0.0123
    assert 3 in space.entries["training.batch_size"].choices
    assert space.make(space.own_values()) is space.recipe


def test_whole_numbers_sections_and_lists_can_be_searched(params):
    networks = [{"name": "unet", "base_filters": 4}, {"name": "residual_unet", "base_filters": 4}]
    space = space_of(
        params(),
        **{
            "network": {"choices": networks},
            "training.batch_size": {"low": 4, "high": 16, "step": 4},
            "training.augmentation.elastic": {"low": 0, "high": 2},
            "training.early_stopping": {"choices": [None, {"patience": 3}]},
        },
    )
    drawn = draws(space)
    assert {values["training.batch_size"] for values in drawn} == {4, 8, 12, 16}
    assert any(values["training.augmentation.elastic"] % 1 for values in drawn)
    made = [space.make(values) for values in drawn]
    assert {recipe.network.name for recipe in made} == {"unet", "residual_unet"}
    assert {recipe.training.early_stopping is None for recipe in made} == {True, False}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.floats(1e-6, 1e-3), st.floats(1.1, 900), st.integers(0, 2**31))
def test_drawn_numbers_are_short_and_within(params, low, times, seed):
    entry = {"low": low, "high": low * times, "log": True}
    space = space_of(params(), **{"training.learning_rate": entry})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    (value,) = space.suggest(study.ask()).values()
    ends = [
        space.entries["training.learning_rate"].low,
        space.entries["training.learning_rate"].high,
    ]
    assert ends[0] <= value <= ends[1]
    assert value in ends or float(f"{value:.4g}") == value


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"training.lerning_rate": {"low": 0.1, "high": 0.2}}, "Did you mean 'learning_rate'?"),
        ({"training.loss": {"choices": ["bce", "fokal"]}}, "Did you mean 'focal'?"),
        ({"training.learning_rate": {"low": 0.1, "high": 5.0}}, "less than 1"),
        ({"training.crop": {"choices": [64, 100]}}, "multiple of 16"),
        ({"training.crop": {"choices": [128, 512]}}, "must not be above preprocessing.tile"),
        ({"training.loss": {"choices": ["bce", "cross_entropy"]}}, "masks of the dataset"),
        ({"training.loss": {"low": 1, "high": 2}}, "a range of numbers, but the recipe has"),
        ({"network.base_filters": {"low": 4, "high": 8.5}}, "expected whole numbers"),
        ({"training.batch_size": {"low": 3, "high": 9, "step": 3}}, "is not among"),
        ({"training.loss_options.focal_gamma": {"low": 1.0, "high": 3.0}}, "is read by focal"),
        ({"training.learning_rate": {"low": 1e-4, "high": 1e-2, "when": {"training.los": ["bce"]}}},
         "Did you mean 'training.loss'?"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_runs(params, entries, says):
    with pytest.raises(ConfigError) as caught:
        space_of(params(), **entries)
    assert says in caught.value.message
    assert "tuning.space." in caught.value.message


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"preprocessing.tile": {"choices": [128, 256]}}, "would need another transform"),
        ({"objects.threshold": {"low": 0.2, "high": 0.8}}, "do not change the score"),
        ({"training.seed": {"low": 1, "high": 9}}, "another seed is noise"),
        ({"training.hardware.xla": {"choices": ["on", "off"]}}, "how fast, not how well"),
        ({"training.augmentation": {"choices": [{}, {"zoom": 0.2}]},
          "training.augmentation.zoom": {"low": 0.0, "high": 0.2}}, "is a part of"),
        ({"training.learning_rate": {"low": 0.2, "high": 0.1}}, "must be below high"),
        ({"training.weight_decay": {"low": 0.0, "high": 0.1, "log": True}}, "must be above 0"),
        ({"training.loss": {"choices": ["bce", "bce"]}}, "expected different values"),
        ({"training.learning_rate": {"low": 0.1, "hihg": 0.2}}, "Did you mean 'high'?"),
    ],
)  # fmt: skip
def test_the_schema_tells_what_cannot_be_searched(params, entries, says):
    with pytest.raises(ConfigError) as caught:
        params(tuning={"space": entries})
    assert says in caught.value.message


def test_values_that_do_not_fit_together_are_told_by_name(params):
    space = space_of(
        params(),
        **{"network.depth": {"low": 2, "high": 5}, "training.crop": {"choices": [112, 128]}},
    )
    with pytest.raises(ConfigError, match="crop"):
        space.make({"network.depth": 5, "training.crop": 112})
