"""What an erasure cannot reach, said so that somebody can: models, proofs, other copies."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.ingestion.derived import LOOKED_INTO, holds_erased
from components.ingestion.erasure_plan import Plan
from components.ingestion.object_stores import Stores
from lineage import data_version, ledger, provenance
from segtrail import deliveries, git, split_ledger
from segtrail.errors import DataError, SegtrailError
from segtrail.files import read_json
from segtrail.workspace import Workspace
from serving import config, store

_SHOWN = 5


def remains(
    workspace: Workspace, plan: Plan, stores: Stores, images: Collection[str] | None = None
) -> list[str]:
    """Returns one line for each kind of thing that may still hold, or have learnt from, images.

    Args:
        workspace: Whose.
        plan: What is erased.
        stores: Where from.
        images: Ids of those whose deliveries are named; by default of all with a tombstone.
    """
    if images is None:
        images = {row.image for row in plan.rows}
    again = f"segtrail data purge --dataset {plan.dataset}"
    lines = [
        *_models(workspace, plan),
        *_files(workspace, plan),
        *_branches(workspace, plan),
        *_sources(workspace, plan, stores, images),
        *stores.beyond,
    ]
    if plan.kept:
        lines.append(
            f"{_count(len(plan.kept), 'content')} that other files share, and that stays: "
            + _some(sorted(set(plan.kept.values())))
        )
    if lost := [*plan.history.lost, *plan.derived.lost]:
        lines.append(
            f"{_count(len(lost), 'folder')} whose listing is in no store, so that their files "
            f"cannot be named: {_some(lost)}"
        )
    if empty := [store for store in stores.remotes if store.empty]:
        named = _some([f"{store.name} ({store.odbs[-1].path})" for store in empty])
        lines.append(
            f"{named}: nothing is in there. If that is wrong, as with a disk that is not mounted: "
            f"bring it back, then {again}"
        )
    if clouds := [store.name for store in stores.remotes if store.in_cloud]:
        lines.append(
            f"{_some(clouds)}: if the bucket keeps versions or deleted objects, delete those there"
        )
    lines.append(f"other clones of this repository and their caches; there: {again}")
    lines.append(
        "pages and pictures, wherever somebody had them written: audit --html (certificates), data "
        "diff --html, data leaks --html, data drift --out, predict --out"
    )
    lines.append("backups, snapshots of disks, and what was exported or shown elsewhere")
    return lines


def _models(workspace: Workspace, plan: Plan) -> Iterator[str]:
    learnt = []
    for path in sorted(workspace.models.glob("*/[1-9]*")):
        recipe, version = path.parent.name, path.name
        if not version.isdigit() or int(version) not in store.versions(workspace.models, recipe):
            continue
        if (said := _learnt_from(path, plan)) is not None:
            path = workspace.models_config
            out = config.canary(path, recipe) == int(version)
            serves = config.champion(path, recipe) == int(version)
            now = " (serves)" if serves else " (is out as a canary)" if out else ""
            learnt.append(f"{recipe} v{version}{now}{said}")
    stored = {name.split(" (")[0] for name in learnt}
    for recipe in workspace.ledgers():
        for entry in ledger.read(workspace.ledger(recipe)):
            name = f"{entry.recipe} v{entry.version}"
            if (
                entry.event == ledger.DONE
                and name not in stored
                and not (workspace.models / entry.recipe / str(entry.version)).exists()
                and _commit_held(workspace, str(entry.details.get("git_commit")), plan)
            ):
                stored.add(name)
                learnt.append(f"{name} (not in the store)")
    for path in sorted((workspace.root / "artifacts").glob("*/training/run.json")):
        data = _data_of(path)
        if data.get("dataset", plan.dataset) == plan.dataset and (
            data.get("dvc_md5") in _tainted(plan)
        ):
            learnt.append(f"the candidate of {path.parents[1].name}")
    if learnt:
        yield f"models that learnt from the data with these images: {', '.join(learnt)}"


def _learnt_from(folder: Path, plan: Plan) -> str | None:
    """Returns what to add about a stored model that learnt from the images, or None."""
    try:
        statement = provenance.load(folder / provenance.IN_MODEL)
    except SegtrailError:
        return " (perhaps: its provenance is not readable)"
    item = provenance.dependencies(statement).get(f"data/{plan.dataset}")
    if item is None or item["annotations"].get("dvc_md5") in plan.clean:
        return None
    return ""


def _data_of(run: Path) -> Mapping[str, Any]:
    """Returns what a training run's record says of its data; nothing if it is not readable."""
    try:
        data = read_json(run).get("data_version")
    except (ValueError, AttributeError):
        return {}
    return data if isinstance(data, Mapping) else {}


