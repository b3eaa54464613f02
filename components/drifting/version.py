"""Reads the images of a data version that the champion has not seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.drifting.arrivals import Arrivals, Pixels, in_threads
from components.drifting.baseline import Baseline
from components.ingestion.problems import Problems
from lineage import data_history, data_version
from segtrail import git, split_ledger
from segtrail.errors import (
    ConfigError,
    DataError,
    LineageError,
    WorkspaceError,
)
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.images import decode_image, read_labels
from segtrail.progress import track
from segtrail.settings.dataset import Dataset
from segtrail.split_ledger import LEDGER, Row
from segtrail.workspace import Workspace

Read = Callable[[str], bytes]


def read_version(
    workspace: Workspace, name: str, dataset: Dataset, baseline: Baseline, revision: str | None
) -> Arrivals:
    """Reads what a data version has and the baseline has not: new images and new masks.

    Images that the champion learnt from, or was judged by, are in most versions that came
    later; they would hide what is new.

    Args:
        workspace: In git and DVC.
        name: The dataset's.
        dataset: Its settings.
        baseline: What the champion learnt from.
        revision: A git revision whose data is read from DVC's cache; None for `data/` as it is.

    Raises:
        ConfigError: No such revision.
        MissingArtifactError: The dataset was never ingested.
        LineageError: The revision has no such dataset, or DVC's cache does not have it.
    """
    read, says, about = _contents(workspace, name, revision)
    ledger = split_ledger.parse(read(LEDGER), f"{name}/{LEDGER}")
    rows = split_ledger.present(ledger.values())
    fresh = {r.image: r for r in rows if (r.sha256, r.mask_sha256) not in baseline.contents}
    problems = Problems(says)
    most = dataset.limits.megapixels * 1_000_000

    def pixels(image: str) -> Pixels:
        return decode_image(read(f"images/{image}.png"), image, most)

    def look(row: Row) -> dict[str, Any] | None:
        try:
            labels = read_labels(read(f"masks/{row.image}.png"), f"{row.image} (mask)", most)
            found = image_statistics(pixels(row.image))
        except (DataError, LineageError, OSError) as e:
            problems.add(row.image, getattr(e, "message", str(e)))
            return None
        known = {"image": row.image, "slice": row.slice, "group": row.group}
        return known | found | mask_statistics(labels, dataset.masks, dataset.classes)

    looked = track(in_threads(look, fresh.values()), "reading images", total=len(fresh))
    found = [row for row in looked if row is not None]
    return Arrivals(
        f"{len(found)} images of {says} that are not in the baseline's version",
        found, True, problems, pixels,
        {**about, "images": len(rows), "known": len(rows) - len(fresh)},
    )  # fmt: skip


def _contents(
    workspace: Workspace, name: str, revision: str | None
) -> tuple[Read, str, dict[str, Any]]:
    """Returns what reads a file of the dataset, the version in words, and as JSON."""
    if revision is None:
        folder = workspace.dataset(name)
        split_ledger.locate(folder, name)
        return (lambda path: _inside(folder, path).read_bytes()), f"data/{name}", {"commit": None}
    root = workspace.root
    try:
        commit = git.run(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
    except WorkspaceError:
        raise ConfigError(
            f"--data-version {revision!r}: git knows no such revision", "segtrail data log"
        ) from None
    if not data_history.commits(root, commit):
        raise LineageError(
            f"--data-version {revision}: that commit is older than the first data version",
            "segtrail data log",
        )
    files = data_version.tree(root, commit, name)

    def read(path: str) -> bytes:
        return data_version.read_file(root, files, path)

    return read, f"data/{name} at {commit[:12]}", {"commit": commit}


def _inside(folder: Path, path: str) -> Path:
    """Returns a path below a folder.

    Raises:
        DataError: It would lead out of it: the ledger was written by hand.
    """
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise DataError(f"{path}: leads out of {folder}")
    return folder / path
