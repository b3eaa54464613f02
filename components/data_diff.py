"""Compares two states of a dataset: which images differ, and how their statistics shifted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from components.comparing.shift import Shift, shifts
from components.comparing.statistics import Agreement, agree, measure
from lineage import data_diff, data_history
from lineage.data_snapshot import NOW, Snapshot
from segtrail import telemetry
from segtrail.errors import ConfigError, DataError, LineageError, WorkspaceError
from segtrail.params import load_dataset
from segtrail.settings.dataset import Dataset
from segtrail.split_ledger import LEDGER, Ledger
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class DataDiff:
    """How two states of a dataset differ.

    Attributes:
        before: The one state.
        after: The other.
        settings: The dataset's, from `params.yaml`.
        changes: Images added, removed, replaced, relabelled.
        agreements: Of the relabelled images: how alike their two masks are, least first.
        moved: Images in another slice.
        dealt_anew: Images in another split, which should never be.
        shifts: Of the statistics, by slice.
        unread: `{path: why it cannot be read}`; the statistics leave these images out.
        slices_before: `{image: its slice}` in the one state, as `params.yaml` calls it now.
        slices_after: The same, in the other.
    """

    before: Snapshot
    after: Snapshot
    settings: Dataset
    changes: data_diff.Changes
    agreements: dict[str, Agreement]
    moved: list[data_diff.Moved]
    dealt_anew: list[data_diff.Moved]
    shifts: list[Shift]
    unread: dict[str, str]
    slices_before: dict[str, str]
    slices_after: dict[str, str]

    @property
    def relabelled(self) -> list[str]:
        """The relabelled images, those with the least alike masks first."""
        unknown = [image for image in self.changes.relabelled if image not in self.agreements]
        return [*self.agreements, *unknown]

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {
            "dataset": self.after.dataset,
            "before": _state(self.before),
            "after": _state(self.after),
            **{kind: list(images) for kind, images in asdict(self.changes).items()},
            "relabelled": [
                {"image": image, **asdict(self.agreements[image])}
                if image in self.agreements
                else {"image": image}
                for image in self.relabelled
            ],
            "moved": [asdict(item) for item in self.moved],
            "dealt_anew": [asdict(item) for item in self.dealt_anew],
            "shifts": [asdict(shift) for shift in self.shifts],
            "unread": self.unread,
        }


def compare(
    workspace: Workspace, before: str | None, after: str, dataset: str | None = None
) -> DataDiff:
    """Compares two states of a dataset.

    Args:
        workspace: In git and DVC.
        before: A git revision, the number of a delivery, or `data/`; None for the version
            that was recorded before `after`.
        after: The same.
        dataset: By default the only one there is, or that differs.

    Raises:
        ConfigError: No such dataset, or it is not clear which.
        LineageError: A state cannot be read.
        WorkspaceError: A word names no state, or there is no data yet.
    """
    telemetry.switch_off()
    root = workspace.root
    for word in (before, after):
        _refuse_older_than_data(root, word)
    name = dataset or _only(workspace, before, after)
    settings = load_dataset(workspace, name)
    new = data_history.find(root, name, after)
    old = data_history.find(root, name, before) if before else data_history.before(root, new)
    changes = data_diff.changes(old.files, new.files)
    measured = measure(old, new, settings)
    agreements = agree(old, new, changes.relabelled, measured, settings)
    old_ledger, new_ledger = (
        _ledger(snapshot, settings, measured.unread) for snapshot in (old, new)
    )
    old_slices, new_slices = (
        {image: row.slice for image, row in ledger.items()} for ledger in (old_ledger, new_ledger)
    )
    return DataDiff(
        old,
        new,
        settings,
        changes,
        dict(sorted(agreements.items(), key=lambda item: _unlike(item[1]))),
        data_diff.moved(old_ledger, new_ledger, "slice"),
        data_diff.moved(old_ledger, new_ledger, "split"),
        shifts(measured, old_slices, new_slices, settings),
        measured.unread,
        old_slices,
        new_slices,
    )


def _refuse_older_than_data(root: Path, word: str | None) -> None:
    """Says so if a word names a commit from before the first data version.

    What names nothing, and a workspace without any data version, are told elsewhere.
    """
    if word is None or word == NOW or word.isdecimal():
        return
    try:
        if data_history.commits(root, word) or not data_history.commits(root):
            return
    except WorkspaceError:
        return
    raise WorkspaceError(
        f"{word}: that commit is older than the first data version", "segtrail data log"
    )


def _only(workspace: Workspace, before: str | None, after: str) -> str:
    """Returns the one dataset that there is, that differs, or that changed last."""
    root = workspace.root
    known = data_history.datasets(root, "HEAD" if after.isdecimal() else after)
    if len(known) == 1:
        return known[0]
    if before is None and after != NOW and not after.isdecimal():
        history = data_history.versions(root, revision=after)
        newest = next(history, None)
        if newest is not None and newest.dataset:
            same = takewhile(lambda version: version.commit == newest.commit, history)
            if not list(same):
                return newest.dataset
    differ = []
    for name in known:
        try:
            new = data_history.find(root, name, after)
            old = data_history.find(root, name, before) if before else None
        except (LineageError, WorkspaceError):
            differ.append(name)  # added since, or the words mean nothing: said later
            continue
        if (old or data_history.before(root, new)).files != new.files:
            differ.append(name)
    if len(differ) == 1:
        return differ[0]
    if not known:
        raise WorkspaceError(
            f"data.dvc at {after}: no dataset is there yet", "segtrail ingest --help"
        )
    raise ConfigError(
        f"which dataset? {', '.join(known)} are there"
        + (f", and {', '.join(differ)} differ" if differ else ""),
        "name one with --dataset",
    )


def _ledger(snapshot: Snapshot, settings: Dataset, unread: dict[str, str]) -> Ledger:
    """Returns the split ledger, its slices called what people call them.

    An empty one, noted as unread, if it is of another time.
    """
    try:
        rows = snapshot.ledger()
    except (DataError, LineageError) as e:
        unread[f"{LEDGER} at {snapshot.label}"] = e.message
        return {}
    names = settings.slices
    return {i: replace(row, slice=names.get(row.slice, row.slice)) for i, row in rows.items()}


def _state(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "label": snapshot.label,
        "commit": snapshot.commit or None,
        "dvc_md5": snapshot.dvc_md5,
        "images": len(snapshot.images),
        "recorded": snapshot.label != NOW,
    }


def _unlike(agreement: Agreement) -> tuple[float, int]:
    return agreement.iou, -abs(agreement.objects_after - agreement.objects_before)
