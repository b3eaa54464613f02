"""What params.yaml says, and what was resolved of it."""

from pathlib import Path

import pytest
import yaml

from lineage import links_source
from segtrail.errors import LineageError
from segtrail.params import dump, load_params

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
RECIPES = sorted(yaml.safe_load(PARAMS.read_text())["recipes"])


class Kept:
    """As much of the evidence as the link reads."""

    root, commit = PARAMS.parent, "0" * 40

    def __init__(self, recipe, params):
        self.recipe, self.params = recipe, params


@pytest.fixture(autouse=True)
def at_the_commit(monkeypatch):
    monkeypatch.setattr(
        links_source.git_objects, "show", lambda root, commit, path: PARAMS.read_bytes()
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_shipped_recipe_is_what_its_provenance_says(recipe):
    """With a preset, too, which the provenance has with all of its options."""
    resolved = dump(load_params(PARAMS).recipes[recipe])
    assert "gives the same recipe" in links_source.configured(Kept(recipe, resolved))
    resolved["network"]["depth"] = 9
    resolved["training"]["steps"] = 1
    with pytest.raises(LineageError, match=f"recipes.{recipe}.training.steps is .*says 1"):
        links_source.configured(Kept(recipe, resolved))


def test_a_preset_option_that_was_changed_is_told():
    resolved = dump(load_params(PARAMS).recipes["dsb-128"])
    resolved["network"]["activation"] = "relu"
    with pytest.raises(LineageError, match=r"network\.activation is 'elu'; .*'relu'"):
        links_source.configured(Kept("dsb-128", resolved))
