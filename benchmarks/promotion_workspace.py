"""What `benchmarks/promotion.py` promotes: small real SavedModels in a workspace of their own.

Each calls a pixel foreground above a threshold of its own, so that an answer tells by its content
which model gave it, whatever version it names. `miniature` and `agreement` are of `tests/`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import miniature
import numpy as np
import yaml
from miniature import RECIPE

from lineage import ledger
from segtrail.images import encode_png
from segtrail.params import load_recipe
from segtrail.workspace import Workspace
from serving.client import SegmentationClient

ROOT = Path(__file__).resolve().parents[1]
PROBE = encode_png(np.arange(256, dtype=np.uint8).reshape(16, 16))  # foreground: 255 - threshold
START_S = 180.0


@dataclass
class Bench:
    """A workspace whose first version serves, and candidates to come.

    Args:
        workspace: It.
        models: `{threshold: SavedModel}`, each to be a candidate once.
        digests: `{digest: threshold}` of those that were candidates.
    """

    workspace: Workspace
    models: dict[int, Path]
    digests: dict[str, int] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return load_recipe(self.workspace, RECIPE).serving.target

    def entries(self) -> list[ledger.Entry]:
        return ledger.read(self.workspace.ledger(RECIPE))

    def next_candidate(self) -> None:
        """Makes the next model the candidate, which passes the gate."""
        threshold, model = next(iter(self.models.items()))
        del self.models[threshold]
        self.digests[miniature.retrain(self.workspace, threshold, saved_model=model)] = threshold

    def thresholds(self) -> dict[int, int]:
        """Returns `{version: threshold}` of every version that the ledger names."""
        return {e.version: self.digests[e.model_digest] for e in self.entries() if e.version}


def build(folder: Path, models: int, hold_s: float) -> Bench:
    """Makes the workspace, with so many SavedModels, of which the first is the candidate."""
    made = miniature.save_models(folder / "saved", range(40, 40 + models))
    workspace = miniature.build(folder / "workspace")
    params = yaml.safe_load(workspace.params.read_text())
    params["recipes"][RECIPE]["serving"]["hold_s"] = hold_s
    workspace.params.write_text(yaml.safe_dump(params))
    miniature.git.commit(workspace.root, ["params.yaml"], "Hold")
    bench = Bench(workspace, made)
    bench.next_candidate()
    return bench


def command(bench: Bench, *arguments: str) -> float:
    """Runs a `segtrail` command in the workspace, and returns the seconds that it took."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments], cwd=bench.workspace.root, env=environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"segtrail {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


def environment() -> dict[str, str]:
    """Returns an environment in which the workspace's commands run this checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SEGTRAIL", "MLFLOW"))}
    return kept | {"PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def load_tests_by(folder: Path | None) -> Iterator[None]:
    """Lets the load tests in the block take the `tensorflow_model_server` of a folder, if given."""
    path = os.environ["PATH"]
    if folder is not None:
        os.environ["PATH"] = f"{folder}:{path}"
    try:
        yield
    finally:
        os.environ["PATH"] = path


@contextlib.contextmanager
def live_server(bench: Bench, log: Path) -> Iterator[int]:
    """Runs `segtrail serve` at the recipe's target for the time of the block; yields its id."""
    port = bench.target.rpartition(":")[2]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "serve", "--port", port], cwd=bench.workspace.root,
            env=environment(), stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        with SegmentationClient(bench.target) as client:
            client.wait_until_available(RECIPE, timeout=START_S)
        yield process.pid
    finally:
        process.terminate()
        process.wait()
