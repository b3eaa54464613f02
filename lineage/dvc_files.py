"""What DVC stored: its cache objects, folder listings and `dvc.lock`, read without writing."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from segtrail import git_objects, telemetry
from segtrail.errors import LineageError, WorkspaceError


class MissingError(LineageError):
    """DVC's cache lacks an object, as in a clone that did not fetch it: nothing is wrong."""


DIR = ".dir"  # ends the md5 of a folder
# The same as yaml.safe_load; in C, where PyYAML has that, ten times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


def cache_folder(root: Path) -> Path:
    """Returns the folder of DVC's md5 cache, wherever DVC's configuration puts it.

    Raises:
        LineageError: `root` is not a DVC repository.
    """
    files = (root / ".dvc" / name for name in ("config", "config.local"))
    return _cache_folder(root, tuple(path.read_bytes() for path in files if path.exists()))


@functools.cache
def _cache_folder(root: Path, configuration: tuple[bytes, ...]) -> Path:
    """Opens the repository, which takes DVC a while, once for each `configuration` of it."""
    telemetry.switch_off()
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return Path(repo.cache.local.path)
    except DvcException as e:
        raise LineageError(f"{root}: DVC says: {e}", "dvc init") from None


def object_path(cache: Path, md5: str) -> Path:
    """Returns where the cache keeps the content with this md5.

    Raises:
        LineageError: `md5` is not one; it could be a path out of the cache.
    """
    if not isinstance(md5, str) or not _MD5.fullmatch(md5):
        raise LineageError(f"{md5!r} is not an md5 as DVC writes it")
    return cache / md5[:2] / md5[2:]


def read_object(cache: Path, md5: str) -> bytes:
    """Returns cached content whose md5 was checked.

    Raises:
        MissingError: It is not in the cache.
        LineageError: It is not what its name says.
    """
    path = object_path(cache, md5)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingError(
            f"{md5} is not in DVC's cache; `dvc fetch` may bring it", "dvc fetch"
        ) from None
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5.removesuffix(DIR):
        raise LineageError(f"{path}: the content's md5 is {found}, not {md5}", "dvc fetch")
    return content


def read_listing(cache: Path, md5: str) -> dict[str, str]:
    """Returns `{relative path: md5}` of a folder in the cache, by path."""
    raw = json.loads(read_object(cache, md5))
    listing = {str(item["relpath"]): str(item["md5"]) for item in raw}
    return dict(sorted(listing.items()))


def inside(folder: Path, name: str) -> Path:
    """Returns where a file of a listing belongs below `folder`.

    Raises:
        LineageError: The name leads out of it.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise LineageError(f"a listing in DVC's cache names {name!r}, out of its folder")
    return folder / path


def listing_md5(listing: Mapping[str, str]) -> str:
    """Returns the md5, with `.dir`, that DVC gives a folder with these files.

    The same as DVC records in `dvc.lock` for a dependency or output that is this folder:
    the md5 of its JSON list of files, sorted by path.

    Args:
        listing: `{relative posix path: md5 of the content}`.
    """
    rows = [{"md5": listing[name], "relpath": name} for name in sorted(listing)]
    content = json.dumps(rows, sort_keys=True).encode()
    return hashlib.md5(content, usedforsecurity=False).hexdigest() + DIR


EMPTY_FOLDER = listing_md5({})  # what DVC calls a folder without files, as data/ is at first


def file_md5(path: Path) -> str:
    """Returns the md5 of a file's content, as DVC names it."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5s(folder: Path, skip: str | None = None) -> dict[str, str]:
    """Returns `{relative path: md5}` of a folder's files, as DVC lists them.

    Args:
        folder: The folder.
        skip: A sub-folder to leave out.
    """
    paths = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {
        name: file_md5(path)
        for name, path in sorted(paths.items())
        if not (skip and name.startswith(f"{skip}/"))
    }


