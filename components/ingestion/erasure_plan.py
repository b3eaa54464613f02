"""What an erasure means: which contents must go, and what was made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.ingestion.derived import Derived, Record, derived, lock_records, run_record
from components.ingestion.history import LOCK, History, blobs
from components.ingestion.object_stores import Stores
from segtrail import git_objects, tombstones
from segtrail.errors import WorkspaceError
from segtrail.files import sha256_bytes
from segtrail.workspace import Workspace

_KINDS = ("images", "masks")


@dataclass(frozen=True)
class Plan:
    """What the tombstones of a dataset mean in this repository.

    Attributes:
        dataset: Its name.
        rows: The tombstones.
        history: Every content that `data/` had.
        erased: The md5 of the contents to delete.
        kept: `{md5: path}` of contents that a tombstone names and that stay, because another
            image that stays has the same.
        clean: The md5 of data versions, whole or the dataset's part, without erased images.
        derived: What the stages made of them.
        runs: The run cache's records of incomplete outputs, for each store.
        stages: The stages with incomplete outputs in `dvc.lock`, here or at HEAD.
    """

    dataset: str
    rows: Sequence[tombstones.Row]
    history: History
    erased: frozenset[str]
    kept: Mapping[str, str]
    clean: frozenset[str]
    derived: Derived
    runs: Mapping[str, Sequence[str]]
    stages: Sequence[str]


def contents_of(history: History, dataset: str, image: str) -> list[tuple[str, str]]:
    """Returns the md5 of an image and of its mask, in each version of the two that ever was."""
    found: dict[tuple[str, str], None] = {}
    for version in history.versions:
        md5s = [version.files.get(f"{dataset}/{kind}/{image}.png", "") for kind in _KINDS]
        if any(md5s):
            found[md5s[0], md5s[1]] = None
    return list(found)


def order(
    dataset: str,
    images: Iterable[str],
    graves: Sequence[tombstones.Row],
    history: History,
    stores: Stores,
    *,
    delivery: int,
    reason: str,
    by: str,
) -> list[tombstones.Row]:
    """Returns new tombstones: one for each content that an image ever had and that has none.

    Args:
        dataset: Whose images.
        images: Their ids.
        graves: The tombstones that there are.
        history: Every content that `data/` had.
        stores: Where DVC keeps bytes.
        delivery, reason, by: What the tombstones say.
    """
    buried = {(row.image, row.md5, row.mask_md5) for row in graves}

    def sha256(md5: str) -> str:
        content = stores.read(md5) if md5 else None
        return "" if content is None else sha256_bytes(content)

    return [
        tombstones.Row(image, sha256(md5), sha256(mask), md5, mask, delivery, reason, by)
        for image in dict.fromkeys(images)
        for md5, mask in contents_of(history, dataset, image)
        if (image, md5, mask) not in buried
    ]


def plan(
    workspace: Workspace,
    dataset: str,
    rows: Sequence[tombstones.Row],
    history: History,
    stores: Stores,
    *,
    landed: bool = True,
) -> Plan:
    """Returns what tombstones mean; changes nothing.

    Args:
        workspace: In git and DVC.
        dataset: Whose tombstones.
        rows: All of them, those to come too.
        history: Every content that `data/` had.
        stores: Where DVC keeps bytes.
        landed: Whether the images have left `data/` already. What is there in spite of its
            tombstone is kept then: somebody has brought it back.
    """
    kept = _kept(dataset, rows, history, landed)
    named = {md5 for row in rows for md5 in (row.md5, row.mask_md5) if md5}
    erased = frozenset(named - kept.keys())
    images = {row.md5 for row in rows}
    unharmed = [v for v in history.versions if not images & set(v.dataset(dataset).values())]
    clean = {md5 for v in unharmed for md5 in (v.md5, v.dataset_md5(dataset))}
    locks = [lock_records(content) for content in blobs(workspace, LOCK)]
    present = _present_lock(workspace)
    runs = {
        store.name: {path: run_record(raw) for path, raw in store.runs().items()}
        for store in stores.all
    }
    records: list[Record] = [record for lock in (*locks, present) for record in lock.values()]
    records += [record for found in runs.values() for record in found.values()]
    data = {md5 for version in history.versions for md5 in version.files.values()}
    made = derived(records, dataset, clean, erased | images, data, stores.read)
    return Plan(
        dataset, rows, history, erased, kept, frozenset(clean), made,
        {
            name: [path for path, record in found.items() if _broken(record, made)]
            for name, found in runs.items()
        },
        sorted(
            {
                name
                for lock in (present, _lock_at_head(workspace))
                for name, record in lock.items()
                if _broken(record, made)
            }
        ),
    )  # fmt: skip


def _kept(
    dataset: str, rows: Sequence[tombstones.Row], history: History, landed: bool
) -> dict[str, str]:
    """Returns `{md5: path}` of named contents that another file has a right to.

    An image that is there now, in whatever dataset, keeps its bytes. A mask's bytes are kept for
    every other image that ever had the same: equal masks, such as empty ones, tell nothing.
    """
    named = {md5 for row in rows for md5 in (row.md5, row.mask_md5) if md5}
    graves = {f"{dataset}/{kind}/{row.image}.png" for row in rows for kind in _KINDS}
    kept = {}
    for version in history.versions:
        for path, md5 in version.files.items():
            if md5 not in named or (path in graves and not (version.current and landed)):
                continue
            if version.current or path.split("/")[1:2] == ["masks"]:
                kept[md5] = f"data/{path}"
    return kept


def _present_lock(workspace: Workspace) -> dict[str, Record]:
    path = workspace.root / LOCK
    return lock_records(path.read_bytes()) if path.exists() else {}


def _lock_at_head(workspace: Workspace) -> dict[str, Record]:
    try:
        return lock_records(git_objects.show(workspace.root, "HEAD", LOCK))
    except WorkspaceError:  # it has none
        return {}


def _broken(record: Record, made: Derived) -> bool:
    return bool(made.outs & set(record.outs.values()))
