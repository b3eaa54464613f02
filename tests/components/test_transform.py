"""Tiles of class masks, and runners and options that Beam does not know."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from components.transform import transform
from model.examples import Example
from model.scaling import shrink
from segtrail.artifacts import Examples, TransformGraph, ValidationResult
from segtrail.errors import ConfigError
from segtrail.files import write_json, write_text
from segtrail.images import encode_png
from segtrail.made_with import require_tiles
from segtrail.params import load_recipe
from segtrail.task import load_task
from segtrail.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("runner", "options", "says"),
    [
        ("Nope", [], "--runner Nope: Beam has no such runner; there are DataflowRunner, "),
        ("FlinkRuner", [], "Did you mean 'FlinkRunner'?"),
        ("no.such.Runner", [], "--runner no.such.Runner: cannot be imported: No module named 'no'"),
        ("os.path.Runner", [], "--runner os.path.Runner: cannot be imported: "),
        ("os.path.join", [], "--runner os.path.join: expected a subclass of Beam's PipelineRunner"),
        ("DaskRunner", [], "Beam's DaskRunner loses results without an error"),
        ("apache_beam.runners.dask.dask_runner.DaskRunner", [], "loses results without an error"),
        ("FnApiRunner", ["direct_num_worker=2"], "Did you mean 'direct_num_workers'?"),
        ("FnApiRunner", ["direct_num_workers=x"], "invalid int value: 'x'"),
        ("DirectRunner", ["direct_running_mode=many"], "invalid choice: 'many'"),
    ],
)
def test_a_wrong_runner_or_option_is_named_and_nothing_is_left(tmp_path, runner, options, says):
    workspace = Workspace(tmp_path, tmp_path)
    write_text(workspace.params, (ROOT / "params.yaml").read_text())
    write_text(Examples.of(workspace, "demo").manifest, "not read")
    write_json(ValidationResult.of(workspace, "demo").result, {"passed": True})
    with pytest.raises(ConfigError) as caught:
        transform(workspace, "demo", runner=runner, runner_options=options)
    assert says in caught.value.message
    target = TransformGraph.of(workspace, "demo").root
    assert sorted(path.name for path in target.parent.iterdir()) == ["examples", "validation"]


@pytest.fixture
def overlapping(tmp_path) -> Workspace:
    """Validated examples of one colour image a split, with two classes that may overlap."""
    import tensorflow as tf

    workspace = Workspace(tmp_path, tmp_path)
    params = {
        "datasets": {
            "eyes": {
                "adapter": "folders", "masks": "multilabel", "classes": ["disc", "vessel", "cup"],
                "slices": {}, "splits": {},
            }
        },
        "recipes": {
            "r": {
                "dataset": "eyes",
                "classes": ["disc", "cup"],
                "preprocessing": {"colour": "rgb", "scale": 2, "tile": 32, "stride": 32},
                "network": {"depth": 2},
                "training": {"steps": 1, "crop": 32},
                "objects": {},
                "validation": {},
                "serving": {},
                "gate": {"absolute": [{"metric": "dice_cup", "min": 0.5}]},
            }
        },
    }  # fmt: skip
    write_text(workspace.params, yaml.safe_dump(params))
    examples, rows = Examples.of(workspace, "r"), []
    examples.root.mkdir(parents=True)
    for number, split in enumerate(("train", "validation")):
        image, mask = fundus(number)
        example = Example(split, encode_png(image), encode_png(mask), "eye", split)
        with tf.io.TFRecordWriter(str(examples.records(split))) as writer:
            writer.write(example.serialize())
        rows.append({"image": split, "split": split, "slice": "eye", "height": 64, "width": 128})
    pd.DataFrame(rows).to_parquet(examples.manifest)
    write_json(ValidationResult.of(workspace, "r").result, {"passed": True})
    return workspace


def fundus(seed):
    """A colour image `[64, 128, 3]` and its mask, one bit a class, both in blocks of 2 by 2."""
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, (64, 128, 3)).astype(np.uint8)
    mask = generator.integers(0, 8, (32, 64)).astype(np.uint8)
    return image, mask.repeat(2, 0).repeat(2, 1)


def test_tiles_hold_the_colours_and_a_bit_for_each_class_that_is_learnt(overlapping):
    from model.tile_records import read_tiles
    from model.training_data import training_batches, validation_batches

    made = transform(overlapping, "r")
    recipe = load_recipe(overlapping, "r")
    for number, split in enumerate(("train", "validation")):
        image, mask = fundus(number)
        (paths,) = made.tiles(split).values()
        tiles = list(read_tiles(paths, recipe.preprocessing).as_numpy_iterator())
        assert len(tiles) == 2
        small = np.hstack([tile["image"] for tile in tiles])
        np.testing.assert_array_equal(small, shrink(image, 2))
        target = np.hstack([tile["target"] for tile in tiles])
        stored = mask[::2, ::2]
        np.testing.assert_array_equal(target, (stored & 1) | (stored >> 2 & 1) << 1)
        for tile in tiles:
            expected = [np.bincount(small[..., c].ravel(), minlength=256) for c in range(3)]
            np.testing.assert_array_equal(tile["histogram"].reshape(3, 256), expected)
    assert require_tiles(made, recipe, load_task(overlapping, "r")) is made
    graph = make_layer(made)
    options = recipe.preprocessing
    x, y = next(iter(validation_batches(made.tiles("validation"), graph, options, 2, 2)))
    assert (x.shape, y.shape) == ((2, 32, 32, 3), (2, 32, 32, 2))
    both = np.concatenate(list(x.numpy()), axis=1)
    np.testing.assert_allclose(both.mean((0, 1)), 0, atol=1e-4)
    np.testing.assert_array_equal(np.concatenate(list(y.numpy()), axis=1)[..., 1], target >> 1 & 1)
    batches = training_batches(made.tiles("train"), graph, options, recipe.training, 2)
    x, y = next(iter(batches))
    assert (x.shape, y.shape) == ((8, 32, 32, 3), (8, 32, 32, 2))
    assert set(np.unique(y)) == {0, 1}
    first = list(batches.take(5).as_numpy_iterator())
    later = training_batches(made.tiles("train"), graph, options, recipe.training, 2, start=3)
    for again in (batches, batches, later.take(2)):  # each iteration, and one that goes on
        *_, last = again.take(5).as_numpy_iterator()
        np.testing.assert_array_equal(last[0], first[-1][0])
        np.testing.assert_array_equal(last[1], first[-1][1])
    assert not np.array_equal(first[0][0], first[1][0])


def make_layer(made: TransformGraph):
    import tensorflow_transform as tft

    return tft.TFTransformOutput(str(made.graph)).transform_features_layer()
