"""What the network sees is the same, to the last bit, in training, evaluation and serving.

The network that is exported here answers a digest of its input, eight bytes as eight planes, the
same everywhere: so they come through the answer at any size, and through its 8-bit PNGs.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from model.examples import Example
from segtrail.artifacts import TEST, TRAIN, VALIDATION, Examples, TransformGraph, ValidationResult
from segtrail.files import write_json, write_text
from segtrail.images import decode_image, encode_png
from segtrail.params import load_recipe
from segtrail.recipe import Recipe
from segtrail.settings.objects import Objects
from segtrail.task import Task, load_task
from segtrail.workspace import Workspace

DATA = Path(__file__).parents[3] / "shared/data"
BYTES = 8

OPTIONS = {
    "grey": {"tile": 32, "stride": [32, 16]},
    "rgb-inverted-sqrt": {
        "colour": "rgb", "invert_bright": True, "intensity": "sqrt", "scale": 2,
        "sixteen_bit": "full-range", "tile": 48, "stride": 40,
    },
    "dataset": {
        "normalisation": "dataset", "intensity": "sqrt", "sixteen_bit": "percentiles",
        "tile": 64, "stride": 64,
    },
    "resized": {"resize": [64, 96], "tile": 64, "stride": [48, 32], "sixteen_bit": "percentiles"},
    "resized-rgb-dataset": {
        "colour": "rgb", "normalisation": "dataset", "resize": [80, 48], "tile": 48, "stride": 32,
        "sixteen_bit": "full-range",
    },
    "quarter": {"scale": 4, "invert_bright": False, "tile": 32, "stride": 32},
}  # fmt: skip


class DigestNetwork:
    """Answers, everywhere, logits of the eight bytes of a digest of its input `[1, H, W, C]`."""

    variables = ()

    def __call__(self, x, training=False):
        import tensorflow as tf

        bits = tf.reshape(tf.cast(tf.bitcast(x, tf.int32), tf.int64), [-1])
        shape = tf.shape(x, tf.int64)
        place = tf.range(tf.size(bits, tf.int64)) + shape[1] * 7919 + shape[2]
        found = digest_of(bits, place, tf.reduce_sum)
        value = tf.stack([tf.bitwise.right_shift(found, 8 * k) & 255 for k in range(BYTES)])
        share = tf.clip_by_value(tf.cast(value, tf.float32) / 255, 1e-6, 1 - 1e-6)
        logits = tf.math.log(share / (1 - share))
        return tf.broadcast_to(logits, tf.concat([tf.shape(x)[:3], [BYTES]], 0))


def digest_of(bits, place, total):
    """Returns 63 bits; integers that stay below 2^63 are added, so the order does not matter."""
    weight = (place * 40503 + 12345) % 65521 + 1
    low, high = (bits & 0xFFFF) * weight, ((bits // 65536) & 0xFFFF) * weight
    return (total(low) % ((1 << 32) - 5)) + (total(high) % ((1 << 31) - 1)) * (1 << 32)


def digest(x):
    """Returns the digest, uint8 `[8]`, of an input float32 `[H, W, C]`."""
    bits = np.ascontiguousarray(x).view(np.int32).astype(np.int64).ravel()
    place = np.arange(bits.size) + x.shape[0] * 7919 + x.shape[1]
    found = int(digest_of(bits, place, np.sum))
    return np.array([found >> 8 * k & 255 for k in range(BYTES)], np.uint8)


@dataclass(frozen=True)
class Lab:
    """A workspace whose transform stage has run, and the model exported from it."""

    workspace: Workspace
    recipe: Recipe
    task: Task
    made: TransformGraph
    layer: Any
    exported: Path


@pytest.fixture
def build(tmp_path):
    """Runs the transform stage over encoded images and exports the network of digests."""
    return lambda images, preprocessing: make_lab(tmp_path, images, preprocessing)


def make_lab(root, images, preprocessing):
    import tensorflow as tf
    import tensorflow_transform as tft

    from components.transform import transform
    from model.export import export

    workspace = Workspace(root, root)
    names = [f"c{k}" for k in range(BYTES)]
    params = {
        "datasets": {
            "d": {
                "adapter": "folders", "masks": "multilabel", "classes": names, "slices": {},
                "splits": {},
            }
        },
        "recipes": {
            "r": {
                "dataset": "d", "classes": names, "preprocessing": preprocessing,
                "network": {"depth": 3}, "training": {"steps": 1, "crop": 32}, "objects": {},
                "validation": {}, "serving": {},
                "gate": {"absolute": [{"metric": "mean_dice", "min": 0.5}]},
            }
        },
    }  # fmt: skip
    write_text(workspace.params, yaml.safe_dump(params))
    examples, rows = Examples.of(workspace, "r"), []
    examples.root.mkdir(parents=True)
    for split in (TRAIN, VALIDATION, TEST):
        with tf.io.TFRecordWriter(str(examples.records(split))) as writer:
            for number, data in enumerate(images):
                height, width = decode_image(data, "x").shape[:2]
                mask = encode_png(np.zeros((height, width), np.uint8))
                name = f"{split}-{number}"
                writer.write(Example(name, data, mask, "s", name).serialize())
                size = {"height": height, "width": width}
                rows.append({"image": name, "split": split, "slice": "s"} | size)
    pd.DataFrame(rows).to_parquet(examples.manifest)
    write_json(ValidationResult.of(workspace, "r").result, {"passed": True})
    made = transform(workspace, "r")
    recipe, task = load_recipe(workspace, "r"), load_task(workspace, "r")
    layer = tft.TFTransformOutput(str(made.graph)).transform_features_layer()
    out = root / "saved"
    facts = {"recipe": "r", "data_version": "d"}
    export(DigestNetwork(), layer, recipe, task, facts, out, images[0])
    return Lab(workspace, recipe, task, made, layer, out)


def network_inputs_of_training(lab, split, sizes):
    """Yields each image as training sees it, put together from its normalised tiles."""
    from model.preprocessing import HISTOGRAM, IMAGE, normalise
    from model.tile_records import read_tiles
    from model.tiles import starts

    options = lab.recipe.preprocessing
    (paths,) = lab.made.tiles(split).values()
    tiles = read_tiles(paths, options).map(lambda t: normalise(lab.layer, t[IMAGE], t[HISTOGRAM]))
    stored = iter(tiles.as_numpy_iterator())
    side = options.tile
    for height, width in sizes:
        if options.resize:
            height, width = options.resize
        else:
            height, width = -(-height // options.scale), -(-width // options.scale)
        whole = None
        down, across = options.strides
        for y in starts(max(height, side), side, down):
            for x in starts(max(width, side), side, across):
                tile = next(stored)
                if whole is None:
                    whole = np.full((height, width, tile.shape[2]), np.nan, np.float32)
                place = whole[y : y + side, x : x + side]
                part = tile[: height - y, : width - x]
                seen = ~np.isnan(place)
                assert (place[seen] == part[seen]).all()  # where tiles overlap they agree
                place[:] = part
        assert not np.isnan(whole).any()
        yield whole
    assert next(stored, None) is None


def padded(x, multiple):
    """Returns an image reflected up to a multiple, as the network gets it whole."""
    for axis in (0, 1):
        length = x.shape[axis]
        wanted = -(-length // multiple) * multiple
        period = max(2 * (length - 1), 1)
        at = np.arange(wanted) % period
        x = np.take(x, np.minimum(at, period - at) if length > 1 else 0 * at, axis=axis)
    return x


def check(lab, images):
    """Compares the digests of all the ways to the network."""
    from model.evaluation import score
    from model.examples import read_examples
    from segtrail.session import SessionModel

    pixels = [decode_image(data, "x") for data in images]
    sizes = [image.shape[:2] for image in pixels]
    multiple = lab.recipe.network.down_scale
    for split in (TRAIN, VALIDATION):
        inputs = network_inputs_of_training(lab, split, sizes)
        expected = [digest(padded(x, multiple)) for x in inputs]
    # the digest tells images apart; those of one level are all 0
    assert len({e.tobytes() for e in expected}) >= len(images) - 2
    served = SessionModel(lab.exported)
    examples = list(read_examples(Examples.of(lab.workspace, "r").records(TEST)))
    for example, want in zip(examples, expected, strict=True):
        answer = served.run("serving_default", {"image_bytes": [example.image_bytes]})
        shown = [decode_image(png, "x") for png in answer["probability_png"][0].tolist()]
        assert all((plane == plane[0, 0]).all() for plane in shown)
        np.testing.assert_array_equal([plane[0, 0] for plane in shown], want)
    for answer, want in zip(score(served, examples, lab.task, Objects()), expected, strict=True):
        assert (answer.mask == ((want > 127) << np.arange(BYTES)).sum()).all()
    for image, want in zip(pixels, expected, strict=True):
        signature = "raw" if image.dtype == np.uint8 else "raw16"
        image = image if image.ndim == 3 else image[..., None]
        raw = served.run(signature, {"images": image[None]})["probabilities"][0]
        np.testing.assert_array_equal(np.round(raw[0, 0] * 255), want)
    served.close()


def synthetic():
    """Encoded images of every kind: grey, RGB, RGBA; 8, 12 and 16 bit; dark, bright; odd sizes."""
    generator = np.random.default_rng(11)
    kinds = [
        ((64, 64), 8), ((33, 47, 3), 8), ((70, 41, 4), 8), ((1, 1), 8), ((5, 90, 3), 8),
        ((101, 77), 12), ((63, 52), 16), ((37, 85, 3), 16), ((50, 31, 4), 12), ((131, 40), 9),
    ]  # fmt: skip
    out = []
    for number, (shape, bits) in enumerate(kinds):
        top = (1 << bits) - 1
        # most of it dark or bright, with a few pixels that are not
        noise = generator.gamma(2.0, top / 12, shape).clip(0, top)
        noise = top - noise if number % 2 else noise
        pixels = noise.astype(np.uint8 if bits == 8 else np.uint16)
        if shape[-1] == 4:
            pixels[..., 3] = np.iinfo(pixels.dtype).max
        out.append(encode_png(pixels))
    return out


@pytest.mark.parametrize("name", list(OPTIONS))
def test_synthetic_images_of_every_kind(name, build):
    images = synthetic()
    check(build(images, OPTIONS[name]), images)


def members(archive, suffix, contains, every):
    with zipfile.ZipFile(DATA / archive) as z:
        found = [i for i in z.namelist() if i.endswith(suffix) and contains in i]
        return [z.read(name) for name in sorted(found)[::every]]


REAL = {
    "dsb2018": ("dsb2018/stage1_train.zip", ".png", "/images/", 60, OPTIONS["dataset"]),
    "dsb2018-128": (
        "dsb2018/stage1_train.zip", ".png", "/images/", 60,
        {"colour": "rgb", "resize": [128, 128], "tile": 128, "stride": 128},
    ),
    "wbc": ("wbc/segmentation_WBC.zip", ".bmp", "Dataset", 50, OPTIONS["rgb-inverted-sqrt"]),
    "isbi2012": ("isbi2012/membrane.zip", ".png", "train/image", 6, OPTIONS["resized"]),
    "drishti-gs": (
        "drishti-gs/Drishti-GS1_files.zip", ".png", "Training/Images", 20,
        {"colour": "rgb", "scale": 4, "tile": 224, "stride": 192},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not there")
@pytest.mark.parametrize("name", list(REAL))
def test_real_images_of_every_set(name, build):
    archive, suffix, contains, every, preprocessing = REAL[name]
    # as the adapters land them: PNG
    images = [
        encode_png(decode_image(data, "x")) for data in members(archive, suffix, contains, every)
    ]
    assert len(images) >= 3
    check(build(images, preprocessing), images)