def _commit_held(workspace: Workspace, commit: str, plan: Plan) -> bool:
    try:
        return data_version.data_md5_at(workspace.root, commit) not in plan.clean
    except SegtrailError:
        return False


def _tainted(plan: Plan) -> set[str]:
    every = {v.dataset_md5(plan.dataset) for v in plan.history.versions}
    return every - plan.clean


def _files(workspace: Workspace, plan: Plan) -> Iterator[str]:
    """Names files of the model store and of MLflow that hold an erased image."""
    images = {row.md5 for row in plan.rows}
    if golden := list(_images_in(workspace.models, images)):
        yield (
            f"{_count(len(golden), 'file')} in the model store, where they are part of the proof: "
            + _some([p.relative_to(workspace.home).as_posix() for p in golden])
        )
    if workspace.mlflow_uri.startswith("http"):
        yield (
            f"artifacts of training runs in MLflow at {workspace.mlflow_uri}, reports with "
            "thumbnails too: not looked into"
        )
    elif logged := list(_images_in(workspace.mlflow_artifacts, images)):
        yield (
            f"{_count(len(logged), 'file')} among MLflow's artifacts: "
            + _some([p.relative_to(workspace.home).as_posix() for p in logged])
        )


def _images_in(root: Path, md5s: Collection[str]) -> Iterator[Path]:
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        if not path.is_file():
            continue
        if path.suffix == ".png":
            content = path.read_bytes()
            if hashlib.md5(content, usedforsecurity=False).hexdigest() in md5s:
                yield path
                for answer in sorted(path.parent.iterdir()):  # of a golden image
                    if answer.name.startswith((f"{path.stem}.mask.", f"{path.stem}.probability.")):
                        yield answer
        elif path.as_posix().endswith(LOOKED_INTO) and holds_erased(path.read_bytes(), md5s):
            yield path


def _branches(workspace: Workspace, plan: Plan) -> Iterator[str]:
    refs = git.run(
        workspace.root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes"
    ).splitlines()
    held = {v.md5 for v in plan.history.versions} - plan.clean
    stale = []
    for ref in refs:
        try:
            if data_version.data_md5_at(workspace.root, ref) in held:
                stale.append(ref)
        except SegtrailError:
            continue
    here = git.run(workspace.root, "rev-parse", "--abbrev-ref", "HEAD")
    if stale := [ref for ref in stale if ref != here]:
        yield f"branches whose data.dvc still names the files; merge there: {_some(stale)}"


def _sources(
    workspace: Workspace, plan: Plan, stores: Stores, images: Collection[str]
) -> Iterator[str]:
    """Names the deliveries of every content that the images ever had, each source once."""
    folder = workspace.dataset(plan.dataset)
    numbers = set()
    for md5 in {
        v.files.get(f"{plan.dataset}/{split_ledger.LEDGER}") for v in plan.history.versions
    }:
        if md5 is None or (content := stores.read(md5)) is None:
            continue
        with contextlib.suppress(DataError):  # as an earlier segtrail wrote it
            rows = split_ledger.parse(content, md5)
            numbers |= {rows[image].delivery for image in images if image in rows}
    brought = {
        row.source_sha256: f"{row.source} (sha256 {row.source_sha256[:12]})"
        for row in deliveries.read(folder / deliveries.DELIVERIES)
        if str(row.delivery) in numbers and row.source_sha256
    }
    if brought:
        yield (
            f"what was delivered, wherever it lies: {_some(list(brought.values()))}; and any "
            "other archive that has them too"
        )


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