@dataclass(frozen=True)
class Lock:
    """The part of `dvc.lock` about one recipe: the stages named `<stage>@<recipe>`.

    Attributes:
        stages: `{stage: its record}`, the record as DVC writes it.
    """

    recipe: str
    stages: Mapping[str, Mapping[str, Any]]

    def dependency(self, stage: str, path: str) -> str | None:
        """Returns the md5 that `stage` recorded of its dependency `path`."""
        return self._md5(stage, "deps", path)

    def output(self, stage: str, path: str) -> str | None:
        """Returns the md5 that `stage` recorded of its output `path`."""
        return self._md5(stage, "outs", path)

    def dependencies(self) -> Iterator[tuple[str, str, str]]:
        """Yields stage, path and md5 of whatever a stage depends on."""
        for stage, record in self.stages.items():
            for item in record.get("deps", []):
                yield stage, str(item["path"]), str(item["md5"])

    def dependents(self, path: str) -> dict[str, str]:
        """Returns `{stage: md5}` of the stages that depend on `path` itself."""
        found = {stage: self.dependency(stage, path) for stage in self.stages}
        return {stage: md5 for stage, md5 in found.items() if md5}

    def dataset(self) -> tuple[str, str] | None:
        """Returns name and md5 of the dataset that the examples were made from."""
        for item in self.stages.get("examples", {}).get("deps", []):
            folder, _, name = str(item["path"]).partition("/")
            if folder == "data" and name:
                return name, str(item["md5"])
        return None

    def find_output(self, path: str) -> tuple[str, str] | None:
        """Returns the output that is, or holds, the file `path`: its path and md5."""
        for record in self.stages.values():
            for out in record.get("outs", []):
                if out["path"] == path or path.startswith(out["path"] + "/"):
                    return str(out["path"]), str(out["md5"])
        return None

    def _md5(self, stage: str, kind: str, path: str) -> str | None:
        for item in self.stages.get(stage, {}).get(kind, []):
            if item["path"] == path:
                return str(item["md5"])
        return None


def parse_lock(content: bytes, recipe: str) -> Lock:
    """Reads what `dvc.lock` says of one recipe.

    Raises:
        LineageError: Not what DVC writes.
    """
    return parse_locks(content).get(recipe, Lock(recipe, {}))


def parse_locks(content: bytes) -> dict[str, Lock]:
    """Reads `dvc.lock`, by recipe.

    Raises:
        LineageError: Not what DVC writes.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, record in parse_stages(content).items():
        stage, at, recipe = name.partition("@")
        if at:
            found.setdefault(recipe, {})[stage] = record
    return {recipe: Lock(recipe, stages) for recipe, stages in found.items()}


def parse_stages(content: bytes) -> dict[str, dict[str, Any]]:
    """Reads `dvc.lock`: `{stage: its record}`, of whatever recipe or of none.

    Raises:
        LineageError: Not what DVC writes.
    """
    try:
        stages = (yaml.load(content, _Loader) or {}).get("stages") or {}
        return {str(name): dict(record) for name, record in stages.items()}
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as e:
        raise LineageError(f"dvc.lock: not readable: {e}") from None


def lock_at(root: Path, revision: str, recipe: str) -> Lock:
    """Returns `dvc.lock` as of a git revision.

    Raises:
        LineageError: The revision has none, or not a readable one.
    """
    try:
        content = git_objects.show(root, revision, "dvc.lock")
    except WorkspaceError:
        raise LineageError(
            f"dvc.lock is not in commit {revision[:12]}", "run the pipeline: segtrail retrain"
        ) from None
    return parse_lock(content, recipe)


def output_at(root: Path, revision: str, lock: Lock, cache: Path, path: str) -> bytes:
    """Returns a file that a stage made, as recorded at a git revision, its md5 checked.

    It is read from DVC's cache, or from git if it is an output that DVC does not cache.

    Raises:
        LineageError: No stage recorded it, or its content is gone or changed.
    """
    if (out := lock.find_output(path)) is None:
        raise LineageError(f"dvc.lock: no stage of {lock.recipe!r} has the output {path}")
    folder, md5 = out
    if md5.endswith(DIR):
        listing, name = read_listing(cache, md5), path[len(folder) + 1 :]
        if name not in listing:
            raise LineageError(f"dvc.lock: the output {folder} has no {name}")
        return read_object(cache, listing[name])
    if not object_path(cache, md5).exists():
        with contextlib.suppress(WorkspaceError):
            content = git_objects.show(root, revision, path)
            if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
                return content
    return read_object(cache, md5)
