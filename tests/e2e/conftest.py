"""Clones of the project with a recipe small enough to retrain in a minute."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RECIPE = "tiny"
IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@localhost")
PARAMS = {
    "datasets": {
        "cells": {
            "adapter": "dsb2018",
            "licence": "CC0-1.0",
            "masks": "instances",
            "classes": ["nucleus"],
            "splits": {"validation": 0.15, "test": 0.3, "seed": 1},
            "slices": {"dark-grey": "fluorescence"},
        }
    },
    "recipes": {
        RECIPE: {
            "dataset": "cells",
            "classes": ["nucleus"],
            "preprocessing": {"tile": 64, "stride": 64},
            "network": {"base_filters": 4, "depth": 2},
            "training": {
                "steps": 40, "batch_size": 8, "crop": 64, "learning_rate": 0.01,
                "validate_every": 20, "oversample": 1.0,
            },
            "objects": {"grow": 1, "min_size": 8},
            "validation": {"min_images": 10},
            "serving": {"target": "127.0.0.1:1"},
            "gate": {"absolute": [{"metric": "mean_iou", "min": 0.3}]},
            "drift": {"min_images": 5},
        }
    },
}  # fmt: skip


@dataclass
class Clone:
    """A workspace of its own, with the code as it is in the working tree."""

    root: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *IDENTITY, *arguments],
            cwd=self.root,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        venv = str(Path(sys.executable).parent)
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "SEGTRAIL"))}
        path = os.pathsep.join([venv, os.environ["PATH"]])
        return keep | {"PYTHONPATH": str(self.root), "PATH": path}

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            self.command(*arguments), cwd=self.root, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == code, f"exit {done.returncode}, expected {code}:\n{said}"
        return said

    def retrain(self, code: int = 0) -> str:
        return self.run("retrain", "--recipe", RECIPE, code=code)

    def change_params(self, section: str, **values: object) -> None:
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params["recipes"][RECIPE][section] |= values
        path.write_text(yaml.safe_dump(params, sort_keys=False))
        self.git("commit", "-qam", f"Change {section}")


def make_clone(folder: Path, params: dict = PARAMS) -> Clone:
    """Copies what git knows, and the uncommitted changes, into a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "dvc.lock").unlink(missing_ok=True)
    clone = Clone(folder)
    clone.git("init", "-q", "-b", "main")
    clone.git("add", "-A")
    clone.git("commit", "-qm", "Start")
    return clone


@pytest.fixture(scope="session")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two deliveries of made-up images in the DSB 2018 layout."""
    from components.synthetic import generate

    out = []
    for seed, images in ((11, 16), (12, 6)):
        out.append(tmp_path_factory.mktemp("delivery") / f"delivery-{seed}")
        generate(out[-1], images=images, seed=seed)
        for folder in sorted(out[-1].iterdir()):  # ids of their own: additions, not replacements
            new = f"delivery-{seed}-{folder.name}"
            (folder / "images" / f"{folder.name}.png").rename(folder / "images" / f"{new}.png")
            folder.rename(folder.with_name(new))
    return out


@pytest.fixture(scope="session")
def slices_clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone without data; its images are stained or fluorescence, many of them for testing."""
    params = copy.deepcopy(PARAMS)
    params["datasets"]["cells"] |= {
        "splits": {"validation": 0.1, "test": 0.4, "seed": 1},
        "slices": {"dark-grey": "fluorescence", "bright-colour": "stained"},
    }
    return make_clone(tmp_path_factory.mktemp("slices"), params)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory, deliveries: list[Path]) -> Clone:
    """A clone with the first delivery, retrained once without a break."""
    made = make_clone(tmp_path_factory.mktemp("unbroken"))
    made.run("ingest", str(deliveries[0]), "--dataset", "cells")
    made.retrain()
    return made


@pytest.fixture(scope="session")
def clone_result(clone: Clone) -> str:
    """The digest of the model that the unbroken run promoted first."""
    from segtrail.saved_model import digest

    return digest(clone.root / "serving" / "models" / RECIPE / "1")


@pytest.fixture(scope="session")
def fresh_clone(tmp_path_factory: pytest.TempPathFactory, deliveries: list[Path]) -> Clone:
    """A clone with the first delivery, never retrained."""
    made = make_clone(tmp_path_factory.mktemp("killed"))
    made.run("ingest", str(deliveries[0]), "--dataset", "cells")
    return made
