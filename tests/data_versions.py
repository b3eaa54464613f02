"""A workspace in real git and DVC whose data has a small history, made without ingestion."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import miniature
import numpy as np
import numpy.typing as npt
import pytest
import yaml

from segtrail import deliveries, git, split_ledger
from segtrail.files import sha256_bytes, write_bytes, write_text
from segtrail.images import encode_png
from segtrail.workspace import Workspace

CELLS = "cells"
SPLITS = ("train", "train", "validation", "test")
PARAMS = {
    "datasets": {
        CELLS: {
            "adapter": "folders",
            "masks": "instances",
            "classes": ["cell"],
            "slices": {},
            "splits": {},
        },
        "fundus": {
            "adapter": "folders",
            "masks": "multilabel",
            "classes": ["disc", "cup"],
            "slices": {},
            "splits": {},
        },
    },
    "recipes": {},
}


@dataclass
class Data:
    """One dataset that is written, changed and committed by hand."""

    workspace: Workspace
    dataset: str = CELLS
    ledger: split_ledger.Ledger = field(default_factory=dict)
    rows: list[deliveries.Row] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.workspace.dataset(self.dataset)

    def put(
        self,
        image: str,
        pixels: npt.NDArray[np.integer],
        mask: npt.NDArray[np.integer],
        slice: str = "dark",
    ) -> None:
        """Writes one image; it gets a split when it is new."""
        files = {"images": encode_png(pixels), "masks": encode_png(mask.astype(np.uint16))}
        for kind, content in files.items():
            path = self.folder / kind / f"{image}.png"
            path.unlink(missing_ok=True)  # it may be a link into DVC's cache
            write_bytes(path, content)
        old = self.ledger.get(image)
        self.ledger[image] = split_ledger.Row(
            image=image,
            sha256=sha256_bytes(files["images"]),
            mask_sha256=sha256_bytes(files["masks"]),
            slice=slice,
            split=old.split if old else SPLITS[len(self.ledger) % len(SPLITS)],
        )

    def remove(self, image: str) -> None:
        """Takes one image away; its row stays."""
        for kind in ("images", "masks"):
            (self.folder / kind / f"{image}.png").unlink()
        number = str(len(self.rows) + 1)
        self.ledger[image] = replace(self.ledger[image], removed=number)

    def edit(self, image: str, **columns: str) -> None:
        """Changes an image's row."""
        self.ledger[image] = replace(self.ledger[image], **columns)

    def write_tables(self) -> None:
        """Writes `splits.csv` and `deliveries.csv`."""
        tables = {
            split_ledger.LEDGER: split_ledger.to_csv(self.ledger),
            deliveries.DELIVERIES: deliveries.to_csv(self.rows),
        }
        for name, text in tables.items():
            (self.folder / name).unlink(missing_ok=True)
            write_text(self.folder / name, text)

    def deliver(self, by: str, added: int = 0, replaced: int = 0, removed: int = 0) -> str:
        """Records what was written as a delivery; returns the commit."""
        number = len(self.rows) + 1
        self.rows.append(
            deliveries.Row(
                number, f"{number}.zip", "0" * 64, by, "CC0-1.0", added, replaced, removed
            )
        )
        return self.commit(f"Ingest {self.dataset}: delivery {number}")

    def commit(self, message: str) -> str:
        """Records `data/` in DVC and git; returns the commit."""
        self.write_tables()
        root = self.workspace.root
        miniature.dvc(root, "add", "--quiet", "data")
        commit = git.commit(root, ["data.dvc"], message)
        assert commit
        return commit


def make(root: Path) -> Data:
    """Returns an empty dataset in a new workspace."""
    root.mkdir(parents=True)
    git.run(root, "init", "--quiet", "--initial-branch=main")
    git.run(root, "config", "user.name", "Ada")
    git.run(root, "config", "user.email", "ada@example.org")
    miniature.dvc(root, "init", "--quiet")
    write_text(root / ".gitignore", "/data\n")
    write_text(root / "params.yaml", yaml.safe_dump(PARAMS))
    write_text(root / "dvc.yaml", "")
    git.run(root, "add", "--all")
    git.run(root, "commit", "--quiet", "-m", "Workspace")
    return Data(Workspace(root, root))


def copy(data: Data, root: Path) -> Data:
    """Returns a copy that may be changed."""
    shutil.copytree(data.workspace.root, root, symlinks=True)
    return Data(Workspace(root, root), data.dataset, dict(data.ledger), list(data.rows))


def cells(
    seed: int, count: int = 4, level: int = 160, height: int = 40, width: int = 48
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """Returns an image with up to `count` bright discs, and their instance mask."""
    dice = np.random.default_rng(seed)
    image = dice.integers(10, 40, (height, width), np.uint8)
    mask = np.zeros((height, width), np.uint16)
    for label in range(1, count + 1):
        disc = np.zeros((height, width), np.uint8)
        centre = (10 * label - 2, int(dice.integers(8, height - 8)))
        cv2.circle(disc, centre, 4, 1, -1)
        image[disc > 0] = level
        mask[disc > 0] = label
    return image, mask


_templates: list[tuple[Data, list[str]]] = []


def template(factory: pytest.TempPathFactory) -> tuple[Data, list[str]]:
    """Returns `history`, made once a session; not to be changed."""
    if not _templates:
        _templates.append(history(factory.mktemp("history") / "template"))
    return _templates[0]


def history(root: Path) -> tuple[Data, list[str]]:
    """Returns a dataset with four versions, and their commits, oldest first.

    1. Ada delivers six images, a to f, three a slice.
    2. Bob adds g and h, replaces b by a lighter one, relabels c (one object fewer).
    3. Ada takes f away; d goes to the other slice.
    4. By hand, without a delivery: another dataset, `fundus`, with one image.
    """
    data = make(root)
    for number, image in enumerate("abcdef"):
        data.put(image, *cells(number), slice="dark" if image in "abc" else "bright")
    commits = [data.deliver("Ada", added=6)]
    for number, image in enumerate("gh", 10):
        data.put(image, *cells(number, level=250), slice="bright")
    data.put("b", *cells(1, level=240))
    pixels, mask = cells(2)
    data.put("c", pixels, np.where(mask == 4, 0, mask))
    commits.append(data.deliver("Bob", added=2, replaced=2))
    data.remove("f")
    data.edit("d", slice="dark")
    commits.append(data.deliver("Ada", removed=1))
    fundus = Data(data.workspace, "fundus")
    disc = np.zeros((32, 32), np.uint16)
    disc[8:24, 8:24], disc[12:20, 12:20] = 1, 3
    fundus.put("eye", np.full((32, 32, 3), 90, np.uint8), disc, slice="colour")
    commits.append(fundus.commit("Another dataset"))
    return data, commits
