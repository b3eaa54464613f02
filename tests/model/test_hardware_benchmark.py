"""`benchmarks/gpu_training.py` runs where there is no GPU, and says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = 34_527_106

pytestmark = pytest.mark.slow


def run(arguments: list[str]) -> str:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, check=True, timeout=400,
        capture_output=True, text=True,
    ).stdout  # fmt: skip


def test_without_a_gpu_a_tiny_network_is_measured(tmp_path):
    out = run(["benchmarks/gpu_training.py", "--json", str(tmp_path / "out.json")])
    assert "no GPU, so the figures say nothing of one" in out
    found = json.loads((tmp_path / "out.json").read_text())
    assert not found["gpu"]
    assert found["parameters"] < 100_000
    assert [row["precision"] for row in found["rows"]] == ["float32", "mixed_bfloat16"]
    assert all(row["images_a_second"] > 0 for row in found["rows"])


def test_the_network_that_a_gpu_would_train_is_the_published_one():
    out = run(
        [
            "-c",
            "from benchmarks.gpu_training import network; n = network(64, 4); "
            "print(sum(int(w.value.shape.num_elements()) for w in n.trainable_weights))",
        ]
    )
    assert int(out.split()[-1]) == PUBLISHED
