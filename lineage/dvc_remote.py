"""Brings objects that DVC's cache lacks from the remote, by their md5."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lineage import dvc_files
from segtrail import faults, telemetry
from segtrail.errors import LineageError, UnreachableError


def fetch(
    root: Path,
    md5s: Iterable[str],
    cache: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> int:
    """Copies those of these objects into DVC's cache that it lacks; nothing else is written.

    Not by `dvc fetch`, which takes a folder for whole whose listing the cache has.

    Args:
        root: The workspace.
        md5s: As DVC names them; of a folder, its listing alone.
        cache: Where they go; by default the workspace's own cache.
        settings: Of DVC, beside the workspace's own: so that it writes into that cache.

    Returns:
        How many came.

    Raises:
        LineageError: There is no remote, or it lacks some of them.
        UnreachableError: It gives no answer, or its folder is not there.
    """
    cache = cache or dvc_files.cache_folder(root)
    lacking = [md5 for md5 in set(md5s) if not dvc_files.object_path(cache, md5).exists()]
    if not lacking:
        return 0
    telemetry.switch_off()
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    try:
        with Repo(str(root), config=dict(settings or {})) as repo:
            _require_answer(repo.cloud.get_remote())
            repo.cloud.pull({HashInfo("md5", md5) for md5 in lacking})
    except UnreachableError:
        raise
    except DvcException as e:
        raise LineageError(f"DVC says: {e}", "dvc remote list; docs/remotes.md") from None
    except Exception as e:  # whatever a remote's own library raises
        raise LineageError(f"the remote: {type(e).__name__}: {e}") from None
    if left := sum(not dvc_files.object_path(cache, md5).exists() for md5 in lacking):
        raise LineageError(f"the remote lacks {left} of {len(lacking)} files")
    return len(lacking)


def require_answer(root: Path) -> None:
    """Tells a default remote that is away from none, and from one that lacks what it is asked for.

    DVC itself takes a server that gives no answer for one that has nothing.

    Raises:
        UnreachableError: It gives no answer, or its folder is not there.
    """
    telemetry.switch_off()
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with contextlib.suppress(DvcException), Repo(str(root)) as repo:
        _require_answer(repo.cloud.get_remote())


def _require_answer(remote: Any) -> None:
    if remote.fs.protocol == "local":
        if not remote.fs.isdir(remote.path):
            raise UnreachableError(
                f"the remote {remote.name!r} cannot be reached: no folder {remote.path}",
                "bring it back, such as a disk that is not mounted; or: dvc remote list",
            )
        return
    try:
        remote.fs.info(remote.path)
    except Exception as e:  # each remote's own library has its own; one that says no answers
        if faults.is_fault(e):
            raise UnreachableError(
                f"the remote {remote.name!r} gives no answer: {faults.cause(e)}",
                "mend that, or wait, and run it again; dvc remote list shows where it leads",
            ) from e
