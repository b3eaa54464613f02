"""Clones of workers whose recipes are gone, with all their work handed back."""

from __future__ import annotations

from collections.abc import Sequence

from components.collecting.found import Found, measure
from segtrail import git
from segtrail.errors import WorkspaceError
from segtrail.params import load_params
from segtrail.workspace import DATA_CLONE, Workspace


def find(workspace: Workspace, clones: Sequence[Workspace]) -> Found:
    """Returns the clones that the workspace has everything of.

    Args:
        workspace: Theirs.
        clones: Of workers.

    Raises:
        ConfigError: `params.yaml` is not readable.
    """
    recipes = load_params(workspace.params).recipes
    gone = [
        clone.root
        for clone in clones
        if clone.root.name not in (*recipes, DATA_CLONE) and _is_handed_back(workspace, clone)
    ]
    sizes = {root: measure(root)[0] for root in gone}
    return Found("worker clones", "params.yaml has no such recipe; all is handed back", sizes)


def _is_handed_back(workspace: Workspace, clone: Workspace) -> bool:
    """Whether nothing is uncommitted or stashed, and each commit is in the workspace's history."""
    try:
        status = ("--no-optional-locks", "status", "--porcelain", "--untracked-files=all")
        if git.run(clone.root, *status) or git.run(clone.root, "stash", "list"):
            return False
        tips = git.run(clone.root, "rev-list", "--no-walk", "--all", "HEAD").split()
        return all(
            git.run(workspace.root, "for-each-ref", "--count=1", f"--contains={tip}")
            for tip in tips
        )
    except WorkspaceError:  # a commit that the workspace does not have; or a broken clone
        return False
