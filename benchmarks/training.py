"""What reading, augmenting and watching add to a training step, in one run.

    python benchmarks/training.py WORKSPACE [--recipe nuclei] [--pairs 5] [--steps 24]

WORKSPACE has the recipe's tiles (`segtrail transform --recipe nuclei`); it is only read. Network,
loss, optimizer, metrics and callbacks are those of `segtrail train`, in one process. Each pair
trains for `--steps` steps on the recipe's own batches, every kind of augmentation on, and for as
many on one batch of constant tensors in memory, in turns. The first steps of each, in which
buffers are filled, are not counted; neither is validation. Printed: CPU seconds and wall seconds an
image, and the medians over the pairs of both ratios (asked: at most 1.10 and 1.15).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SETTLE = 4  # steps before counting starts
MOST_CPU, MOST_WALL = 1.10, 1.15
ALL_ON = {
    "rotate": 180.0, "shift": 0.1, "shear": 10.0, "zoom": 0.25, "elastic": 3.0, "gamma": 0.4,
    "chance": 1.0,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--recipe", default="nuclei")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")  # as components/train.py does
    measured = measure(options.workspace, options.recipe, options.pairs, options.steps)
    show(measured, options.recipe)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2) + "\n")
    within = measured["cpu_ratio"] <= MOST_CPU and measured["wall_ratio"] <= MOST_WALL
    return 0 if within else 1


def measure(root: Path, name: str, pairs: int, steps: int) -> dict[str, Any]:
    """Returns CPU and wall seconds an image of both sides, by pair, and the median ratios."""
    import tensorflow as tf

    from components.training.session import prepare
    from segtrail.artifacts import TransformGraph
    from segtrail.params import load_recipe
    from segtrail.settings.training import Augmentation
    from segtrail.task import load_task
    from segtrail.workspace import Workspace

    workspace = Workspace(root, root)
    recipe, task = load_recipe(workspace, name), load_task(workspace, name)
    stain = {"stain": 0.1} if recipe.preprocessing.colour == "rgb" else {}
    augmentation = Augmentation.model_validate(ALL_ON | stain)
    training = recipe.training.model_copy(update={"augmentation": augmentation})
    recipe = recipe.model_copy(update={"training": training})
    session = prepare(recipe, task, TransformGraph.of(workspace, name).require())
    learner, clock, callbacks = _learner(session, recipe, task)
    real = session.batches(0)
    constant = tf.data.Dataset.from_tensors(next(iter(real))).repeat()

    def run(batches: Any) -> dict[str, float]:
        learner.fit(
            batches, epochs=1, steps_per_epoch=steps, callbacks=callbacks, verbose=0, shuffle=False
        )
        images = (steps - SETTLE) * training.batch_size
        return {"cpu": clock.cpu / images, "wall": clock.wall / images}

    run(constant), run(real)  # traces, allocates
    rows = [{"pipeline": run(real), "constant": run(constant)} for _ in range(pairs)]
    return {
        "pairs": rows,
        "cpu_ratio": statistics.median(r["pipeline"]["cpu"] / r["constant"]["cpu"] for r in rows),
        "wall_ratio": statistics.median(
            r["pipeline"]["wall"] / r["constant"]["wall"] for r in rows
        ),
        "batch_size": training.batch_size,
        "crop": training.crop,
    }


def _learner(session: Any, recipe: Any, task: Any) -> tuple[Any, Any, list[Any]]:
    """Returns the network compiled as `model.training.fit` does, a clock, and the callbacks."""
    import keras

    from model.training import compiled
    from model.training_callbacks import Report

    class Clock(keras.callbacks.Callback):
        """Times an epoch from the end of step `SETTLE` to the end of its last step."""

        cpu = wall = 0.0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == SETTLE - 1:
                self._start = time.process_time(), time.perf_counter()
            else:
                self._now = time.process_time(), time.perf_counter()

        def on_train_end(self, logs: Any = None) -> None:
            self.cpu, self.wall = (b - a for a, b in zip(self._start, self._now, strict=True))

    class Quiet(Report):
        """Looks at each step as `train` does, and says nothing at the end."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            """There is no validation to tell of."""

    clock = Clock()
    watching = Quiet(recipe.training, [], lambda *_: None)
    return compiled(session.network, recipe.training, task, session.plan), clock, [watching, clock]


def show(measured: dict[str, Any], name: str) -> None:
    """Prints the table."""
    print(
        f"{name}: batches of {measured['batch_size']} crops of {measured['crop']}², "
        "milliseconds an image"
    )
    print(
        f"{'pair':>6} {'CPU, pipeline':>14} {'constant':>9} {'wall, pipeline':>15} {'constant':>9}"
    )
    for number, row in enumerate(measured["pairs"], 1):
        ours, constant = row["pipeline"], row["constant"]
        print(
            f"{number:>6} {1e3 * ours['cpu']:>14.1f} {1e3 * constant['cpu']:>9.1f} "
            f"{1e3 * ours['wall']:>15.1f} {1e3 * constant['wall']:>9.1f}"
        )
    print(
        f"median ratios: CPU {measured['cpu_ratio']:.3f} (at most {MOST_CPU}), "
        f"wall {measured['wall_ratio']:.3f} (at most {MOST_WALL})"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
