"""Where DVC keeps bytes: its cache and its remotes, to read from and to delete from.

DVC itself offers only `dvc gc`, which deletes what no commit names. An erasure must delete what
commits do name, so this uses the object databases that DVC's own commands use.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from segtrail import telemetry
from segtrail.errors import WorkspaceError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc_data.hashfile.db import HashFileDB

CACHE = "DVC's cache"
RUNS = "runs"  # the folder of DVC's run cache, beside the objects
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_CLOUDS = ("s3", "gs", "gcs", "azure", "abfs", "adl", "oss")


@dataclass
class Store:
    """The cache or one remote.

    Attributes:
        name: What to call it in messages.
        odbs: DVC's databases of it: the present layout and the one before DVC 3.
        empty: Whether nothing at all was in it when it was opened.
    """

    name: str
    odbs: tuple[HashFileDB, ...]
    empty: bool = False

    @property
    def in_cloud(self) -> bool:
        """Whether it is a bucket, which may keep what was deleted."""
        return self.odbs[0].fs.protocol in _CLOUDS

    def read(self, md5: str) -> bytes | None:
        """Returns the content of this name, or None if the store does not have it."""
        for odb in self.odbs:
            with contextlib.suppress(FileNotFoundError):
                content: bytes = odb.fs.cat_file(odb.oid_to_path(_checked(md5)))
                return content
        return None

    def delete(self, md5s: Iterable[str]) -> int:
        """Deletes contents; what is not there is fine. Returns how many were there.

        Raises:
            WorkspaceError: One is still there afterwards.
        """
        wanted = [_checked(md5) for md5 in md5s]
        count = 0
        for odb in self.odbs:
            there = _existing(odb, [odb.oid_to_path(md5) for md5 in wanted])
            for path in there:
                with contextlib.suppress(FileNotFoundError):
                    odb.fs.remove(path)
            if left := _existing(odb, there):
                raise WorkspaceError(
                    f"{self.name}: {left[0]} could not be deleted",
                    "see that you may delete there, then: segtrail data purge --dataset NAME",
                )
            count += len(there)
        if count:
            self.forget_index()
        return count

    def runs(self) -> dict[str, Mapping[str, Any]]:
        """Returns the records of DVC's run cache, by path; one that is not readable is empty."""
        odb = self.odbs[-1]
        root = odb.fs.join(odb.path, RUNS)
        found: dict[str, Mapping[str, Any]] = {}
        try:
            paths = list(odb.fs.find(root)) if odb.fs.exists(root) else []
        except NotImplementedError:  # a web server without listings
            paths = []
        for path in paths:
            try:
                record = yaml.safe_load(odb.fs.cat_file(path))
            except (yaml.YAMLError, UnicodeDecodeError):
                record = None
            found[path] = record if isinstance(record, Mapping) else {}
        return found

    def delete_runs(self, paths: Iterable[str]) -> None:
        """Deletes records that `runs` returned."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                self.odbs[-1].fs.remove(path)

    def reach(self) -> None:
        """Raises what the file system raises when it is out of reach; an empty store is fine."""
        self.empty = True
        for odb in self.odbs:
            with contextlib.suppress(FileNotFoundError):
                self.empty = not odb.fs.ls(odb.path, detail=False) and self.empty

    def forget_index(self) -> None:
        """Drops DVC's notes about which folders are complete here: they are no longer."""
        from dvc_data.hashfile.db import get_index

        for odb in self.odbs:
            index = get_index(odb)
            index.clear()
            index.close()


@dataclass
class Stores:
    """All stores of a workspace.

    Attributes:
        cache: DVC's cache.
        remotes: The remotes, by name.
        beyond: One line a remote that cannot be erased from.
        repo: DVC's view of the workspace, whose lock is held.
    """

    cache: Store
    remotes: list[Store]
    beyond: list[str]
    repo: Repo = field(repr=False)

    @property
    def all(self) -> list[Store]:
        """The cache and the remotes."""
        return [self.cache, *self.remotes]

    def read(self, md5: str) -> bytes | None:
        """Returns a content from the first store that has it."""
        for store in self.all:
            if (content := store.read(md5)) is not None:
                return content
        return None


@contextlib.contextmanager
def open_stores(workspace: Workspace) -> Iterator[Stores]:
    """Opens the cache and every remote of DVC's configuration, and keeps other commands out.

    Raises:
        WorkspaceError: Another DVC command runs; or a remote is out of reach, lacks its
            package, or is configured wrongly.
    """
    with _locked(workspace) as repo:
        cache = Store(CACHE, (repo.cache.local, repo.cache.legacy))
        remotes, beyond = [], []
        for name in sorted(repo.config["remote"]):
            found = _open_remote(repo, name)
            if isinstance(found, Store):
                remotes.append(found)
            else:
                beyond.append(found)
        yield Stores(cache, remotes, beyond, repo)


@contextlib.contextmanager
def open_cache(workspace: Workspace) -> Iterator[Store]:
    """Opens the cache alone, no remote, and keeps other commands out.

    Raises:
        WorkspaceError: Another DVC command runs.
    """
    with _locked(workspace) as repo:
        yield Store(CACHE, (repo.cache.local, repo.cache.legacy))


@contextlib.contextmanager
def _locked(workspace: Workspace) -> Iterator[Repo]:
    telemetry.switch_off()
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    root = workspace.root
    try:
        repo = Repo(str(root))
    except DvcException as e:
        raise WorkspaceError(f"{root}: DVC says: {e}", "dvc doctor") from None
    with contextlib.ExitStack() as stack:
        stack.callback(repo.close)
        try:
            stack.enter_context(repo.lock)
        except LockError as e:
            raise WorkspaceError(f"{root}: another DVC command is running: {e}", "wait") from None
        yield repo


def _open_remote(repo: Repo, name: str) -> Store | str:
    from dvc.config import RemoteConfigError

    what = f"the remote {name!r}"
    try:
        remote = repo.cloud.get_remote(name)
        if remote.worktree or remote.fs.version_aware:
            return f"{what} is version-aware: remove the files and their versions there"
        if remote.fs.protocol in ("http", "https"):
            return f"{what} is a web server: remove the files there"
        store = Store(what, (remote.odb, remote.legacy_odb))
        store.reach()
    except RemoteConfigError as e:
        raise WorkspaceError(f"{what}: {e}", "dvc remote list") from None
    except Exception as e:  # each file system has its own errors
        raise WorkspaceError(
            f"{what} cannot be reached: {type(e).__name__}{f': {e}' if str(e) else ''}",
            f"mend it and try again; or, if it is no more: dvc remote remove {name}",
        ) from e
    return store


def _existing(odb: HashFileDB, paths: list[str]) -> list[str]:
    there = odb.fs.exists(paths) if paths else []
    return [path for path, exists in zip(paths, there, strict=True) if exists]


def _checked(md5: str) -> str:
    if not _MD5.fullmatch(md5):  # it could be a path out of the store
        raise WorkspaceError(f"{md5!r} is not an md5 as DVC writes it")
    return md5
