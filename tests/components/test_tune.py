"""`segtrail tune` on tiles of bright discs: trials, a kill, what it leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from segtrail.artifacts import Examples, ValidationResult
from segtrail.files import read_json, write_json, write_text
from segtrail.images import encode_png
from segtrail.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def transformed(tmp_path_factory) -> Workspace:
    """Tiles of discs on a dark ground, and a recipe whose learning rate is far too low."""
    import tensorflow as tf

    from components.transform import transform
    from model.examples import Example

    root = tmp_path_factory.mktemp("workspace")
    workspace = Workspace(root, root)
    params = {
        "datasets": {
            "plates": {
                "adapter": "folders", "masks": "classes", "classes": ["disc"], "slices": {},
                "splits": {},
            }
        },
        "recipes": {
            "discs": {
                "dataset": "plates", "classes": ["disc"],
                "preprocessing": {"tile": 64, "stride": 64, "invert_bright": False},
                "network": {"base_filters": 2, "depth": 2},
                "training": {
                    "steps": 20, "crop": 32, "batch_size": 2, "learning_rate": 1e-6,
                    "augmentation": {},
                },
                "objects": {}, "validation": {}, "serving": {},
                "gate": {"absolute": [{"metric": "mean_iou", "min": 0.5}]},
                "tuning": {"space": {"training.learning_rate": {"choices": [0.03, 0.02]}}},
            }
        },
    }  # fmt: skip
    write_text(workspace.params, yaml.safe_dump(params))
    write_text(root / "dvc.yaml", "")
    examples, rows = Examples.of(workspace, "discs"), []
    examples.root.mkdir(parents=True)
    for split, count in (("train", 4), ("validation", 2)):
        with tf.io.TFRecordWriter(str(examples.records(split))) as writer:
            for number in range(count):
                name = f"{split}-{number}"
                image, mask = discs(len(rows))
                example = Example(name, encode_png(image), encode_png(mask), "all-discs", split)
                writer.write(example.serialize())
                rows.append(
                    {"image": name, "split": split, "slice": "all-discs", "height": 64, "width": 64}
                )
    pd.DataFrame(rows).to_parquet(examples.manifest)
    version = {"dataset": "plates", "dvc_md5": "0" * 32 + ".dir", "sha256_root": "1" * 64}
    write_json(examples.data_version, version)
    write_json(ValidationResult.of(workspace, "discs").result, {"passed": True})
    transform(workspace, "discs")
    return workspace


def discs(seed):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    mask = np.zeros((64, 64), bool)
    for _ in range(3):
        cy, cx, r = *random.integers(8, 56, 2), random.integers(6, 14)
        mask |= (y - cy) ** 2 + (x - cx) ** 2 < r * r
    image = np.where(mask, 180, 40) + random.integers(-20, 20, (64, 64))
    return image.astype(np.uint8), mask.astype(np.uint8)


def command(workspace, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "tune", "--recipe", "discs", *options],
        cwd=workspace.root, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_and_beats_the_recipe(transformed):
    from lineage import mlflow_record
    from lineage.study_record import PARENT_TAG, STATE_TAG

    first = command(transformed, "--trials", "2")
    for line in first.stdout:
        if "trial 1, step 4" in line:
            first.send_signal(signal.SIGKILL)
            break
    first.wait()
    trial = transformed.scratch / "tune" / "discs" / "trial-0001.json"
    deadline = time.monotonic() + 60
    while str(trial) in running() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert str(trial) not in running()  # the training does not outlive the search

    second = command(transformed, "--trials", "2")
    said, _ = second.communicate(timeout=600)
    assert second.returncode == 0, said
    assert "1 trial that was cut off" in said
    assert "trial 0, step" not in said  # it was finished
    trials = pd.read_csv(transformed.scratch / "tune" / "discs" / "trials.csv")
    assert float(trials["training.learning_rate"][0]) == 1e-6
    assert trials["val_iou"][1] > trials["val_iou"][0]

    client = mlflow_record.client(transformed)
    experiment = client.get_experiment_by_name("discs")
    runs = client.search_runs([experiment.experiment_id])
    (study,) = [run for run in runs if PARENT_TAG not in run.data.tags]
    assert study.info.status == "FINISHED"
    nested = [run for run in runs if run.data.tags.get(PARENT_TAG) == study.info.run_id]
    assert sorted(run.info.status for run in nested) == ["FINISHED", "FINISHED", "KILLED"]
    done = [run for run in nested if run.data.tags.get(STATE_TAG) == "complete"]
    assert {len(client.get_metric_history(run.info.run_id, "val_iou")) for run in done} == {5}

    # other data: scores could not be compared
    statistics = transformed.artifacts("discs") / "transform" / "statistics.json"
    write_json(statistics, read_json(statistics) | {"other": 1})
    third = command(transformed, "--trials", "3")
    said, _ = third.communicate(timeout=600)
    assert third.returncode == 1
    assert "transformed data: was" in said
    assert "--new" in said


def running() -> str:
    """Returns the command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(lines)
