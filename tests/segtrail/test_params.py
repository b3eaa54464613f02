"""`params.yaml`: what is wrong is said by key, value, what is allowed, and the near match."""

from pathlib import Path

import pytest
import yaml

from segtrail.errors import ConfigError
from segtrail.params import load_params, load_recipe
from segtrail.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def raw():
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def problem(raw, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError) as caught:
        load_params(path)
    return str(caught.value)


def test_the_shipped_file_is_right():
    params = load_params(ROOT / "params.yaml")
    assert {"demo", "nuclei"} <= set(params.recipes)
    assert {"synthetic", "dsb2018"} <= set(params.datasets)


def test_an_unknown_key_names_itself_the_allowed_ones_and_the_near_match(raw, tmp_path):
    raw["recipes"]["demo"]["training"]["stpes"] = 3
    said = problem(raw, tmp_path)
    assert "recipes.demo.training.stpes: unknown key" in said
    assert "batch_size" in said
    assert "Did you mean 'steps'?" in said


def test_an_unknown_key_in_a_list_of_rules(raw, tmp_path):
    raw["recipes"]["demo"]["gate"]["absolute"][0]["metrik"] = "x"
    said = problem(raw, tmp_path)
    assert "recipes.demo.gate.absolute.0.metrik: unknown key" in said
    assert "'metric'" in said


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("network", "depth", 99, "got 99; input should be less than or equal to 6"),
        ("network", "depth", "deep", "got 'deep'; input should be a valid integer"),
        ("training", "loss", "bce_dise", "Did you mean 'bce_dice'?"),
        ("training", "crop", 90, "recipes.demo.training.crop"),
        ("training", "crop", 512, "must not be above preprocessing.tile"),
        ("preprocessing", "stride", 500, "pixels between the tiles would never be seen"),
        ("preprocessing", "invert_bright", "yes", "got 'yes'; input should be a valid boolean"),
        ("training", "steps", "200", "got '200'; input should be a valid integer"),
        ("training", "steps", 200.0, "got 200.0; input should be a valid integer"),
        ("training", "steps", True, "got True; input should be a valid integer"),
        ("training", "learning_rate", "1e-3", "write 1.0e-3 for 1e-3"),
        ("training", "learning_rate", float("nan"), "recipes.demo.training.learning_rate: got nan"),
        ("validation", "min_side", 5000, "min_side (5000) must not be above max_side (4096)"),
        ("serving", "target", "host:0", "got 'host:0'; the port should be between 1 and 65535"),
        ("serving", "target", "host:65536", "the port should be between 1 and 65535"),
        ("objects", "min_size", None, "got None; input should be a valid integer"),
        ("training", "seed", -1, "got -1; input should be greater than or equal to 0"),
        ("drift", "seed", 2**32, "got 4294967296; input should be less than 4294967296"),
    ],
)
def test_a_wrong_value_says_what_was_given_and_what_is_allowed(
    raw, tmp_path, section, key, value, says
):
    raw["recipes"]["demo"].setdefault(section, {})[key] = value
    assert says in problem(raw, tmp_path)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"metric": "mean_iou", "min": 80}, "mean_iou is between 0 and 1; a bound of 80"),
        ({"metric": "mean_dice", "min": -0.1}, "mean_dice is between 0 and 1"),
        ({"metric": "ap_50", "max": 1.5}, "ap_50 is between 0 and 1"),
        ({"metric": "count_error", "max": -1}, "count_error is 0 or more; a bound of -1"),
        ({"metric": "mean_iou", "min": float("inf")}, "absolute.0.min: got inf"),
        ({"metric": "mean_iou", "min": float("nan")}, "absolute.0.min: got nan"),
        ({"metric": "mean_iou", "min": "0.8"}, "absolute.0.min: got '0.8'"),
    ],
)
def test_a_bound_that_no_metric_can_reach_is_refused(raw, tmp_path, rule, says):
    raw["recipes"]["demo"]["gate"]["absolute"] = [rule]
    assert says in problem(raw, tmp_path)


def test_whole_numbers_do_for_fractions_and_count_error_may_pass_1(raw, tmp_path):
    raw["recipes"]["demo"]["training"]["oversample"] = 1
    rules = [{"metric": "count_error", "max": 3}, {"metric": "mean_iou", "min": 0}]
    raw["recipes"]["demo"]["gate"]["absolute"] = rules
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    recipe = load_params(path).recipes["demo"]
    assert recipe.training.oversample == 1.0
    assert recipe.gate.absolute[0].max == 3.0


@pytest.mark.parametrize(
    "section", ["preprocessing", "network", "objects", "validation", "serving", "training"]
)
def test_a_section_that_dvc_names_is_written_out(raw, tmp_path, section):
    del raw["recipes"]["demo"][section]
    assert f"recipes.demo.{section}: required, but not given" in problem(raw, tmp_path)


def test_the_slices_of_a_dataset_are_written_out(raw, tmp_path):
    del raw["datasets"]["synthetic"]["slices"]
    assert "datasets.synthetic.slices: required" in problem(raw, tmp_path)


def test_a_slice_is_not_called_like_all_images(raw, tmp_path):
    raw["datasets"]["synthetic"]["slices"]["dark-colour"] = "all"
    assert "datasets.synthetic.slices: 'all' stands for every image" in problem(raw, tmp_path)


def test_every_section_that_dvc_yaml_names_is_required():
    import re

    from segtrail.recipe import Recipe
    from segtrail.settings.dataset import Dataset

    text = (ROOT / "dvc.yaml").read_text()
    for kind, pattern in (
        (Recipe, r"recipes\.\$\{[^}]+\}\.(\w+)"),
        (Dataset, r"datasets\.\$\{[^}]+\}\.(\w+)"),
    ):
        named = set(re.findall(pattern, text))
        assert named
        assert not {name for name in named if not kind.model_fields[name].is_required()}


def test_a_missing_key_and_an_unknown_dataset(raw, tmp_path):
    del raw["recipes"]["demo"]["gate"]
    assert "recipes.demo.gate: required" in problem(raw, tmp_path)


def test_a_recipe_of_an_unknown_dataset_and_a_rule_on_an_unknown_slice(raw, tmp_path):
    raw["recipes"]["demo"]["dataset"] = "cifar"
    assert "'cifar', which is not under datasets" in problem(raw, tmp_path)
    raw["recipes"]["demo"]["dataset"] = "synthetic"
    raw["recipes"]["demo"]["gate"]["absolute"][0]["slice"] = "fluo"
    assert "names the slice 'fluo'" in problem(raw, tmp_path)


def test_a_file_that_is_not_yaml_or_not_there(tmp_path):
    path = tmp_path / "params.yaml"
    with pytest.raises(ConfigError, match="not found"):
        load_params(path)
    path.write_text("a: [")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        load_params(path)


def test_an_unknown_recipe_names_the_near_one():
    with pytest.raises(ConfigError, match="Did you mean 'nuclei'"):
        load_recipe(Workspace.at(ROOT), "nucleii")
