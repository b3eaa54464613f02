"""The data version: what `data/<dataset>` held, by content, at a git commit.

DVC tracks the whole of `data/` in one `data.dvc`; a dataset is the part below its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from lineage import dvc_files
from segtrail import git_objects, tombstones
from segtrail.errors import LineageError, SegtrailError, WorkspaceError
from segtrail.files import read_json, root_digest, sha256_bytes, sha256_file
from segtrail.tombstones import TOMBSTONES, Erased


@dataclass(frozen=True)
class DataVersion:
    """One content of one dataset.

    Attributes:
        dataset: Its name below `data/`.
        dvc_md5: What DVC records for a dependency on `data/<dataset>`, ending in `.dir`.
        sha256_root: Root digest over the files' SHA-256, which unlike md5 resists
            collisions; see `segtrail.files.root_digest`.
        files: `{path below data/<dataset>: md5}`.
        data_md5: What `data.dvc` records of all of `data/`; None when read from a folder.
    """

    dataset: str
    dvc_md5: str
    sha256_root: str
    files: Mapping[str, str]
    data_md5: str | None = None

    @classmethod
    def recorded(cls, path: Path) -> DataVersion:
        """Returns what `data_version.json` of the examples says; `files` is empty."""
        read = read_json(path)
        return cls(read["dataset"], read["dvc_md5"], read["sha256_root"], files={})


@dataclass(frozen=True)
class Rehash:
    """What re-hashing the bytes of a data version found.

    Attributes:
        sha256: `{path: hex SHA-256}` of the files that could be read.
        problems: One line a file that is missing or is not what its name says.
        erased: The files that are missing because a tombstone says so, by path.
        missing: Of those with a problem, the files that the cache lacks.
    """

    sha256: Mapping[str, str]
    problems: list[str]
    erased: Mapping[str, Erased]
    missing: Sequence[str] = ()

    @property
    def sha256_root(self) -> str | None:
        """The root over all files, with what tombstones say of those that were erased.

        None if a tombstone does not know the digest of its file.
        """
        said = {name: file.sha256 for name, file in self.erased.items()}
        return root_digest(dict(self.sha256) | said) if all(said.values()) else None


def of_folder(folder: Path) -> DataVersion:
    """Returns the version of a dataset's folder as it lies there now.

    Both digests are of the files' bytes: the same as `at_commit` gives once `dvc add data`
    and a commit have recorded this content.
    """
    md5 = dvc_files.folder_md5s(folder)
    sha256 = {name: sha256_file(folder / name) for name in md5}
    return DataVersion(folder.name, dvc_files.listing_md5(md5), root_digest(sha256), md5)


def data_md5_at(root: Path, revision: str) -> str:
    """Returns the md5 of all of `data/` that `data.dvc` records at `revision`.

    Raises:
        LineageError: `data.dvc` is not in that commit, or not as DVC writes it.
    """
    try:
        raw = yaml.safe_load(git_objects.show(root, revision, "data.dvc"))
        return str(raw["outs"][0]["md5"])
    except WorkspaceError:
        raise LineageError(
            f"data.dvc is not in commit {revision[:12]}", "segtrail ingest commits it"
        ) from None
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as e:
        raise LineageError(f"data.dvc at {revision[:12]}: not as DVC writes it: {e!r}") from None


def tree(root: Path, revision: str, dataset: str) -> dict[str, str]:
    """Returns `{path below data/<dataset>: md5}` at a git revision.

    Raises:
        LineageError: `data.dvc`, its listing in the cache, or the dataset is not there.
    """
    md5 = data_md5_at(root, revision)
    listing = dvc_files.read_listing(dvc_files.cache_folder(root), md5)
    files = {
        name.removeprefix(f"{dataset}/"): value
        for name, value in listing.items()
        if name.startswith(f"{dataset}/")
    }
    if not files:
        raise LineageError(f"data.dvc at {revision[:12]}: has no data/{dataset}")
    return files


def verify_bytes(root: Path, files: Mapping[str, str]) -> Rehash:
    """Reads each file of a `tree` from DVC's cache and hashes it anew, md5 and SHA-256.

    A file that is not in the cache counts as erased if a tombstone names its content.
    """
    cache = dvc_files.cache_folder(root)
    sha256: dict[str, str] = {}
    erased: dict[str, Erased] = {}
    problems, missing = [], []
    graves: Mapping[str, Erased] | None = None
    for name, md5 in files.items():
        try:
            sha256[name] = sha256_bytes(dvc_files.read_object(cache, md5))
        except dvc_files.MissingError as e:
            graves = erased_files(root) if graves is None else graves
            if md5 in graves:
                erased[name] = graves[md5]
            else:
                missing.append(name)
                problems.append(f"{name}: {e.message}")
        except LineageError as e:
            problems.append(f"{name}: {e.message}")
    return Rehash(sha256, problems, erased, missing)


def erased_files(root: Path) -> Mapping[str, Erased]:
    """Returns what the tombstones of all datasets name, by md5.

    They are read from the data version at HEAD, as git and DVC recorded it, or else from
    `data/` as it lies there.
    """
    try:
        cache = dvc_files.cache_folder(root)
        listing = dvc_files.read_listing(cache, data_md5_at(root, "HEAD"))
        contents = {
            name: dvc_files.read_object(cache, md5)
            for name, md5 in listing.items()
            if name.split("/")[1:] == [TOMBSTONES]
        }
    except LineageError:
        paths = sorted((root / "data").glob(f"*/{TOMBSTONES}"))
        contents = {path.relative_to(root / "data").as_posix(): path.read_bytes() for path in paths}
    try:
        return tombstones.by_md5(
            row for name, content in contents.items() for row in tombstones.parse(content, name)
        )
    except SegtrailError as e:
        raise LineageError(f"data/{e.message}", e.hint) from None


def at_commit(root: Path, revision: str, dataset: str) -> DataVersion:
    """Returns the version of a dataset at a git revision, its bytes re-hashed.

    Raises:
        LineageError: Something it needs is missing or erased, or not what its digest says.
    """
    files = tree(root, revision, dataset)
    found = verify_bytes(root, files)
    if found.problems:
        raise LineageError(f"data/{dataset}: {found.problems[0]}", "dvc fetch")
    if found.erased or found.sha256_root is None:
        raise LineageError(
            f"data/{dataset} at {revision[:12]}: {len(found.erased)} of its files were erased "
            f"since, such as {next(iter(found.erased))}",
            "go on from a commit with the erasure: git merge <branch>",
        )
    return DataVersion(
        dataset,
        dvc_files.listing_md5(files),
        found.sha256_root,
        files,
        data_md5_at(root, revision),
    )


def read_file(root: Path, files: Mapping[str, str], name: str) -> bytes:
    """Returns one file of a `tree` from DVC's cache.

    Raises:
        LineageError: The data version has no such file, or the cache has it no longer.
    """
    if name not in files:
        raise LineageError(f"the data version has no {name}")
    return dvc_files.read_object(dvc_files.cache_folder(root), files[name])
