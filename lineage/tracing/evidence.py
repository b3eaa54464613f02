"""Looks up again, where it was recorded, what the index of `segtrail trace` says."""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Sequence
from pathlib import Path

from lineage import dvc_files
from lineage.data_snapshot import IMAGES, PNG
from lineage.tracing.locks import LOCK, Training
from segtrail import git_objects, split_ledger
from segtrail.errors import LineageError
from segtrail.split_ledger import Row

_NEAR = 1 << 14  # bytes that are searched from end to end


class ContradictionError(LineageError):
    """The index says something that is not recorded."""


def listing_has(cache: Path, listing: str, dataset: str, image: str, md5: str) -> bool:
    """Looks for an image's row in a listing of `data/`.

    Returns:
        Whether the listing is there to look into.

    Raises:
        ContradictionError: It has no such row.
    """
    name = f"{dataset}/{IMAGES}{image}{PNG}"
    row = json.dumps({"md5": md5, "relpath": name}).encode()
    start = b'{"md5": "'
    skip = row.index(b'"relpath": "') + len(b'"relpath": "')

    def key(content: mmap.mmap, at: int) -> bytes:
        return content[at + skip : content.find(b'"}', at + skip)]

    return _look(cache, listing, row, start, key, row[skip:-2])


def ledger_has(cache: Path, splits: str, row: Row) -> bool:
    """Looks for a row in a split ledger; otherwise like `listing_has`."""
    line = split_ledger.to_csv({row.image: row}).split("\n", 1)[1].encode()

    def key(content: mmap.mmap, at: int) -> bytes:
        return content[at + 1 : content.find(b",", at)]

    return _look(cache, splits, b"\n" + line, b"\n", key, row.image.encode())


def locks_have(root: Path, trainings: Sequence[Training]) -> None:
    """Looks for the md5 of trainings in the latest `dvc.lock` that records each.

    Raises:
        ContradictionError: It does not.
    """
    names = [f"{training.commits[0].revision}:{LOCK}" for training in trainings]
    for training, content in zip(trainings, git_objects.contents(root, names), strict=True):
        for md5 in (training.model_md5, training.training_md5):
            if md5.encode() not in (content or b""):
                raise _contradiction(f"{LOCK} at {training.commits[0].revision[:10]}", md5)


def _look(
    cache: Path,
    md5: str,
    record: bytes,
    start: bytes,
    key: Callable[[mmap.mmap, int], bytes],
    wanted: bytes,
) -> bool:
    """Looks for a record among others that are sorted by `key`, or else everywhere."""
    path = dvc_files.object_path(cache, md5)
    if not path.exists():
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        low, high = 0, len(content)
        while high - low > _NEAR:
            middle = (low + high) // 2
            at = content.find(start, middle, high)
            if at < 0 or key(content, at) > wanted:
                high = middle
            else:
                low = at
        if content.find(record, low, high + _NEAR) < 0 and content.find(record) < 0:
            raise _contradiction(str(path), record.decode(errors="replace").strip())
    return True


def _contradiction(where: str, what: str) -> ContradictionError:
    return ContradictionError(
        f"{where}: does not have {what}, as segtrail's index says",
        "delete the index, which is made anew: rm .segtrail/trace.db",
    )
