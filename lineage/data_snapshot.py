"""What `data/<dataset>` held at one time: its files by content, and their bytes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lineage import data_version, dvc_files
from segtrail import deliveries, split_ledger
from segtrail.errors import LineageError

NOW = "data/"  # what people write for the files as they lie there now
IMAGES, MASKS, PNG = "images/", "masks/", ".png"


@dataclass(frozen=True)
class Snapshot:
    """One state of one dataset.

    Attributes:
        label: What to call it.
        dataset: Its name.
        files: `{path below data/<dataset>: md5}`.
        commit: The git commit; empty for files as they lie there now, and for nothing.
        fetch: Returns a file's bytes by its path and md5.
    """

    label: str
    dataset: str
    files: Mapping[str, str]
    commit: str
    fetch: Callable[[str, str], bytes]

    @property
    def dvc_md5(self) -> str:
        """What DVC calls this content."""
        return dvc_files.listing_md5(self.files)

    @property
    def images(self) -> dict[str, str]:
        """`{image: md5 of its file}`."""
        return ids(self.files, IMAGES)

    @property
    def masks(self) -> dict[str, str]:
        """`{image: md5 of its mask's file}`."""
        return ids(self.files, MASKS)

    def read(self, name: str) -> bytes:
        """Returns a file's bytes, checked against their md5.

        Raises:
            LineageError: There is no such file, or its bytes are gone or changed.
        """
        if name not in self.files:
            raise LineageError(f"{self.dataset} at {self.label} has no {name}")
        return self.fetch(name, self.files[name])

    def ledger(self) -> split_ledger.Ledger:
        """Returns the split ledger; an empty one if there is none.

        Raises:
            DataError: Not a split ledger as it is written today.
            LineageError: Its bytes are gone or changed.
        """
        name = split_ledger.LEDGER
        if name not in self.files:
            return {}
        return split_ledger.parse(self.read(name), f"{name} of {self.label}")

    def deliveries(self) -> list[deliveries.Row]:
        """Returns the deliveries so far.

        Raises:
            DataError: Not a list of deliveries.
            LineageError: Its bytes are gone or changed.
        """
        name = deliveries.DELIVERIES
        if name not in self.files:
            return []
        return deliveries.parse(self.read(name), f"{name} of {self.label}")


def ids(files: Mapping[str, str], folder: str) -> dict[str, str]:
    """Returns `{image: md5}` of the PNG files in one folder of a dataset."""
    return {
        name[len(folder) : -len(PNG)]: md5
        for name, md5 in files.items()
        if name.startswith(folder) and name.endswith(PNG)
    }


def split_by_dataset(listing: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Returns `{dataset: its files}` of a listing of all of `data/`."""
    out: dict[str, dict[str, str]] = {}
    for name, md5 in listing.items():
        dataset, slash, rest = name.partition("/")
        if slash:
            out.setdefault(dataset, {})[rest] = md5
    return dict(sorted(out.items()))


def of_files(root: Path, commit: str, dataset: str, files: Mapping[str, str]) -> Snapshot:
    """Returns a dataset at a git commit, with these files; their bytes come from DVC's cache."""
    cache = dvc_files.cache_folder(root)
    graves = functools.cache(lambda: data_version.erased_files(root))

    def fetch(name: str, md5: str) -> bytes:
        try:
            return dvc_files.read_object(cache, md5)
        except LineageError:
            if dvc_files.object_path(cache, md5).exists() or md5 not in graves():
                raise
            raise LineageError(f"erased: {graves()[md5].row.reason}") from None

    return Snapshot(commit[:10], dataset, files, commit, fetch)


def of_folder(folder: Path) -> Snapshot:
    """Returns a dataset as its files lie there now, whatever was recorded.

    Raises:
        LineageError: There is no such folder.
    """
    if not folder.is_dir():
        raise LineageError(f"{folder}: not there", "dvc checkout data.dvc")

    def fetch(name: str, md5: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as e:
            raise LineageError(f"{folder / name}: cannot be read: {e.strerror}") from None

    return Snapshot(NOW, folder.name, dvc_files.folder_md5s(folder), "", fetch)


def empty(dataset: str) -> Snapshot:
    """Returns the state before the first delivery."""

    def fetch(name: str, md5: str) -> bytes:
        raise LineageError(f"{dataset} held nothing, so no {name}")

    return Snapshot("nothing", dataset, {}, "", fetch)
