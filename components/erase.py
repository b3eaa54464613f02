"""Erasure of images whose consent was withdrawn: bytes go, digests and reason stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from components.ingestion import erasure, erasure_plan
from components.ingestion.delivery import ERASURE, Delivery, land, one_line
from components.ingestion.history import History, data_versions
from components.ingestion.object_stores import open_stores
from components.ingestion.remains import remains
from components.ingestion.session import writing
from components.ingestion.working_copies import described
from segtrail import deliveries, git, split_ledger, tombstones
from segtrail.errors import DataError
from segtrail.params import load_dataset
from segtrail.split_ledger import LEDGER, Ledger
from segtrail.tombstones import TOMBSTONES
from segtrail.words import near
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Erased:
    """What one erasure did, or would do.

    Attributes:
        dataset: Its name.
        images: Ids of the images erased now.
        before: Ids of images asked for that were erased before.
        versions: How many contents of image and mask the images ever had.
        deleted: How many files each store had of them and of what was made of them; none of
            a store that had been cleared before, or in a dry run.
        to_delete: How many contents had to go, in all stores together.
        copies: One line for each folder outside `data/` that had copies, or what was made of them.
        stages: Those of `dvc.lock` that lose files of their outputs, so that they run again.
        remains: One line for each thing that may still hold them, or has learnt from them.
        delivery: Its number among the dataset's deliveries; None if nothing was erased.
        commit: The git commit that records it.
    """

    dataset: str
    images: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    versions: int = 0
    deleted: Mapping[str, int] = field(default_factory=dict)
    to_delete: int = 0
    copies: Sequence[str] = ()
    stages: Sequence[str] = ()
    remains: Sequence[str] = ()
    delivery: int | None = None
    commit: str | None = None


def erase(
    workspace: Workspace,
    dataset: str,
    images: Sequence[str],
    *,
    reason: str,
    by: str | None = None,
    dry_run: bool = False,
) -> Erased:
    """Erases images: their bytes, and all that stages made of them, here and in every remote.

    What goes: image and mask, of every version that any commit names, from `data/`, from DVC's
    cache and from all remotes; the TFRecords, tiles, overlays and pages made of them, with their
    entries in DVC's run cache and in `dvc.lock`; copies in quarantine, in the scratch folder and
    in the clones of workers. What stays: a tombstone with the digests and the reason, the row of
    the split ledger, tables of numbers. A crash in the middle is finished by the next erasure or
    ingestion.

    Args:
        workspace: In git and DVC.
        dataset: A name under `datasets:` in `params.yaml`.
        images: Ids; of images that were removed before, too. Those erased before are passed over.
        reason: Why, in a line. It stays for good, so it should name no person.
        by: Who erases; by default git's identity.
        dry_run: Look only; change nothing.

    Returns:
        What was done, and what is out of reach.

    Raises:
        ConfigError: No such dataset, or no reason.
        DataError: No such image; or another image that would stay has the same bytes.
        WorkspaceError: See `components.ingestion.session.writing`; or a remote is out of reach.
    """
    load_dataset(workspace, dataset)
    reason = one_line("reason", reason, "consent withdrawn")
    if by is not None:
        by = one_line("by", by, "Data protection office")
    with writing(workspace) as landing:
        folder = workspace.dataset(dataset)
        ledger = split_ledger.read(folder / LEDGER)
        graves = tombstones.read(folder / TOMBSTONES)
        _check_known(dataset, images, ledger)
        number = len(deliveries.read(folder / deliveries.DELIVERIES)) + 1
        by = by or git.identity(workspace.root)
        with open_stores(workspace) as stores:
            history = data_versions(workspace, stores.read)
            rows = erasure_plan.order(
                dataset, images, graves, history, stores, delivery=number, reason=reason, by=by
            )
            wanted = tuple(i for i in dict.fromkeys(images) if i in {row.image for row in rows})
            before = tuple(i for i in dict.fromkeys(images) if i not in wanted)
            _check_named(dataset, before, graves, history)
            if not wanted:
                return Erased(dataset, before=before)
            _check_unshared(dataset, wanted, ledger)
            every = [*graves, *rows]
            plan = erasure_plan.plan(workspace, dataset, every, history, stores, landed=False)
            erased = Erased(
                dataset, wanted, before, versions=len(rows),
                to_delete=len(plan.erased | plan.derived.md5s),
                copies=described(workspace.root, erasure.copies_of(workspace, plan))
                if dry_run
                else (),
                stages=plan.stages,
                remains=remains(workspace, plan, stores, wanted),
            )  # fmt: skip
        if dry_run:
            return erased
        pending = erasure.Pending(workspace)
        pending.begin(dataset)
        landing.start()
        delivery = land(
            landing,
            Delivery(dataset, ERASURE, "", removed=wanted),
            _marked(ledger, wanted, number),
            {TOMBSTONES: tombstones.to_csv(every).encode()},
            by=by,
            licence="",
        )
        purged = erasure.purge(workspace, dataset)
        pending.done(dataset)
    return replace(
        erased, deleted=purged.deleted, copies=purged.copies, delivery=number,
        commit=delivery.commit,
    )  # fmt: skip


def purge(workspace: Workspace, dataset: str) -> Erased:
    """Carries out all tombstones of a dataset once more, as in a clone that has fetched them.

    Raises:
        ConfigError: No such dataset.
        WorkspaceError: See `erase`.
    """
    load_dataset(workspace, dataset)
    with writing(workspace):
        purged = erasure.purge(workspace, dataset)
        plan = purged.plan
        erasure.Pending(workspace).done(dataset)
        with open_stores(workspace) as stores:
            left = remains(workspace, plan, stores)
    images = sorted({row.image for row in plan.rows})
    return Erased(
        dataset, before=tuple(images), versions=len(plan.rows), deleted=purged.deleted,
        to_delete=len(plan.erased | plan.derived.md5s), copies=purged.copies,
        stages=plan.stages, remains=left,
    )  # fmt: skip


def _check_known(dataset: str, images: Sequence[str], ledger: Ledger) -> None:
    """Raises:
    DataError: No image is named, or one that the dataset never had.
    """
    if not images:
        raise DataError(f"{dataset}: no image to erase was named", "--ids a,b; or --ids @file")
    for image in images:
        if image not in ledger:
            raise DataError(
                f"{dataset} has, and had, no image {image!r}.{near(image, ledger)}",
                f"data/{dataset}/{LEDGER} lists them",
            )


def _check_named(
    dataset: str, passed_over: Sequence[str], graves: Sequence[tombstones.Row], history: History
) -> None:
    """Raises:
    DataError: An image is in no version that can be read, and was not erased either.
    """
    if unknown := sorted(set(passed_over) - {row.image for row in graves}):
        raise DataError(
            f"{dataset}: {', '.join(unknown)}: the listings of the data versions that had it are "
            f"in no store ({len(history.lost)} are lost), so its files cannot be named",
            "dvc fetch --all-commits data.dvc, or bring the cache back that has them; then erase",
        )


def _check_unshared(dataset: str, wanted: Collection[str], ledger: Ledger) -> None:
    """Raises:
    DataError: An image that would stay has the same bytes.
    """
    same: dict[str, list[str]] = {}
    for row in split_ledger.present(ledger.values()):
        same.setdefault(row.sha256, []).append(row.image)
    for image in wanted:
        if stay := [i for i in same.get(ledger[image].sha256, []) if i not in wanted]:
            raise DataError(
                f"{dataset}: {', '.join(stay)} would stay and has the same bytes as {image}",
                f"erase all of them: --ids {','.join(sorted([image, *stay]))}",
            )


def _marked(ledger: Ledger, images: Sequence[str], number: int) -> Ledger:
    return {
        image: replace(row, removed=row.removed or str(number)) if image in images else row
        for image, row in ledger.items()
    }
