"""Examples of a dataset whose images differ in depth, colour and slice."""

import numpy as np
import pandas as pd
import pytest
import yaml

from components.examples import make_examples
from segtrail import split_ledger
from segtrail.artifacts import SPLITS, Examples
from segtrail.errors import DataError, MissingArtifactError
from segtrail.files import sha256_bytes, write_bytes, write_text
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.images import encode_png
from segtrail.workspace import Workspace

CLASSES = ["cytoplasm", "nucleus"]
# id: dtype and shape, split, slice, removed by
IMAGES = {
    "a": (np.uint16, (20, 30), "train", "deep", ""),
    "b": (np.uint8, (25, 10, 3), "validation", "stained", ""),
    "c": (np.uint8, (12, 12, 4), "test", "stained", ""),
    "gone": (np.uint8, (9, 9), "train", "deep", "2"),
}


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A dataset of class masks as ingestion leaves it; one image was removed."""
    workspace = Workspace(tmp_path, tmp_path)
    params = {
        "datasets": {
            "cells": {"adapter": "folders", "masks": "classes", "classes": CLASSES,
                      "splits": {}, "slices": {"stained": "tissue"}}
        },
        "recipes": {
            "r": {
                "dataset": "cells", "classes": ["nucleus"], "preprocessing": {}, "network": {},
                "training": {"steps": 1}, "objects": {}, "validation": {}, "serving": {},
                "gate": {"absolute": [{"metric": "iou_nucleus", "min": 0.5}]},
            }
        },
    }  # fmt: skip
    write_text(workspace.params, yaml.safe_dump(params))
    generator, folder, ledger = np.random.default_rng(1), workspace.dataset("cells"), {}
    for name, (dtype, shape, split, part, removed) in IMAGES.items():
        image = encode_png(generator.integers(0, np.iinfo(dtype).max, shape).astype(dtype))
        mask = encode_png(generator.integers(0, 3, shape[:2]).astype(np.uint8))
        if not removed:
            write_bytes(folder / "images" / f"{name}.png", image)
            write_bytes(folder / "masks" / f"{name}.png", mask)
        ledger[name] = split_ledger.Row(
            image=name, sha256=sha256_bytes(image), mask_sha256=sha256_bytes(mask),
            delivered_sha256=sha256_bytes(image), delivery="1", slice=part, group=f"g-{name}",
            cluster="dark", split=split, removed=removed,
        )  # fmt: skip
    write_text(folder / split_ledger.LEDGER, split_ledger.to_csv(ledger))
    return workspace


def test_the_manifest_has_one_row_an_image_that_is_there_with_the_shared_statistics(workspace):
    from model.examples import read_examples
    from segtrail.images import decode_image, read_labels

    examples = make_examples(workspace, "r")
    manifest = pd.read_parquet(examples.manifest).set_index("image")
    assert manifest.index.tolist() == ["a", "b", "c"]
    assert manifest["slice"].tolist() == ["deep", "tissue", "tissue"]
    assert manifest["bits"].tolist() == [16, 8, 8]
    assert manifest["channels"].tolist() == [1, 3, 4]
    assert manifest["same_size"].all()
    assert "removed" not in manifest
    found = {}
    for split in SPLITS:
        for example in read_examples(examples.records(split)):
            found[example.image] = split
            assert example.slice == manifest.loc[example.image, "slice"]
            image = decode_image(example.image_bytes, "image")
            mask = read_labels(example.mask_bytes, "mask")
            expected = image_statistics(image) | mask_statistics(mask, "classes", CLASSES)
            assert {k: manifest.loc[example.image, k] for k in expected} == expected
    assert found == {"a": "train", "b": "validation", "c": "test"} == manifest["split"].to_dict()
    assert manifest.loc["a", "delivered_sha256"] == manifest.loc["a", "sha256"]


def test_a_file_that_is_not_what_the_ledger_says_is_named_and_nothing_is_left(workspace):
    path = workspace.dataset("cells") / "masks" / "b.png"
    path.write_bytes(encode_png(np.zeros((25, 10), np.uint8)))
    with pytest.raises(DataError, match=r"b\.png: its SHA-256 is"):
        make_examples(workspace, "r")
    path.unlink()
    with pytest.raises(DataError, match=r"b\.png: named in splits\.csv, but not there"):
        make_examples(workspace, "r")
    assert not Examples.of(workspace, "r").root.exists()


def test_a_dataset_that_was_never_ingested_says_how(workspace):
    (workspace.dataset("cells") / split_ledger.LEDGER).unlink()
    with pytest.raises(MissingArtifactError) as caught:
        make_examples(workspace, "r")
    assert "segtrail ingest SOURCE --dataset cells" in caught.value.hint
