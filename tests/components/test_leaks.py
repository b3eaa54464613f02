"""The report of images of one specimen in different splits."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from cli.data import app
from components.leaks import find_leaks, write_page
from segtrail import png, split_ledger
from segtrail.errors import ConfigError, DataError, MissingArtifactError
from segtrail.files import sha256_bytes
from segtrail.split_ledger import Row
from segtrail.workspace import Workspace

PARAMS = """
datasets:
  cells:
    {adapter: dsb2018, licence: CC0-1.0, masks: instances, classes: [cell], slices: {}, splits: {}}
recipes: {}
"""
SCRIPT = "<script>alert(1)</script>"


def cells(seed, shape=(128, 128)):
    rng = np.random.default_rng(seed)
    image = np.full(shape, 12, np.float32)
    for _ in range(shape[0] * shape[1] // 700):
        at = rng.integers(0, shape[1]), rng.integers(0, shape[0])
        cv2.ellipse(image, at, (12, 7), rng.integers(180), 0, 360, float(rng.integers(60, 200)), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.5) + rng.normal(0, 1.5, shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture
def workspace(tmp_path):
    """Eight images, all of different fields but for what `leaky` adds."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    here = Workspace(tmp_path, tmp_path)
    fill(here, {f"i{n}": (cells(n), "train" if n % 2 else "test", f"i{n}") for n in range(8)})
    return here


def fill(here, images):
    """Writes images, `{id: (pixels, split, group)}`, into the dataset."""
    folder = here.dataset("cells")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    ledger = split_ledger.read(folder / split_ledger.LEDGER)
    for image, (pixels, split, group) in images.items():
        data = png.encode(pixels)
        (folder / "images" / f"{image}.png").write_bytes(data)
        ledger[image] = Row(image, sha256_bytes(data), "m", "", "1", "s", group, "s", split)
    (folder / split_ledger.LEDGER).write_text(split_ledger.to_csv(ledger))
    return ledger


def leaky(here):
    whole = cells(50, (128, 256))
    return fill(
        here,
        {
            "left": (whole[:, :128], "train", "left"),
            "right": (whole[:, 128:], "test", "right"),
            "dimmed": ((cells(0) * 0.7).astype(np.uint8), "validation", "dimmed"),
            "again": (cells(1), "train", "again"),
            "s0": (cells(60), "train", "subject"),
            "s1": (cells(61), "validation", "subject"),
        },
    )


def test_a_dataset_without_leaks(workspace):
    found = find_leaks(workspace, "cells")
    assert (found.images, found.groups, found.leaks, found.within) == (8, 8, (), {})


def test_leaks_are_found_afresh_and_told_by_kind(workspace):
    leaky(workspace)
    found = find_leaks(workspace, "cells")
    assert [(k.kind, k.first, k.second, k.first_split, k.second_split) for k in found.leaks] == [
        ("same group", "s0", "s1", "train", "validation"),
        ("near duplicate", "dimmed", "i0", "validation", "test"),
        ("neighbouring crop", "left", "right", "train", "test"),
    ]
    assert found.within == {"same content": 1}


def test_a_removed_image_leaks_no_more(workspace):
    ledger = leaky(workspace)
    folder = workspace.dataset("cells")
    for image in ("s1", "dimmed", "right"):
        ledger[image] = replace(ledger[image], removed="2")
        (folder / "images" / f"{image}.png").unlink()
    (folder / split_ledger.LEDGER).write_text(split_ledger.to_csv(ledger))
    assert find_leaks(workspace, "cells").leaks == ()


def test_the_page_is_escaped_and_needs_no_network(workspace, tmp_path):
    name = "i<b>&"
    fill(workspace, {name: (cells(0)[:, ::-1], "train", SCRIPT)})
    page = tmp_path / "leaks.html"
    write_page(workspace, find_leaks(workspace, "cells"), page)
    text = page.read_text()
    assert "i&lt;b&gt;&amp;" in text
    assert name not in text
    assert SCRIPT not in text
    assert "<script" not in text
    assert len(re.findall(r'<img src="data:image/jpeg;base64,', text)) == 2
    assert not re.findall(r'(?:src|href)="(?!data:)', text)


def test_bytes_that_are_not_the_ledgers_are_refused(workspace):
    folder = workspace.dataset("cells") / "images"
    (folder / "i3.png").write_bytes(png.encode(cells(99)))
    with pytest.raises(DataError, match=r"i3\.png: its SHA-256 is"):
        find_leaks(workspace, "cells")
    (folder / "i3.png").unlink()
    with pytest.raises(DataError, match=r"i3\.png: named in splits\.csv, but not there"):
        find_leaks(workspace, "cells")


def test_a_dataset_that_is_not_there(workspace):
    with pytest.raises(ConfigError, match="sells"):
        find_leaks(workspace, "sells")
    (workspace.dataset("cells") / split_ledger.LEDGER).unlink()
    with pytest.raises(MissingArtifactError, match="never ingested"):
        find_leaks(workspace, "cells")


def test_the_command(workspace, monkeypatch, tmp_path):
    leaky(workspace)
    monkeypatch.chdir(workspace.root)
    told = CliRunner().invoke(app, ["leaks", "-d", "cells", "--html", str(tmp_path / "l.html")])
    assert told.exit_code == 0, told.output
    assert "cells: 14 images in 13 groups" in told.stdout
    assert "IN DIFFERENT SPLITS: 3 pairs" in told.stdout
    assert re.search(r"near duplicate +0\.\d+ +validation +dimmed +test +i0", told.stdout)
    assert (tmp_path / "l.html").stat().st_size > 10_000
    told = CliRunner().invoke(app, ["leaks", "-d", "cells", "--json"])
    assert [leak["kind"] for leak in json.loads(told.stdout)["leaks"]] == [
        "same group", "near duplicate", "neighbouring crop",
    ]  # fmt: skip
