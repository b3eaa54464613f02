"""Each Python block of docs/client.md runs as it stands, one after another, against a server."""

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

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "client.md"
PEMS = {"ca.crt": "CERTIFICATE", "app.crt": "CERTIFICATE", "app.key": "PRIVATE KEY"}


@pytest.fixture
def served(live):
    """The models that the guide asks for, all of them the tiny one."""
    names = ("nuclei", "nuclei-canary", "fundus")
    for name in names:
        shutil.copytree(live.models / "tiny", live.models / name)
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
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) == GUIDE.read_text().count("```") // 2
    done: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("127.0.0.1:8500", served), done)
    out = capsys.readouterr().out.splitlines()
    assert out[:4] == ["1 (30, 40) 1", "slides/a.tif 1", "slides/b.tif 0", "1"]
    assert done["disc"].sum() == 150
    drawn = cv2.imread("outlines.png")
    assert (drawn == (0, 255, 0)).all(axis=2).sum() == 2 * (10 + 15) - 4
