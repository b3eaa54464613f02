"""The section `git`: what is committed, by whom, and what is left half-done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flows.doctor.findings import Finding, State, ok
from flows.doctor.here import Here
from segtrail import git
from segtrail.errors import WorkspaceError

_WATCHED = ("params.yaml", "dvc.yaml", "dvc.lock", "data.dvc", "ledger")
_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}


def branch(here: Here) -> Iterator[Finding]:
    """Tells the branch and its commit."""
    root = here.workspace.root
    if not git.is_repository(root):
        yield Finding(
            State.NOT_SET_UP,
            f"{root}: not a git repository; promotions are committed and tagged in one",
            "git init && git add --all && git commit -m 'Start'",
        )
        return
    try:
        commit = git.head(root)
    except WorkspaceError:
        yield Finding(State.NOT_SET_UP, "no commit yet", "git add --all && git commit -m 'Start'")
        return
    name = git.run(root, "branch", "--show-current")
    if name:
        yield ok(f"branch {name} at {commit[:9]}")
    elif not any(_unfinished(root)):  # a rebase detaches HEAD for its time
        yield Finding(
            State.WARNING,
            f"no branch is checked out (at {commit[:9]}): what is committed now is easily lost",
            "git switch main   (or: git switch -c NAME)",
        )


def unfinished(here: Here) -> Iterator[Finding]:
    """Tells a merge, a rebase and the like that was begun and not ended."""
    root = here.workspace.root
    for what in sorted(set(_unfinished(root))):
        yield Finding(
            State.BROKEN,
            f"a {what} is unfinished: nothing can be promoted or ingested before it ends",
            f"git {what} --continue   (or: git {what} --abort)",
        )


def identity(here: Here) -> Iterator[Finding]:
    """Tells as whom segtrail commits."""
    root = here.workspace.root
    if not git.is_repository(root):
        return
    who = git.identity(root)
    lacking = [
        key
        for key, value in (("name", git.FALLBACK_NAME), ("email", f"<{git.FALLBACK_EMAIL}>"))
        if (who.startswith(f"{value} <") if key == "name" else who.endswith(value))
    ]
    if not lacking:
        yield ok(f"commits are by {who}")
        return
    example = {"name": "Ada Lovelace", "email": "ada@example.org"}
    yield Finding(
        State.WARNING,
        f"git has no user.{' and no user.'.join(lacking)}: promotions would be by {who}",
        " && ".join(f'git config user.{key} "{example[key]}"' for key in lacking),
    )


def uncommitted(here: Here) -> Iterator[Finding]:
    """Tells which of the files that the lineage rests on are not as committed."""
    root = here.workspace.root
    if not git.is_repository(root):
        return
    options = ("--porcelain=v1", "--untracked-files=all", "-z", "--no-renames")
    said = git.run(root, "--no-optional-locks", "status", *options, "--", *_WATCHED)
    changed = sorted(field[3:] for field in said.split("\0") if field)
    if changed:
        named = " ".join(changed)
        yield Finding(
            State.WARNING,
            f"not committed: {', '.join(changed)}; a promotion asks for what is committed",
            f"git add {named} && git commit -m '...'   (see it: git diff HEAD -- {named})",
        )
    else:
        yield ok("params.yaml, dvc.lock, data.dvc and the ledger are as committed")


def _unfinished(root: Path) -> Iterator[str]:
    if not git.is_repository(root):
        return
    for name, what in _UNFINISHED.items():
        path = root / git.run(root, "rev-parse", "--git-path", name)
        if path.exists():
            yield what


CHECKS = (branch, unfinished, identity, uncommitted)
