"""A small evaluation, made by hand: for tests of what is read from one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from components.gate import judge
from model.examples import Example
from model.scores.image import score_image
from model.scores.levels import count_levels
from model.summary import intervals, summarise
from segtrail.artifacts import Evaluation, Examples, Model, TrainingRun
from segtrail.files import sha256_bytes, sha256_file, write_bytes, write_json, write_text
from segtrail.images import encode_png
from segtrail.saved_model import digest
from segtrail.settings.objects import Objects
from segtrail.task import Task, load_task
from segtrail.workspace import Workspace

IMAGES = 14


def truth(number: int) -> np.ndarray:
    labels = np.zeros((60, 80), np.uint16)
    for k in range(4):
        labels[5 + 3 * k : 15 + 3 * k, 3 + 19 * k : 18 + 19 * k] = k + 1
    return np.roll(labels, number, 0)


def answer(number: int) -> np.ndarray:
    """The more of the objects is missed the higher the number is."""
    labels = truth(number)
    labels[:, :number] = 0
    return labels


def evaluated(root: Path, masks: str) -> Workspace:
    """Returns a workspace with an evaluated, judged candidate that misses more and more."""
    import tensorflow as tf

    workspace = Workspace(root, root)
    params = {
        "datasets": {
            "cells": {
                "adapter": "folders", "masks": masks, "classes": ["cell"], "slices": {},
                "splits": {},
            }
        },
        "recipes": {
            "r": {
                "dataset": "cells", "classes": ["cell"], "preprocessing": {}, "network": {},
                "training": {"steps": 1}, "objects": {}, "validation": {}, "serving": {},
                "gate": {
                    "absolute": [
                        {"metric": "mean_iou", "min": 0.4},
                        {"metric": "mean_iou", "slice": "each", "min": 0.1, "too_few": "report"},
                    ],
                },
            }
        },
    }  # fmt: skip
    write_text(workspace.params, yaml.safe_dump(params))
    task = load_task(workspace, "r")
    write_text(Model.of(workspace, "r").root / "saved_model.pb", "the candidate")
    examples, evaluation = Examples.of(workspace, "r"), Evaluation.of(workspace, "r")
    write_text(examples.manifest, "not read")
    rows, levels = [], 0
    with tf.io.TFRecordWriter(str(examples.records("test"))) as writer:
        for number in range(IMAGES):
            true, said = truth(number), answer(number)
            if masks == "classes":
                true, said = (true > 0).astype(np.uint16), (said > 0).astype(np.uint16)
            name = f"i{number:02d}" if number < 13 else "<b>i13"
            image = encode_png((true > 0).astype(np.uint8) * 180 + 20)
            part = "rare" if number == 3 else "x"
            example = Example(name, image, encode_png(true), part, f"g{number}")
            writer.write(example.serialize())
            row, counts = scores(example, true, said, task)
            rows.append(row)
            levels = levels + counts
            mask = (said > 0).astype(np.uint8)
            write_bytes(evaluation.predictions / f"{name}.png", encode_png(mask))
            if masks == "instances":
                write_bytes(evaluation.root / "objects" / f"{name}.png", encode_png(said))
    per_image = pd.DataFrame(rows)
    per_image.to_parquet(evaluation.per_image)
    metrics = {
        "slices": summarise(per_image), "intervals": intervals(per_image),
        "model_digest": digest(Model.of(workspace, "r").root),
        "examples_digest": sha256_file(examples.manifest),
    }  # fmt: skip
    write_json(evaluation.metrics, metrics)
    write_json(evaluation.levels, {"all": levels.tolist()})
    run = TrainingRun.of(workspace, "r")
    data = {"dvc_md5": "d" * 32 + ".dir", "sha256_root": "5" * 64}
    write_json(run.run, {"mlflow_run_id": "0" * 32, "data_version": data})
    write_text(
        run.root / "history.csv",
        "step,loss,iou,val_loss,val_iou\n1,0.9,0.2,0.8,0.3\n2,0.5,0.6,0.6,0.5\n",
    )
    judge(workspace, "r")
    return workspace


def scores(example: Example, true: np.ndarray, said: np.ndarray, task: Task) -> tuple[dict, object]:
    probability = np.where(said > 0, 230, 15).astype(np.uint8)[..., None]
    counts = count_levels(task.true_planes(true), probability)
    labels, mask = (said if task.has_objects else None), (said > 0).astype(np.uint8)
    return {
        "image": example.image,
        "sha256": sha256_bytes(example.image_bytes),
        "slice": example.slice,
        "group": example.group,
        **score_image(true, mask, counts, labels, None, task, Objects()),
    }, counts
