"""Records `data/` in DVC and git, and restores it from there.

DVC runs as a command of its own: its library takes over signal handlers and logging and keeps
its database open, and what a command printed is what a person can repeat.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import yaml

from lineage import dvc_remote
from lineage.dvc_files import EMPTY_FOLDER
from segtrail import git
from segtrail.errors import WorkspaceError
from segtrail.progress import say
from segtrail.workspace import Workspace

POINTER = "data.dvc"


def require_repositories(workspace: Workspace) -> None:
    """Raises:
    WorkspaceError: The workspace is not the root of a git repository, or not in DVC.
    """
    root = workspace.root
    if not git.is_repository(root):
        raise WorkspaceError(
            f"{root}: not a git repository; each delivery is recorded as a commit", "git init"
        )
    if top := git.run(root, "rev-parse", "--show-prefix"):
        # Paths in old commits are from the repository's root: none would be found.
        raise WorkspaceError(
            f"{root}: lies in the folder {top} of a git repository; expected its root",
            "give the workspace a repository of its own",
        )
    if not (root / ".dvc").is_dir():
        raise WorkspaceError(
            f"{root}: DVC is not set up here; it keeps the data's versions",
            'dvc init && git commit -m "Set up DVC"',
        )


def restore(workspace: Workspace) -> None:
    """Brings `data/` to what `data.dvc` names, if it is not there at all.

    Raises:
        WorkspaceError: Neither the cache nor a remote has it.
        UnreachableError: The cache lacks it, and the remote gives no answer.
    """
    if _has_files(workspace) or recorded_version(workspace) in (None, EMPTY_FOLDER):
        return
    say("data/ is not here yet: restoring it from DVC")
    if dvc(workspace, "checkout", "--quiet", POINTER).returncode == 0:
        return
    done = dvc(workspace, "pull", "--quiet", POINTER)
    if done.returncode:
        dvc_remote.require_answer(workspace.root)
        raise WorkspaceError(
            f"{workspace.root / POINTER} names data that is neither in DVC's cache nor in "
            f"a remote: {_said(done)}",
            "dvc remote add --default <name> <url> && dvc pull; or copy .dvc/cache from where "
            "the data was ingested",
        )


def require_unchanged(workspace: Workspace) -> None:
    """Raises:
    WorkspaceError: `data/` is not what `data.dvc` names.
    """
    version = recorded_version(workspace)
    if version in (None, EMPTY_FOLDER):
        if _has_files(workspace):
            raise WorkspaceError(
                f"{workspace.data}: holds files that {POINTER} does not name",
                f"dvc add data && git commit -m 'Record data' {POINTER}; or move them away",
            )
        return
    done = dvc(workspace, "status", "--json", POINTER)
    if done.returncode:
        raise WorkspaceError(f"dvc status {POINTER} failed: {_said(done)}")
    status: dict[str, Any] = json.loads(done.stdout or "{}")
    if status:
        raise WorkspaceError(
            f"{workspace.data}: was changed by hand: it is not what {POINTER} names ({version})",
            "see what: dvc diff; take it back: dvc checkout --force data.dvc; or keep it: "
            f"dvc add data && git commit -m '<why>' {POINTER}",
        )


def record(workspace: Workspace, message: str) -> str | None:
    """Adds `data/` to DVC and commits `data.dvc`; returns the commit, or None if unchanged.

    Raises:
        WorkspaceError: DVC or git said no.
    """
    ignored = workspace.root / ".gitignore"
    before = ignored.read_bytes() if ignored.exists() else None
    done = dvc(workspace, "add", "data", "--quiet")
    if done.returncode:
        raise WorkspaceError(
            f"dvc add data failed: {_said(done)}",
            "mend what it names and ingest again: the delivery has landed and will be recorded",
        )
    paths = [POINTER]
    if ignored.exists() and ignored.read_bytes() != before:
        paths.append(".gitignore")
    commit = git.commit(workspace.root, paths, message)
    if commit:
        say(f"committed {commit[:10]}: {message.splitlines()[0]} ({', '.join(paths)})")
    return commit


def recorded_version(workspace: Workspace) -> str | None:
    """Returns DVC's hash of `data/` in `data.dvc`, or None if there is no such file."""
    path = workspace.root / POINTER
    try:
        return str(yaml.safe_load(path.read_text(encoding="utf-8"))["outs"][0]["md5"])
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, KeyError, TypeError, IndexError, UnicodeDecodeError):
        raise WorkspaceError(
            f"{path}: not a DVC file with one output",
            f"git checkout {POINTER}",
        ) from None


def dvc(workspace: Workspace, *args: str) -> subprocess.CompletedProcess[str]:
    """Runs a DVC command in the workspace."""
    return subprocess.run(
        [sys.executable, "-m", "dvc", *args],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=False,
    )


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr or done.stdout).strip()


def _has_files(workspace: Workspace) -> bool:
    return workspace.data.is_dir() and any(not path.is_dir() for path in workspace.data.rglob("*"))
