"""Each Python block of the client's pages runs as it stands, in order, against a server."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtrail.images import encode_png
from serving import config
from serving.client import SegmentationClient

DOCS = Path(__file__).resolve().parents[2] / "docs"
PEMS = {"ca.crt": "CERTIFICATE", "app.crt": "CERTIFICATE", "app.key": "PRIVATE KEY"}


@pytest.fixture
def served(live):
    """The models that the guide asks for, all of them the tiny one."""
    names = ("nuclei", "nuclei-canary", "fundus", "dsb-tiles")
    for name in names:
        shutil.copytree(live.models / "tiny", live.models / name, dirs_exist_ok=True)
        config.set_champion(live.config, name, live.models / name, 1)
    with SegmentationClient(live.target) as client:
        for name in names:
            client.wait_until_available(name, 1)
    yield live.target
    for name in names:
        config.withdraw(live.config, name)


def test_the_guide_runs(served, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = np.zeros((30, 40), np.uint8)
    cells[5:15, 5:20] = 200
    for name in ("cells.png", "eye.png"):
        Path(name).write_bytes(encode_png(cells))
    Path("slides").mkdir()
    cv2.imwrite("slides/a.tif", cells)
    cv2.imwrite("slides/b.tif", np.zeros_like(cells))
    for name, label in PEMS.items():
        Path(name).write_text(f"-----BEGIN {label}-----\n-----END {label}-----\n")
    done = run(DOCS / "client.md", served)
    out = capsys.readouterr().out.splitlines()
    assert out[:4] == ["1 (30, 40) 1", "slides/a.tif 1", "slides/b.tif 0", "1"]
    assert done["disc"].sum() == 150
    assert outline() == 2 * (10 + 15) - 4


def test_the_tutorial_runs(served, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = np.zeros((30, 40), np.uint8)
    cells[5:15, 5:20] = 200
    Path("slides").mkdir()
    for name in ("cells.png", "slides/a.png"):
        Path(name).write_bytes(encode_png(cells))
    Path("slides/b.png").write_bytes(encode_png(np.zeros_like(cells)))
    Path("notes.txt").write_text("no image")
    run(DOCS / "tutorials/app-developer.md", served)
    out = capsys.readouterr().out.splitlines()
    assert out[:4] == ["1 objects by version 1", "a.png 1", "b.png 0", "cells.png 1"]
    assert out[4].startswith("notes.txt is no image: ")
    assert out[5:7] == ["1", "0"]
    assert out[7].endswith("True")
    assert outline() == 2 * (10 + 15) - 4


def run(page: Path, target: str) -> dict[str, object]:
    """Runs the Python blocks of a page, with the address of a server that is there."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == text.count("```") // 2 - text.count("```bash")
    done: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("127.0.0.1:8500", target), done)
    return done


def outline() -> int:
    """Returns how many pixels of the picture that a page writes are green."""
    return int((cv2.imread("outlines.png") == (0, 255, 0)).all(axis=2).sum())
