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
    ],
)
def test_a_wrong_value_says_what_was_given_and_what_is_allowed(
    raw, tmp_path, section, key, value, says
):
    raw["recipes"]["demo"][section][key] = value
    assert says in problem(raw, tmp_path)


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
