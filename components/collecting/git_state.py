"""The contents of files that git keeps: in its history, at its tips, and as they stand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segtrail import git, git_objects


def tips(root: Path) -> list[str]:
    """Returns the commits at which branches, tags, stashes and working trees stand."""
    found = git.run(root, "rev-list", "--no-walk", "--all", "HEAD").split()
    return list(dict.fromkeys(found + git.run(root, "stash", "list", "--format=%H").split()))


def history(root: Path, path: str) -> set[bytes]:
    """Returns every content that a file had in a commit of any branch, tag, stash or reflog.

    Args:
        root: The repository's.
        path: Of the file; `*.dvc` for whatever ends so.
    """
    listed = git.run(
        root, "rev-list", "--all", "--reflog", "HEAD", "--objects", "--full-history", "--", path
    )
    end = path.removeprefix("*")
    rows = [line.partition(" ")[::2] for line in listed.splitlines()]
    named = {digest for digest, name in rows if name.endswith(end) and Path(name).name != ".dvc"}
    return {content for content in git_objects.contents(root, sorted(named)) if content}


def names(root: Path, folder: str) -> set[str]:
    """Returns the files that a folder ever had on a branch or tag."""
    listed = git.run(root, "log", "--all", "--format=", "--name-only", "-z", "--", folder)
    return {name.strip("\n") for name in listed.split("\0")} - {""}


def at(root: Path, commits: Iterable[str], path: str) -> dict[bytes, str]:
    """Returns what a file holds at commits, with one of them in words each."""
    asked = list(commits)
    found = git_objects.contents(root, [f"{commit}:{path}" for commit in asked])
    return {
        content: f"{root}: {path} at {commit[:12]}"
        for commit, content in zip(asked, found, strict=True)
        if content
    }


def present(root: Path, path: str) -> dict[bytes, str]:
    """Returns what files hold in the working trees and their indexes, with one place each.

    Args:
        root: The repository's.
        path: Of the file; `*.dvc` for whatever ends so, but what git ignores.
    """
    found: dict[bytes, str] = {}
    listed = git.run(root, "worktree", "list", "--porcelain", "-z").split("\0")
    trees = {Path(line.removeprefix("worktree ")) for line in listed if line[:9] == "worktree "}
    for tree in {root, *(each.resolve() for each in trees if each.is_dir())}:
        files = git.run(tree, "ls-files", "-co", "--exclude-standard", "-z", "--", path)
        for name in filter(None, files.split("\0")):
            (staged,) = git_objects.contents(tree, [f":{name}"])
            if staged:
                found[staged] = f"{tree}: {name}, as it is staged"
            if (tree / name).is_file():
                found[(tree / name).read_bytes()] = str(tree / name)
    return found
