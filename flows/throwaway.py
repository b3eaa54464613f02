"""A clone of one commit that is thrown away, with its data: what runs in it changes nothing else.

Code, MLflow store, DVC's cache, checkpoints and temporary files are its own; only git's objects
are read where they are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from flows.environment import child_environment
from lineage import data_version, dvc_files, dvc_remote
from lineage.evidence import Evidence
from lineage.link import NotChecked
from segtrail import git, telemetry
from segtrail.errors import LineageError
from segtrail.files import write_text
from segtrail.secrets import without_secrets
from segtrail.workspace import HOME_VARIABLE

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OF_ELSEWHERE = ("DVC_", "GIT_", "MLFLOW_", HOME_VARIABLE)  # variables that lead out of the clone


@contextlib.contextmanager
def clone(root: Path, commit: str, name: str, keep: Path | None = None) -> Iterator[Path]:
    """Yields a clone with `commit` checked out; removes it afterwards, also after a signal.

    Args:
        root: The repository, in which nothing is written.
        commit: A commit of it, on a branch or not.
        name: Begins the folder's name.
        keep: Clone into this folder, which is not there or is empty, and leave it.
    """
    with _ended_by_signals(), _folder(name, keep) as folder:
        options = ("--quiet", "--shared", "--no-checkout", "--template=")
        git.run(root, "clone", *options, ".", str(folder))
        no_hooks = ("-c", f"core.hooksPath={os.devnull}")
        git.run(folder, *no_hooks, "checkout", "--quiet", "--detach", commit)
        # a cache of its own, wherever the user's configuration puts caches
        write_text(folder / ".dvc" / "config.local", "[cache]\n    dir = cache\n")
        for place in (_scratch(folder, "tmp"), _scratch(folder, "dvc")):
            place.mkdir(parents=True)
        yield folder


def environment(folder: Path) -> dict[str, str]:
    """Returns the environment of processes in the clone: its code, its stores, no secrets."""
    env = without_secrets(child_environment(folder))
    env = {name: value for name, value in env.items() if not name.startswith(_OF_ELSEWHERE)}
    places = {
        "TMPDIR": str(_scratch(folder, "tmp")),
        "DVC_SITE_CACHE_DIR": str(_scratch(folder, "dvc")),
    }
    return {**telemetry.OFF, **env, **places}


def dvc_settings(folder: Path) -> dict[str, Any]:
    """Returns what DVC, opened in this process, needs to be told to write into the clone alone."""
    return {
        "core": {"site_cache_dir": str(_scratch(folder, "dvc"))},
        "cache": {"dir": str(folder / ".dvc" / "cache")},
    }


def bring_data(e: Evidence, folder: Path, say: Callable[[str], None]) -> None:
    """Copies the dataset into the clone: from DVC's cache, each md5 checked, or from the remote.

    Raises:
        NotChecked: Images were erased since, or the bytes are nowhere to be had.
    """
    md5 = data_version.data_md5_at(e.root, e.commit)
    own = folder / ".dvc" / "cache" / "files" / "md5"
    if not _copy(e.cache, own, md5):
        _fetch(e, folder, [md5], say)
    prefix = f"{e.dataset}/"
    listing = dvc_files.read_listing(own, md5)
    files = {name: md5 for name, md5 in listing.items() if name.startswith(prefix)}
    missing = {name: md5 for name, md5 in files.items() if not _copy(e.cache, own, md5)}
    if missing:
        graves = data_version.erased_files(e.root)
        if erased := [graves[md5] for md5 in missing.values() if md5 in graves]:
            raise NotChecked(
                f"{len(erased)} of the files it was made from were erased since "
                f"({erased[0].row.reason}), so that nobody can make it again"
            )
        _fetch(e, folder, sorted(set(missing.values())), say)
    for name, md5 in files.items():
        target = dvc_files.inside(folder / "data", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(dvc_files.read_object(own, md5))


def _copy(cache: Path, own: Path, md5: str) -> bool:
    """Copies what `cache` has whole into the clone's own cache; returns whether it has it."""
    target = dvc_files.object_path(own, md5)
    if target.exists():
        return True
    try:
        content = dvc_files.read_object(cache, md5)
    except LineageError:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return True


def _fetch(e: Evidence, folder: Path, md5s: list[str], say: Callable[[str], None]) -> None:
    """Fetches contents from the audited workspace's remote into the clone's own cache."""
    lacks = f"data/{e.dataset}: {len(md5s)} of its files not in DVC's cache"
    say(f"{lacks}; asking the remote")
    own = folder / ".dvc" / "cache" / "files" / "md5"
    try:
        dvc_remote.fetch(e.root, md5s, own, dvc_settings(folder))
    except LineageError as error:
        raise NotChecked(f"{lacks}, and they cannot be fetched: {error.message}") from None


def _scratch(folder: Path, name: str) -> Path:
    return folder / ".segtrail" / name


@contextlib.contextmanager
def _folder(name: str, keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix=f"segtrail-{name}-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Lets a signal end the block as an exception does, so that it is cleaned up after."""

    def end(number: int, frame: object) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # a second one would cut the cleaning up short
        raise SystemExit(128 + number)

    before = {each: signal.getsignal(each) for each in _ENDS}
    before = {each: handler for each, handler in before.items() if handler is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
