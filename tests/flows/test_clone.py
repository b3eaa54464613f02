"""A worker's clone hands its branch and tags back, without touching the workspace's checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows import clone
from segtrail import git
from segtrail.files import write_text
from segtrail.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with a commit and DVC's folders, but no data."""
    root = tmp_path / "workspace"
    root.mkdir()
    git.run(root, "init", "--quiet", "--initial-branch=main")
    write_text(root / ".gitignore", "/.segtrail/\n/.dvc/*\n!/.dvc/config\n")
    write_text(root / ".dvc" / "config", "")
    git.commit(root, [".gitignore", ".dvc"], "Workspace")
    return Workspace(root, root)


def promote_in(root: Path, version: int) -> str:
    """Commits a ledger line and tags it, as a promotion does; returns the commit."""
    path = root / "ledger" / "demo.jsonl"
    write_text(path, (path.read_text() if path.exists() else "") + f"v{version}\n")
    commit = git.commit(root, ["ledger/demo.jsonl"], f"Promote v{version}")
    assert commit is not None
    git.tag(root, f"demo/v{version}", commit, "served")
    return commit


def test_the_branch_and_the_tags_come_back_and_the_checkout_stays(workspace: Workspace) -> None:
    root = clone.prepare(workspace, "demo")
    assert clone.is_workers(Workspace(root, workspace.home), "demo")
    assert not clone.is_workers(Workspace(root, workspace.home), "other")
    assert not clone.is_workers(workspace, "demo")
    write_text(workspace.root / "notes.txt", "mine")
    before = git.head(workspace.root)
    git.tag(root, "other/v1", "HEAD", "not this recipe's")
    commit = promote_in(root, 1)

    assert "git merge segtrail/demo" in clone.hand_back(root, "demo")
    assert git.run(workspace.root, "rev-parse", "segtrail/demo") == commit
    assert git.tag_target(workspace.root, "demo/v1") == commit
    assert git.tag_target(workspace.root, "other/v1") is None
    assert git.head(workspace.root) == before
    assert git.run(workspace.root, "branch", "--show-current") == "main"
    assert git.run(workspace.root, "status", "--porcelain") == "?? notes.txt"

    git.run(workspace.root, "merge", "--quiet", "segtrail/demo")
    assert (workspace.root / "ledger" / "demo.jsonl").read_text() == "v1\n"


def test_without_a_promotion_the_branch_comes_back_alone(workspace: Workspace) -> None:
    root = clone.prepare(workspace, "demo")
    write_text(root / "dvc.lock", "a rejected candidate\n")
    commit = git.commit(root, ["dvc.lock"], "Run demo")
    assert "is in the workspace's repository" in clone.hand_back(root, "demo")
    assert git.run(workspace.root, "rev-parse", "segtrail/demo") == commit
    assert git.run(workspace.root, "tag") == ""


def test_a_clone_made_anew_goes_on_from_what_was_handed_back(workspace: Workspace) -> None:
    root = clone.prepare(workspace, "demo")
    promote_in(root, 1)
    clone.hand_back(root, "demo")
    shutil.rmtree(root)
    assert clone.prepare(workspace, "demo") == root
    second = promote_in(root, 2)
    assert (root / "ledger" / "demo.jsonl").read_text() == "v1\nv2\n"
    clone.hand_back(root, "demo")
    assert git.run(workspace.root, "rev-parse", "segtrail/demo") == second


def test_a_branch_that_went_its_own_way_is_left_and_said(workspace: Workspace) -> None:
    root = clone.prepare(workspace, "demo")
    promote_in(root, 1)
    clone.hand_back(root, "demo")
    git.run(workspace.root, "checkout", "--quiet", "segtrail/demo")
    mine = promote_in(workspace.root, 7)
    promote_in(root, 2)
    line = clone.hand_back(root, "demo")
    assert line.startswith("segtrail/demo is not in the workspace's repository: ")
    assert "\n" not in line
    assert git.head(workspace.root) == mine
