"""Killing the flow in any stage and running it again ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage import ledger
from segtrail.files import tree_digests
from segtrail.saved_model import PROOF_FOLDER, digest
from serving import config

RECIPE = "tiny"
STEPS = (
    "examples", "validate", "transform", "train", "evaluate", "gate", "infra-validate", "promote",
)  # fmt: skip
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def processes(root: Path) -> dict[int, list[str]]:
    """Returns the command lines of the processes that work in `root`."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.readlink(folder / "cwd") == str(root):
                line = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found[int(folder.name)] = line
        except OSError:
            continue
    return found


def is_step(command: list[str], step: str) -> bool:
    """Whether this is the process of a step: `segtrail STEP` or `python -m cli STEP`."""
    words = [Path(word).name for word in command]
    return any((a, b) in (("segtrail", step), ("cli", step)) for a, b in itertools.pairwise(words))


def kill_when(clone, reached: Callable[[], bool], what: str, delay: float) -> None:
    """Starts the flow, waits until `reached`, and kills the flow with SIGKILL."""
    flow = subprocess.Popen(
        clone.command("retrain", "--recipe", RECIPE), cwd=clone.root, env=clone.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    end = time.monotonic() + 900
    while not reached():
        assert flow.poll() is None, f"{what} never came:\n{flow.communicate()[0]}"
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)
    time.sleep(delay)
    engine = [
        p
        for p, line in processes(clone.root).items()
        if "flows.retrain" in line and not any(word.endswith("leash.py") for word in line)
    ]
    for pid in [flow.pid, *engine]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    flow.communicate()


def assert_nothing_half_written(clone, data: dict[str, str]) -> None:
    """What can be seen under serving/ and data/ is whole."""
    assert tree_digests(clone.root / "data") == data
    store = clone.root / "serving" / "models"
    for version in store.glob(f"{RECIPE}/*"):
        assert version.name.isdigit()
        assert (version / "saved_model.pb").is_file()
        assert (version / PROOF_FOLDER / "provenance.json").is_file()
    served = config.champion(clone.root / "serving" / "models.config", RECIPE)
    assert served is None or (store / RECIPE / str(served)).is_dir()


def test_a_flow_killed_in_every_step_ends_with_the_same_model(fresh_clone, clone_result):
    data = tree_digests(fresh_clone.root / "data")
    for number, step in enumerate(STEPS):

        def runs(step: str = step) -> bool:
            return any(is_step(line, step) for line in processes(fresh_clone.root).values())

        kill_when(fresh_clone, runs, step, delay=0.2 + 0.7 * (number % 3))
        assert_nothing_half_written(fresh_clone, data)

    ledger_path = fresh_clone.root / "ledger" / f"{RECIPE}.jsonl"
    kill_when(fresh_clone, ledger_path.exists, "the ledger's intent", delay=0.3)
    assert_nothing_half_written(fresh_clone, data)

    said = fresh_clone.retrain()
    assert f"{RECIPE}: v1" in said
    stored = fresh_clone.root / "serving" / "models" / RECIPE / "1"
    assert digest(stored) == clone_result
    assert config.champion(fresh_clone.root / "serving" / "models.config", RECIPE) == 1
    assert f"{RECIPE}/v1" in fresh_clone.git("tag").splitlines()
    assert ledger.verify(ledger_path) == []
    assert fresh_clone.git("status", "--porcelain") == ""
    fresh_clone.run("audit", RECIPE)
    left = [line for line in processes(fresh_clone.root).values() if "flows.retrain" in line]
    assert left == []
