"""Trainer: a U-Net on the transformed tiles, tracked in MLflow, exported as a SavedModel."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from lineage.data_version import DataVersion
from lineage.training_run import TrainingRunRecord, environment
from model.evaluation import read_examples
from model.export import export
from model.training import fit
from model.training_data import training_batches, validation_batches
from model.unet import build_unet
from model.verify import verify_in_fresh_process
from segtrail.artifacts import TRAIN, VALIDATION, Examples, Model, TrainingRun, TransformGraph
from segtrail.code import code_digest
from segtrail.colour import CHANNELS
from segtrail.files import atomic_folder, read_json, write_json
from segtrail.params import dump, load_recipe
from segtrail.progress import say
from segtrail.saved_model import digest
from segtrail.task import load_task
from segtrail.workspace import Workspace

_VALIDATION_TILES = 160  # enough to see how training goes; the test split decides


def train(workspace: Workspace, name: str) -> Model:
    """Trains the recipe's network and writes the candidate and the record of its training.

    With `training.deterministic` the same inputs give the same SavedModel, byte for byte, on
    the same kind of machine.

    Raises:
        StageError: Training broke down, or the SavedModel does not load in a fresh process.
    """
    # TensorFlow's own allocator keeps its pages: a tenth less time than malloc on CPU
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    import keras
    import tensorflow as tf
    import tensorflow_transform as tft

    recipe, task = load_recipe(workspace, name), load_task(workspace, name)
    examples = Examples.of(workspace, name).require()
    transform = TransformGraph.of(workspace, name).require()
    candidate, record = Model.of(workspace, name), TrainingRun.of(workspace, name)
    read = read_json(examples.data_version)
    data = DataVersion(read["dataset"], read["dvc_md5"], read["sha256_root"], files={})
    options, planes = recipe.training, len(task.planes)

    keras.utils.set_random_seed(options.seed)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    graph = tft.TFTransformOutput(str(transform.graph)).transform_features_layer()
    batches = training_batches(transform.tiles(TRAIN), graph, recipe.preprocessing, options, planes)
    validation = validation_batches(
        transform.tiles(VALIDATION), graph, recipe.preprocessing, options.batch_size, planes,
        every=-(-_count(transform, VALIDATION) // _VALIDATION_TILES),
    )  # fmt: skip
    network = build_unet(recipe.network, CHANNELS[recipe.preprocessing.colour], planes)
    facts: dict[str, Any] = {
        "recipe": dump(recipe),
        "code_digest": code_digest(),
        "environment": environment(),
        "seed": options.seed,
        "steps": options.steps,
        "parameters": network.count_params(),
    }
    say(f"training a U-Net of {network.count_params():,} parameters for {options.steps} steps")
    tags = {"segtrail.recipe": name, "segtrail.code_digest": facts["code_digest"]}
    with (
        TrainingRunRecord(workspace, name, dump(recipe), data, tags) as run,
        atomic_folder(record.root) as record_folder,
        atomic_folder(candidate.root) as model_folder,
    ):
        history = fit(network, batches, validation, options, task, run.metrics)
        sample = next(read_examples(examples.records(VALIDATION))).image_bytes
        # no run id: a random number would make equal models differ
        answers = {"recipe": name, "data_version": data.dvc_md5}
        export(network, graph, recipe, task, answers, model_folder, sample)
        verify_in_fresh_process(model_folder, sample)
        facts |= {
            "model_digest": digest(model_folder),
            "mlflow_run_id": run.run_id,
            "mlflow_experiment": run.experiment_id,
            "data_version": {"dvc_md5": data.dvc_md5, "sha256_root": data.sha256_root},
        }
        _write_record(record_folder, facts, history, run)
    say(f"candidate {facts['model_digest'][:12]} in {candidate.root}; MLflow run {run.run_id}")
    return candidate


def _count(transform: TransformGraph, split: str) -> int:
    return sum(read_json(transform.statistics)["tiles"][split].values())


def _write_record(
    folder: Path, facts: dict[str, Any], history: list[dict[str, float]], run: TrainingRunRecord
) -> None:
    out = TrainingRun(folder, "")
    with open(folder / "history.csv", "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, history[0])
        writer.writeheader()
        writer.writerows(history)
    _draw_curves(history, folder / "curves.png")
    write_json(out.run, facts)
    for path in (folder / "history.csv", folder / "curves.png", out.run):
        run.file(path)


def _draw_curves(history: list[dict[str, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2), ("loss", "iou"), strict=True):
        steps = [row["step"] for row in history]
        axes.plot(steps, [row[key] for row in history], "o-", label="training")
        axes.plot(steps, [row[f"val_{key}"] for row in history], "o-", label="validation")
        axes.set(xlabel="step", ylabel="mean IoU of the classes" if key == "iou" else key)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)
