"""The flow that takes in what arrives in a dataset's inbox; see `datasets.<name>.inbox`.

Run by a Prefect worker, in the clone `segtrail.workspace.DATA_CLONE`. Each archive or folder in the
inbox is a delivery. One that landed moves to `landed/` there; one that is refused to `refused/`,
with the reason beside it; one that a fault kept out stays where it is.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import clone, events, steps
from flows.recorded import recorded
from flows.step_fault import StepFault
from flows.steps import Bounds, say
from segtrail import git, telemetry
from segtrail.errors import ConfigError, StageError
from segtrail.files import write_text
from segtrail.lock import flow_lock
from segtrail.params import load_dataset
from segtrail.settings.operations import Inbox, Operations
from segtrail.workspace import DATA_CLONE, Workspace

LANDED, REFUSED, EMPTY = "Landed", "Refused", "Nothing new"
_PLACES = {LANDED: "landed", REFUSED: "refused"}


@flow(name="ingest", flow_run_name="ingest-{dataset}", persist_result=False, log_prints=False)
def ingest(dataset: str) -> State:
    """Takes in the deliveries that wait in the inbox of a dataset.

    Args:
        dataset: A dataset of `params.yaml` with an `inbox`.

    Returns:
        A completed state named "Landed", "Refused" (one or more were) or "Nothing new".

    Raises:
        ConfigError: The dataset has no inbox, or that is no folder.
        StageError: A fault kept a delivery out, or its time was up; it stays in the inbox.
    """
    telemetry.switch_off()
    workspace = Workspace.find()
    inbox = load_dataset(workspace, dataset).inbox
    if inbox is None:
        raise ConfigError(
            f"datasets.{dataset}.inbox: there is none",
            f"datasets.{dataset}.inbox: {{folder: incoming/{dataset}}} in params.yaml",
        )
    folder = workspace.home / inbox.folder
    if not folder.is_dir():
        raise ConfigError(
            f"datasets.{dataset}.inbox.folder: {folder} is no folder", f"mkdir -p {folder}"
        )
    waiting = _waiting(folder, inbox.settle_s)
    if not waiting:
        return Completed(name=EMPTY, message=f"{dataset}: nothing new in {folder}")
    with recorded(workspace, dataset=dataset):
        with flow_lock(workspace, say):
            clone.refresh(workspace.root)
        bounds = Bounds.of(Operations())
        try:
            ends = [_take_in(workspace, dataset, delivery, inbox, bounds) for delivery in waiting]
        finally:
            say(clone.hand_back(workspace.root, DATA_CLONE))
    refused = ends.count(REFUSED)
    says = f"{dataset}: {len(ends) - refused} landed, {refused} refused"
    return Completed(name=REFUSED if refused else LANDED, message=says)


def _waiting(folder: Path, settle_s: int) -> list[Path]:
    """Returns the deliveries that nothing was written to for so long, by name."""
    now = time.time()
    found = [p for p in folder.iterdir() if p.name not in _PLACES.values() and p.name[0] != "."]
    return sorted(p for p in found if now - _last_change(p) >= settle_s)


def _last_change(path: Path) -> float:
    times = [path.lstat().st_mtime]
    for at, folders, files in os.walk(path):
        times += [os.lstat(os.path.join(at, name)).st_mtime for name in (*folders, *files)]
    return max(times)


def _take_in(
    workspace: Workspace, dataset: str, delivery: Path, inbox: Inbox, bounds: Bounds
) -> str:
    before = git.head(workspace.root)
    by = ["--by", inbox.by] if inbox.by else []
    arguments = ["ingest", str(delivery), "--dataset", dataset, *by]
    try:
        steps.command(workspace, delivery.name, arguments, {}, None, bounds)
    except StepFault:
        raise
    except StageError as e:
        moved = _move(delivery, REFUSED)
        write_text(moved.with_name(f"{moved.name}.why.txt"), f"{e}\n")
        say(f"refused, and kept as {moved}: {e.message}")
        events.emit(
            "segtrail.data.refused", workspace, "dataset", dataset,
            delivery=delivery.name, says=e.message,
        )  # fmt: skip
        return REFUSED
    _move(delivery, LANDED)
    if (commit := git.head(workspace.root)) != before:
        events.emit(
            events.DATA_LANDED, workspace, "dataset", dataset,
            delivery=delivery.name, commit=commit,
        )  # fmt: skip
    return LANDED


def _move(delivery: Path, what: str) -> Path:
    """Moves a delivery out of the inbox; its new name tells when."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = delivery.parent / _PLACES[what] / f"{now}-{delivery.name}"
    target.parent.mkdir(exist_ok=True)
    return delivery.rename(target)
