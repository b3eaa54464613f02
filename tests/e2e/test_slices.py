"""A candidate that is better on average and worse on stained tissue does not get through.

The way it happens: a delivery mends the masks of fluorescence images, which were drawn too
tightly, and brings those of stained tissue the wrong way round.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from components.synthetic import generate
from lineage import ledger
from segtrail.files import read_json
from segtrail.images import decode_image, encode_png
from serving import config

RECIPE = "tiny"
Masks = list[npt.NDArray[np.bool_]]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 images of fluorescence and 18 of stained tissue, in the DSB 2018 layout."""
    folder = tmp_path_factory.mktemp("delivery") / "images"
    generate(folder, images=120, seed=21)
    for each in (*folder.glob("bright-field-*"), *sorted(folder.glob("stained-*"))[18:]):
        shutil.rmtree(each)
    return folder


def too_tight(masks: Masks) -> Masks:
    cores = [ndimage.binary_erosion(mask, iterations=4) for mask in masks]
    return [core for core in cores if core.any()] or masks


def the_wrong_way_round(masks: Masks) -> Masks:
    return [~np.any(masks, axis=0)]


def deliver(clone, images: Path, out: Path, changes: dict[str, Callable[[Masks], Masks]]) -> None:
    """Delivers the training images of these kinds once more, with changed masks."""
    with open(clone.root / "data/cells/splits.csv", newline="", encoding="utf-8") as f:
        training = [row["image"] for row in csv.DictReader(f) if row["split"] == "train"]
    for kind, change in changes.items():
        for name in (name for name in training if name.startswith(kind)):
            shutil.copytree(images / name / "images", out / name / "images")
            drawn = sorted((images / name / "masks").iterdir())
            masks = [decode_image(path.read_bytes(), path.name) > 0 for path in drawn]
            (out / name / "masks").mkdir()
            for number, mask in enumerate(change(masks)):
                path = out / name / "masks" / f"{number}.png"
                path.write_bytes(encode_png(mask.astype(np.uint8) * 255))
    clone.run("ingest", str(out), "--dataset", "cells", "--replace")


def test_better_on_average_but_worse_on_stained_tissue_is_refused(slices_clone, images, tmp_path):
    clone = slices_clone
    clone.run("ingest", str(images), "--dataset", "cells")
    deliver(clone, images, tmp_path / "first", {"fluorescence": too_tight})
    clone.change_params("preprocessing", invert_bright=False)  # the kinds are told apart
    clone.change_params("training", steps=80)
    clone.retrain()
    changes = {"stained": the_wrong_way_round, "fluorescence": list}
    deliver(clone, images, tmp_path / "second", changes)
    rule = {"metric": "mean_iou", "margin": 0.05}
    rules = [rule | {"judged": "value"}, rule | {"slice": "each"}]
    clone.change_params("gate", relative=rules)

    said = clone.retrain(code=3)

    verdict = read_json(clone.root / "artifacts" / RECIPE / "gate" / "verdict.json")
    found = {each["slice"]: each for each in verdict["rules"] if each["kind"] == "relative"}
    assert found["all"]["value"] > 0
    said_of = {name: each["verdict"] for name, each in found.items()}
    assert said_of == {"all": "pass", "fluorescence": "pass", "stained": "fail"}
    assert "mean_iou on stained changes by -" in said
    assert config.champion(clone.root / "serving" / "models.config", RECIPE) == 1
    entries = ledger.read(clone.root / "ledger" / f"{RECIPE}.jsonl")
    assert entries[-1].event == "rejected"
