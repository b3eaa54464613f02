"""What the transform stage costs, against a plain OpenCV loop that does the same, in one run.

    python benchmarks/transform.py WORKSPACE [--recipe nuclei] [--pairs 3] [--times 1] [--memory]

WORKSPACE has the recipe's examples and has passed `segtrail validate` (`segtrail fetch-data
dsb2018`, `segtrail ingest`, `segtrail examples`, `segtrail validate`); it is only read.

1. Images a second of the stage (TF Transform on Beam, in one process) against a loop over the same
   examples in plain Python: decode with OpenCV, make grey, targets, tiles and histograms, add up
   the histograms, write TFRecords. Each runs in a process of its own, in interleaved pairs; imports
   are not counted, since they do not grow with the data. With --times, so many copies of each
   image: Beam and TF Transform take about three seconds to start, whatever the data.
2. With --memory, peak memory of the stage for 1, 4 and 16 times the images.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder has names of packages
from benchmarks.pairs import Clock, apart, print_ratios  # noqa: E402

SPLITS = ("train", "validation")


def ours(root: Path, recipe: str) -> None:
    """Runs the stage in this process and prints what it took."""
    import apache_beam  # noqa: F401
    import tensorflow_transform.beam  # noqa: F401

    from components.transform import transform
    from segtrail.workspace import Workspace

    _measure(lambda: transform(Workspace(root, root), recipe))


def plain(root: Path, recipe: str) -> None:
    """Does the same with OpenCV and a loop, and prints what it took."""
    import tensorflow as tf

    from segtrail.params import load_recipe
    from segtrail.task import load_task
    from segtrail.workspace import Workspace

    workspace = Workspace(root, root)
    options, task = load_recipe(workspace, recipe).preprocessing, load_task(workspace, recipe)
    if (options.colour, options.scale, options.resize, task.masks) != (
        "grey",
        1,
        None,
        "instances",
    ):
        raise SystemExit("the plain loop does what the recipe nuclei asks for, and no more")
    out = workspace.artifacts(recipe) / "plain"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    _measure(lambda: _loop(tf, workspace.artifacts(recipe) / "examples", out, options))


def _loop(tf: Any, examples: Path, out: Path, options: Any) -> None:
    import cv2
    import numpy as np

    tile, (down, across) = options.tile, options.strides
    kernel = np.ones((2 * options.border_width + 1,) * 2, np.uint8)
    total = np.zeros(256, np.int64)
    for split in SPLITS:
        writers: dict[str, Any] = {}
        for record in tf.data.TFRecordDataset(str(examples / f"{split}.tfrecord")):
            feature = tf.train.Example.FromString(record.numpy()).features.feature
            encoded = np.frombuffer(feature["image/encoded"].bytes_list.value[0], np.uint8)
            image = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
            if image.ndim == 3:
                image = cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY)
            encoded = np.frombuffer(feature["mask/encoded"].bytes_list.value[0], np.uint8)
            labels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED).astype(np.uint16)
            highest = cv2.dilate(labels, kernel)
            lowest = cv2.erode(labels - np.uint16(1), kernel) + np.uint16(1)
            border = (highest > 0) & (lowest > 0) & (highest != lowest)
            target = (labels > 0).astype(np.uint8) | border.astype(np.uint8) << 1
            histogram = np.bincount(image.ravel(), minlength=256)
            if split == "train":
                total += histogram
            bottom, right = (max(0, tile - side) for side in image.shape)
            image, target = (
                cv2.copyMakeBorder(plane, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)
                for plane in (image, target)
            )
            height, width = image.shape
            corners = [
                (min(y, height - tile), min(x, width - tile))
                for y in range(0, height - tile + down, down)
                for x in range(0, width - tile + across, across)
            ]
            part = feature["image/slice"].bytes_list.value[0].decode()
            if part not in writers:
                writers[part] = tf.io.TFRecordWriter(str(out / f"{split}-{part}"))
            example = tf.train.Example()
            values = example.features.feature
            values["histogram"].int64_list.value.extend(histogram.tolist())
            values["share"].float_list.value.append(min(1.0, 4 / len(corners)))
            for y, x in corners:
                pixels = image[y : y + tile, x : x + tile].tobytes()
                values["image"].bytes_list.value[:] = [pixels]
                values["target"].bytes_list.value[:] = [
                    target[y : y + tile, x : x + tile].tobytes()
                ]
                writers[part].write(example.SerializeToString())
        for writer in writers.values():
            writer.close()
    np.save(out / "histogram.npy", total)


def _measure(work: Callable[[], object]) -> None:
    clock = Clock()
    work()
    clock.tell()


def copies(workspace: Path, recipe: str, times: int, to: Path) -> int:
    """Makes a workspace with each example so many times; returns how many images it has."""
    import pandas as pd
    import tensorflow as tf

    from model.examples import IMAGE_ID

    source, target = (folder / "artifacts" / recipe for folder in (workspace, to))
    (target / "examples").mkdir(parents=True)
    shutil.copy(workspace / "params.yaml", to)
    shutil.copytree(source / "validation", target / "validation")
    for split in SPLITS:
        with tf.io.TFRecordWriter(str(target / f"examples/{split}.tfrecord")) as writer:
            for record in tf.data.TFRecordDataset(str(source / f"examples/{split}.tfrecord")):
                example = tf.train.Example.FromString(record.numpy())
                name = example.features.feature[IMAGE_ID].bytes_list
                image = name.value[0]
                for number in range(times):
                    name.value[:] = [image + f"-{number}".encode()]
                    writer.write(example.SerializeToString())
    rows = pd.read_parquet(source / "examples/manifest.parquet")
    rows = rows[rows["split"].isin(SPLITS)]
    more = rows.loc[rows.index.repeat(times)].reset_index(drop=True)
    more["image"] += [f"-{number}" for _ in range(len(rows)) for number in range(times)]
    more.to_parquet(target / "examples/manifest.parquet")
    return len(more)


def main() -> None:
    """Prints the figures."""
    one = partial(apart, __file__)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--recipe", default="nuclei")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--times", type=int, default=1, help="each image so many times")
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="segtrail-benchmark-") as temporary:
        if given.pairs:
            root = Path(temporary) / "speed"
            images = copies(given.workspace, given.recipe, given.times, root)
            one("plain", root, given.recipe)  # the files are in the page cache for both
            pairs = [
                (
                    one("ours", root, given.recipe),
                    one("plain", root, given.recipe),
                )
                for _ in range(given.pairs)
            ]
            print(f"{given.recipe}: {images} images, {given.pairs} interleaved pairs, medians")
            print_ratios("the stage", pairs, images, lambda stage, loop: loop / stage)
            shutil.rmtree(root)
        for times in (1, 4, 16) if given.memory else ():
            root = Path(temporary) / f"memory-{times}"
            images = copies(given.workspace, given.recipe, times, root)
            run = one("ours", root, given.recipe)
            print(
                f"  {times:2d}x: {images} images, {run['seconds']:.1f} s, "
                f"peak memory {run['peak_mib']:.0f} MiB"
            )
            shutil.rmtree(root)


if __name__ == "__main__":
    modes = {"ours": ours, "plain": plain}
    if sys.argv[1:2] and sys.argv[1] in modes:
        modes[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
    else:
        main()
