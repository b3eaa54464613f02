"""Every content that `data/` and `dvc.lock` ever had in this repository, by git's objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import yaml

from components.ingestion.versioning import POINTER
from lineage import dvc_files
from segtrail import git
from segtrail.workspace import Workspace

LOCK = "dvc.lock"
Read = Callable[[str], bytes | None]  # a content by its md5, or None if it is nowhere


@dataclass(frozen=True)
class Version:
    """One content of `data/`.

    Attributes:
        md5: What `data.dvc` says, ending in `.dir`.
        files: `{path below data/: md5}`.
        current: Whether `data.dvc` in the working tree names it.
    """

    md5: str
    files: Mapping[str, str]
    current: bool = False

    def dataset(self, name: str) -> dict[str, str]:
        """Returns `{path below data/<name>: md5}`."""
        head = f"{name}/"
        return {p.removeprefix(head): md5 for p, md5 in self.files.items() if p.startswith(head)}

    def dataset_md5(self, name: str) -> str:
        """Returns what DVC records for a dependency on `data/<name>`."""
        return dvc_files.listing_md5(self.dataset(name))


@dataclass(frozen=True)
class History:
    """Attributes:
    versions: Every content of `data/` whose listing could be read.
    lost: The md5 of those whose listing is nowhere any more.
    """

    versions: list[Version]
    lost: list[str]


def data_versions(workspace: Workspace, read: Read) -> History:
    """Returns every content of `data/` that a commit of any branch, tag or reflog names.

    Args:
        workspace: In git and DVC.
        read: Gives DVC's listings of folders.
    """
    pointer = workspace.root / POINTER
    now = _md5_of(pointer.read_bytes()) if pointer.exists() else None
    found = dict.fromkeys([now] if now else [])
    found |= dict.fromkeys(md5 for b in blobs(workspace, POINTER) if (md5 := _md5_of(b)))
    versions, lost = [], []
    for md5 in found:
        files = listing(read, md5)
        if files is None:
            lost.append(md5)
        else:
            versions.append(Version(md5, files, current=md5 == now))
    return History(versions, lost)


def listing(read: Read, md5: str) -> dict[str, str] | None:
    """Returns `{path: md5}` of a folder that DVC recorded; None if its listing is nowhere."""
    if md5 == dvc_files.EMPTY_FOLDER:
        return {}
    content = read(md5)
    if content is None:
        return None
    try:
        rows = json.loads(content)
        return {str(row["relpath"]): str(row["md5"]) for row in rows}
    except (ValueError, TypeError, KeyError):
        return None


def blobs(workspace: Workspace, path: str) -> Iterator[bytes]:
    """Yields every content that a file had in any commit of any branch, tag, stash or reflog."""
    listed = git.run(
        workspace.root, "rev-list", "--all", "--reflog", "HEAD", "--objects", "--full-history",
        "--", path,
    )  # fmt: skip
    for line in listed.splitlines():
        digest, _, name = line.partition(" ")
        if name == path:
            yield git.run_bytes(workspace.root, "cat-file", "blob", digest)


def _md5_of(pointer: bytes) -> str | None:
    try:
        return str(yaml.safe_load(pointer)["outs"][0]["md5"])
    except (yaml.YAMLError, KeyError, IndexError, TypeError):
        return None  # not as DVC writes it, as in the middle of a merge
