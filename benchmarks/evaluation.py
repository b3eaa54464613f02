"""What `segtrail evaluate` costs beside the model's own answers, in one run.

    python benchmarks/evaluation.py WORKSPACE [--recipe nuclei] [--images 1000] [--pairs 3]

WORKSPACE has trained the recipe; it is only read. Made-up images of 256 by 256 pixels with 100
nuclei each, some of them touching, are (1) answered by the SavedModel, one after another, as TF
Serving computes it, and (2) evaluated whole: answers, scores, the table of objects, pictures,
intervals. Interleaved pairs in one process; asked: at most 1.5 times the wall time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

SIDE, OBJECTS, GRID = 256, 100, 10


def made_up(number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """Returns a fluorescence image and its instance ids: a jittered grid of ellipses."""
    generator = np.random.default_rng(number)
    labels = np.zeros((SIDE, SIDE), np.uint16)
    picture = np.zeros((SIDE, SIDE), np.float32)
    pitch = SIDE / GRID
    for k in range(OBJECTS):
        x, y = (pitch * (c + 0.5) + generator.uniform(-3, 3) for c in (k % GRID, k // GRID))
        shape = ((x, y), tuple(generator.uniform(16, 24, 2)), generator.uniform(0, 180))
        one = np.zeros((SIDE, SIDE), np.uint8)
        cv2.ellipse(one, shape, 1, -1)
        labels[(one > 0) & (labels == 0)] = k + 1
        picture += one * generator.uniform(60, 140)
    picture = cv2.GaussianBlur(picture, (0, 0), 1.2) + generator.normal(12, 3, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), labels


def prepare(source: Path, recipe: str, images: int, root: Path) -> None:
    """Makes a workspace with the model and made-up test images."""
    import pandas as pd
    import tensorflow as tf

    from model.examples import Example
    from segtrail.artifacts import TEST, Examples, Model
    from segtrail.images import encode_png
    from segtrail.workspace import Workspace

    theirs, ours = Workspace.at(source), Workspace(root, root)
    shutil.copy(theirs.params, ours.params)
    shutil.copytree(Model.of(theirs, recipe).require().root, Model.of(ours, recipe).root)
    examples = Examples.of(ours, recipe)
    examples.root.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(examples.records(TEST))) as writer:
        for number in range(images):
            image, labels = made_up(number)
            name = f"made-up-{number:05d}"
            writer.write(
                Example(
                    name, encode_png(image), encode_png(labels), "fluorescence", name
                ).serialize()
            )
    pd.DataFrame({"image": []}).to_parquet(examples.manifest)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--recipe", default="nuclei")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    from components.evaluate import evaluate
    from model.examples import read_examples
    from segtrail.artifacts import TEST, Examples, Model
    from segtrail.session import SessionModel
    from segtrail.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare(options.workspace.resolve(), options.recipe, options.images, root)
        workspace = Workspace(root, root)
        model = SessionModel(Model.of(workspace, options.recipe).root)
        outputs = ["mask_png", "probability_png", "labels_png"]

        def answer() -> None:
            for example in read_examples(Examples.of(workspace, options.recipe).records(TEST)):
                model.run("serving_default", {"image_bytes": [example.image_bytes]}, outputs)

        def evaluated() -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                evaluate(workspace, options.recipe)

        answer()  # both warm
        pairs = [(_seconds(answer), _seconds(evaluated)) for _ in range(options.pairs)]
    for place, what in enumerate(("wall", "CPU")):
        alone, whole = zip(*((a[place], b[place]) for a, b in pairs), strict=True)
        ratio = statistics.median(b / a for a, b in zip(alone, whole, strict=True))
        print(
            f"{what}: answers {statistics.median(alone):.1f} s, evaluation "
            f"{statistics.median(whole):.1f} s for {options.images} images: {ratio:.2f} times"
        )
    return 0


def _seconds(run: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    sys.exit(main())
