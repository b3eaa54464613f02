"""A tiny SavedModel that keeps the contract, and a server that serves it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from candidates import write_warm_up

from serving import config, launch


@dataclass(frozen=True)
class Live:
    """A running embedded server: `models.config` and two versions of `tiny`, 1 serving."""

    target: str
    config: Path
    models: Path
    pid: int
    log: Path


def save_tiny(path: Path, threshold: int) -> None:
    """Saves a model whose foreground is what is brighter than `threshold`."""
    import tensorflow as tf

    class Tiny(tf.Module):
        def __init__(self):
            super().__init__()
            self.threshold = tf.Variable(threshold, dtype=tf.int32)

        def one(self, data):
            # channels=1 is refused for BMP
            image = tf.io.decode_image(data, expand_animations=False)[..., :1]
            mask = tf.cast(tf.cast(image, tf.int32) > self.threshold, tf.uint8)
            size = tf.cast(tf.shape(image), tf.int64)
            labels = tf.cast(mask, tf.uint16)
            return (
                tf.io.encode_png(mask), tf.io.encode_png(image)[None], size[0], size[1],
                tf.io.encode_png(labels), tf.cast(tf.reduce_max(mask), tf.int64),
            )  # fmt: skip

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def serve(self, image_bytes):
            kinds = (tf.string, tf.string, tf.int64, tf.int64, tf.string, tf.int64)
            mask, probability, height, width, labels, count = tf.map_fn(
                self.one, image_bytes, fn_output_signature=kinds
            )
            return {
                "mask_png": mask, "probability_png": tf.reshape(probability, [-1, 1]),
                "height": height, "width": width, "labels_png": labels, "count": count,
            }  # fmt: skip

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.uint8, "images")])
        def raw(self, images):
            return {"probabilities": tf.cast(images, tf.float32) / 255}

        @tf.function(input_signature=[])
        def metadata(self):
            return {
                "class_names": tf.constant(["nucleus"]), "recipe": tf.constant("tiny"),
                "data_version": tf.constant("abc"), "threshold": tf.constant(0.5),
            }  # fmt: skip

    module = Tiny()
    tf.saved_model.save(
        module,
        str(path),
        {"serving_default": module.serve, "raw": module.raw, "metadata": module.metadata},
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """`<folder>/1` and `<folder>/2`, thresholds 127 and 63, 1 with a warm-up request."""
    pytest.importorskip("tensorflow")
    from segtrail.images import encode_png

    folder = tmp_path_factory.mktemp("tiny")
    save_tiny(folder / "1", 127)
    save_tiny(folder / "2", 63)
    write_warm_up(folder / "1", encode_png(np.zeros((3, 3), np.uint8)))
    return folder


@pytest.fixture(scope="session")
def live(tiny, tmp_path_factory):
    """One server for the whole session; each test uses a model name of its own to change."""
    folder = tmp_path_factory.mktemp("live")
    models = folder / "models"
    shutil.copytree(tiny, models / "tiny")
    path = folder / "models.config"
    config.set_champion(path, "tiny", models / "tiny", 1)
    with launch.running_server("tiny", config=path, log=folder / "server.log") as server:
        yield Live(server.target, path, models, server.pid, server.log)
