"""A workspace in git and DVC, and deliveries to bring to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.ingest import Delivery, ingest
from segtrail import git, png, split_ledger
from segtrail.files import sha256_file
from segtrail.workspace import Workspace

PARAMS = """
datasets:
  nuclei:
    adapter: dsb2018
    licence: CC0-1.0
    masks: instances
    classes: [nucleus]
    splits: {validation: 0.2, test: 0.2, seed: 1}
    slices: {}
recipes: {}
"""


class Lab:
    """One workspace, and a bench to prepare deliveries on.

    Args:
        root: The workspace.
        bench: A folder outside it.
    """

    def __init__(self, root: Path, bench: Path) -> None:
        self.workspace = Workspace(root, root)
        self.root, self.bench = root, bench
        bench.mkdir(exist_ok=True)

    def ingest(self, source: Path | str | None = None, **options: Any) -> Delivery:
        return ingest(self.workspace, "nuclei", source, **options)

    def delivery(self, name: str, images: Iterable[str] = "abcd", salt: int = 0) -> Path:
        """Makes a folder of images, each with two nuclei; other pixels for another salt."""
        folder = self.bench / name
        for image in images:
            rng = np.random.default_rng([salt, *image.encode()])
            pixels = rng.integers(0, 60, (24, 32)).astype(np.uint8)
            masks = [np.zeros_like(pixels) for _ in range(2)]
            masks[0][2:9, 3:12], masks[1][12:20, 15:28] = 255, 255
            pixels[(masks[0] > 0) | (masks[1] > 0)] += 120
            self.write(folder / image / "images" / f"{image}.png", pixels)
            for n, mask in enumerate(masks):
                self.write(folder / image / "masks" / f"m{n}.png", mask)
        return folder

    @staticmethod
    def write(path: Path, pixels: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png.encode(pixels))

    def zipped(self, folder: Path, within: str = "") -> Path:
        """Packs a folder, with one more folder around it if named."""
        archive = folder.with_suffix(".zip")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    z.write(path, f"{within}{path.relative_to(folder).as_posix()}")
        return archive

    def snapshot(self) -> dict[str, str]:
        """Returns the digest of each file of the workspace, and what git says."""
        skip = (".git/", ".dvc/tmp/", ".segtrail/ingest/lock", ".segtrail/flow.lock")
        files = {
            name: sha256_file(path)
            for path in self.root.rglob("*")
            if path.is_file()
            and not (name := path.relative_to(self.root).as_posix()).startswith(skip)
        }
        return files | {
            "git HEAD": git.head(self.root),
            "git status": git.run(self.root, "status", "--porcelain"),
            "git branches": git.run(self.root, "for-each-ref"),
        }

    def splits(self) -> dict[str, str]:
        ledger = split_ledger.read(self.root / "data/nuclei/splits.csv")
        return {image: row.split for image, row in ledger.items()}

    def dvc(self, *args: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *args],
            cwd=self.root, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _own_git_identity():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        patch.setenv("DVC_NO_ANALYTICS", "1")
        yield


@pytest.fixture(scope="session")
def _empty(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("empty") / "workspace"
    root.mkdir()
    (root / "params.yaml").write_text(PARAMS)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / ".gitignore").write_text("/data\n/.segtrail/\n")
    git.run(root, "init", "--quiet")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True)
    git.commit(root, ["."], "Start")
    return root


@pytest.fixture(scope="session")
def _landed(_empty, tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("landed")
    shutil.copytree(_empty, base / "workspace")
    lab = Lab(base / "workspace", base / "bench")
    lab.ingest(lab.delivery("first"))
    return lab.root


@pytest.fixture
def lab(_empty, tmp_path) -> Lab:
    """A workspace without data."""
    shutil.copytree(_empty, tmp_path / "workspace")
    return Lab(tmp_path / "workspace", tmp_path / "bench")


@pytest.fixture
def landed(_landed, tmp_path) -> Lab:
    """A workspace with the images a, b, c and d in the dataset `nuclei`."""
    shutil.copytree(_landed, tmp_path / "workspace")
    return Lab(tmp_path / "workspace", tmp_path / "bench")
