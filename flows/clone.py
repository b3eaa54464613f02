"""A worker's own clone of the workspace: scheduled runs never touch somebody's checkout.

The clone is on the branch `segtrail/<recipe>` and shares DVC's cache with the workspace; model
store, serving configuration and MLflow stay those of the workspace (`$SEGTRAIL_HOME`).

Also a script: `python -m flows.clone`, in the clone, brings it up to date before a run.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from flows import suspended
from flows.environment import RUN_VARIABLE, child_environment
from lineage.dvc_files import EMPTY_FOLDER
from segtrail import faults, git
from segtrail.errors import SegtrailError, WorkspaceError
from segtrail.files import write_text
from segtrail.workspace import DATA_CLONE, WORKERS, Workspace

HELD = "people are asked about its candidate (run {}); what is newer comes in after that"


def folder(workspace: Workspace, recipe: str) -> Path:
    """Returns where the clone of a recipe's worker lies; that of ingestions is `DATA_CLONE`'s."""
    return workspace.workers / recipe


def branch(recipe: str) -> str:
    """Returns the branch that a recipe's worker, or with `DATA_CLONE` an ingestion, commits to."""
    return f"segtrail/{recipe}"


def is_workers(workspace: Workspace, recipe: str) -> bool:
    """Whether the workspace is the clone of the recipe's worker."""
    return workspace.root.parts[-3:] == (".segtrail", WORKERS, recipe)


def prepare(workspace: Workspace, recipe: str, as_it_is: bool = False) -> Path:
    """Makes the clone, or brings it up to date; returns its folder.

    Args:
        workspace: Whose.
        recipe: Whose worker's; or `DATA_CLONE`.
        as_it_is: Whether one that is there stays so.

    Raises:
        WorkspaceError: Not a git repository with a commit, or the branches conflict.
    """
    from lineage.dvc_files import cache_folder

    clone = folder(workspace, recipe)
    if made := not (clone / ".git").exists():
        clone.parent.mkdir(parents=True, exist_ok=True)
        git.run(workspace.root, "clone", "--quiet", str(workspace.root), str(clone))
        # where an earlier clone handed its work back, this one goes on from there
        handed_back = f"refs/remotes/origin/{branch(recipe)}"
        start = [handed_back] if git.run(clone, "for-each-ref", handed_back) else []
        git.run(clone, "checkout", "--quiet", "--no-track", "-B", branch(recipe), *start)
    cache = cache_folder(workspace.root).resolve()
    if cache.name == "md5" and cache.parent.name == "files":  # DVC adds these two itself
        cache = cache.parents[1]
    write_text(clone / ".dvc" / "config.local", f"[cache]\n    dir = {cache}\n")
    if made or not as_it_is:
        refresh(clone)
    return clone


def refresh(clone: Path) -> None:
    """Merges what the workspace has committed and ingestions landed, and checks out the data.

    Raises:
        WorkspaceError: The merge conflicts, and was undone; or the data is not in the cache.
    """
    for ref in _sources(clone):
        git.run(clone, "fetch", "--quiet", "origin", ref)
        try:
            git.run(clone, "merge", "--quiet", "--no-edit", "FETCH_HEAD")
        except WorkspaceError as e:
            with contextlib.suppress(WorkspaceError):
                git.run(clone, "merge", "--abort")
            raise WorkspaceError(
                f"{clone}: {ref} of the workspace does not merge into this branch: {e.message}",
                f"git -C {clone} pull origin {ref}   (and settle the conflict)",
            ) from None
    data = clone / "data.dvc"
    if data.exists() and EMPTY_FOLDER not in data.read_text("utf-8"):  # else nothing ever came
        command = [sys.executable, "-m", "dvc", "checkout", "data.dvc"]
        done = subprocess.run(
            command, cwd=clone, env=child_environment(clone), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise WorkspaceError(f"{clone}: dvc checkout data.dvc: {done.stderr.strip()}")


def is_behind(clone: Path) -> bool:
    """Whether the workspace has commits, or ingestions landed, that the clone has not merged."""
    for ref in _sources(clone):
        git.run(clone, "fetch", "--quiet", "origin", ref)
        if git.run(clone, "rev-list", "--max-count=1", "HEAD..FETCH_HEAD"):
            return True
    return False


def _sources(clone: Path) -> tuple[str, ...]:
    landed = f"refs/heads/{branch(DATA_CLONE)}"
    return ("HEAD", *git.run(clone, "ls-remote", "origin", landed).split()[1:])


def hand_back(clone: Path, recipe: str) -> str:
    """Pushes the worker's branch and the recipe's tags into the workspace's repository.

    Its checkout, and whatever branch is checked out there, stay as they are.

    Returns:
        One line that says so, or why it could not be done: what was promoted stays promoted.
    """
    name = branch(recipe)
    tags = f"refs/tags/{recipe}/v*"
    refs = [f"HEAD:refs/heads/{name}", f"{tags}:{tags}"]
    try:
        git.run(clone, "push", "--quiet", "origin", *refs)
    except WorkspaceError as e:
        return f"{name} is not in the workspace's repository: {' '.join(e.message.split())}"
    return f"{name} is in the workspace's repository; there: git merge {name}"


def main() -> int:
    """Refreshes the clone in the working directory, unless people are asked about its candidate."""
    clone = Path.cwd()
    try:
        run = (
            suspended.held(Workspace.at(clone), clone.name) if RUN_VARIABLE in os.environ else None
        )
        if run is None:
            refresh(clone)
        else:
            print(f"{clone}: {HELD.format(run)}")
    except Exception as fault:
        if not isinstance(fault, SegtrailError) and not faults.is_fault(fault):
            raise
        e = fault if isinstance(fault, SegtrailError) else faults.told(fault)
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    print(f"{clone}: at {git.head(clone)[:9]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
