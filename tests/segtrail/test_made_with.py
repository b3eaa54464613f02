"""Stale tiles are refused."""

from pathlib import Path

import pytest
import yaml

from segtrail.artifacts import TransformGraph
from segtrail.errors import MissingArtifactError, StageError
from segtrail.files import write_json, write_text
from segtrail.made_with import MADE_WITH, require_tiles, tile_settings
from segtrail.params import load_recipe
from segtrail.task import load_task
from segtrail.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    write_text(tmp_path / "params.yaml", (ROOT / "params.yaml").read_text())
    return Workspace(tmp_path, tmp_path)


def tiles_of(workspace) -> TransformGraph:
    recipe, task = load_recipe(workspace, "wbc"), load_task(workspace, "wbc")
    made = TransformGraph.of(workspace, "wbc")
    write_json(made.statistics, {MADE_WITH: tile_settings(recipe, task)})
    return made


def change(workspace, **sections) -> None:
    params = yaml.safe_load(workspace.params.read_text())
    params["recipes"]["wbc"] |= sections
    write_text(workspace.params, yaml.safe_dump(params))


def required(workspace, made):
    return require_tiles(made, load_recipe(workspace, "wbc"), load_task(workspace, "wbc"))


def test_tiles_of_the_settings_that_are_there_are_taken(workspace):
    made = tiles_of(workspace)
    assert required(workspace, made) is made
    change(workspace, training={"steps": 7})  # nothing that tiles depend on
    assert required(workspace, made) is made


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"preprocessing": {"colour": "rgb", "tile": 128, "stride": 128}},
         "preprocessing.stride was 96, is 128"),
        ({"preprocessing": {"colour": "grey", "tile": 128, "stride": 96}},
         "preprocessing.colour was rgb, is grey"),
        ({"classes": {"cell": ["cytoplasm", "nucleus"]},
          "gate": {"absolute": [{"metric": "mean_iou", "min": 0.5}]}},
         "classes was ['cytoplasm', 'nucleus'], is {'cell': ['cytoplasm', 'nucleus']}"),
    ],
)  # fmt: skip
def test_others_are_refused_with_what_differs(workspace, sections, says):
    made = tiles_of(workspace)
    change(workspace, **sections)
    with pytest.raises(StageError) as caught:
        required(workspace, made)
    assert says in caught.value.message
    assert caught.value.hint == "segtrail transform --recipe wbc"


def test_no_tiles_at_all(workspace):
    with pytest.raises(MissingArtifactError):
        required(workspace, TransformGraph.of(workspace, "wbc"))


def test_tiles_of_an_earlier_version_do_not_tell(workspace):
    made = TransformGraph.of(workspace, "wbc")
    write_json(made.statistics, {"training_images": 3})
    assert required(workspace, made) is made
