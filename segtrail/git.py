"""The few git verbs that segtrail needs, over the git command."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from segtrail.errors import WorkspaceError
from segtrail.secrets import without_secrets

FALLBACK_NAME, FALLBACK_EMAIL = "segtrail", "segtrail@localhost"
# What segtrail itself commits; a change there is not a change of the code.
OWN_PATHS = ("data.dvc", "dvc.lock", "ledger/")
LOCKED_S = 10.0  # in which another git command has ended
_LOCK = re.compile(r"Unable to create '(.+\.lock)': File exists")
_WRITES = ("add", "commit", "tag")


def run(root: Path, *args: str, stdin: str | None = None) -> str:
    """Runs `git ARGS` in `root` and returns what it printed, without the last newline.

    Raises:
        WorkspaceError: git said no; its own words are in the message.
    """
    return run_bytes(root, *args, stdin=stdin).decode().rstrip("\n")


def run_bytes(root: Path, *args: str, stdin: str | None = None) -> bytes:
    """Like `run`, for content that may not be text.

    Waits for another git command that holds a lock. One that writes is not killed with the
    terminal or the flow that it was started from: it would leave its lock behind.
    """
    end = time.monotonic() + LOCKED_S
    while True:
        try:
            done = subprocess.run(
                ["git", "-c", "core.commitGraph=false", *args], cwd=root,
                input=stdin.encode() if stdin is not None else None, capture_output=True,
                check=False, env=_environment(root, args), start_new_session=args[0] in _WRITES,
            )  # fmt: skip
        except FileNotFoundError:
            raise WorkspaceError("git is not installed", "install git and try again") from None
        if not done.returncode:
            return done.stdout
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        locked = _LOCK.search(said)
        if locked is None or time.monotonic() > end:
            raise WorkspaceError(
                f"git {' '.join(args[:2])} in {root}: {said}",
                f"rm {locked[1]}   (if no git command is running: one was killed)"
                if locked
                else None,
            )
        time.sleep(0.1)


def _environment(root: Path, args: Sequence[str]) -> dict[str, str]:
    """Returns the environment; a missing identity falls back to segtrail's own."""
    env = without_secrets(os.environ)  # hooks are whoever's code
    for name in ("GIT_DIR", "GIT_INDEX_FILE"):
        env.pop(name, None)
    # What a commit holds, and what came before it, is what its name says.
    env |= {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
    if args[0] in ("commit", "tag", "merge"):
        for key, value in (("name", FALLBACK_NAME), ("email", FALLBACK_EMAIL)):
            known = subprocess.run(
                ["git", "config", f"user.{key}"], cwd=root, capture_output=True, check=False
            ).stdout.strip()
            if not known:
                env.setdefault(f"GIT_AUTHOR_{key.upper()}", value)
                env.setdefault(f"GIT_COMMITTER_{key.upper()}", value)
    return env


def is_repository(root: Path) -> bool:
    """Whether `root` lies in a git work tree."""
    try:
        return run(root, "rev-parse", "--is-inside-work-tree") == "true"
    except (WorkspaceError, NotADirectoryError):
        return False


def identity(root: Path) -> str:
    """Returns `Name <email>` of who commits here, or the fallback."""

    def get(key: str, fallback: str) -> str:
        try:
            return run(root, "config", key)
        except WorkspaceError:
            return fallback

    return f"{get('user.name', FALLBACK_NAME)} <{get('user.email', FALLBACK_EMAIL)}>"


def head(root: Path) -> str:
    """Returns the commit that is checked out."""
    return run(root, "rev-parse", "HEAD")


def dirty_paths(root: Path) -> list[str]:
    """Returns changed and untracked paths, except those that segtrail itself commits."""
    status = run(root, "status", "--porcelain=v1", "--untracked-files=all", "-z")
    fields, out = iter(status.split("\0")), []
    for field in fields:
        if not field:
            continue
        if field[0] in "RC":
            next(fields, None)  # where a renamed file came from
        out.append(field[3:])
    return sorted(path for path in out if not path.startswith(OWN_PATHS))


def hidden_paths(root: Path) -> list[str]:
    """Returns tracked paths that git was told not to compare with what it holds."""
    lines = run(root, "ls-files", "-v", "-z").split("\0")
    return [line[2:] for line in lines if line and (line[0] == "S" or line[0].islower())]


def commit(root: Path, paths: Sequence[str], message: str) -> str | None:
    """Commits just `paths`, whatever else is staged; returns the commit, or None if unchanged."""
    if not run(root, "status", "--porcelain=v1", "--untracked-files=all", "--", *paths):
        return None
    run(root, "add", "--", *paths)
    run(root, "commit", "--quiet", "--no-verify", "--only", "-m", message, "--", *paths)
    return head(root)


def tag(root: Path, name: str, target: str, message: str) -> None:
    """Makes an annotated tag; the same tag on the same commit is fine.

    Raises:
        WorkspaceError: The tag exists on another commit.
    """
    if (found := tag_target(root, name)) is not None:
        if found != run(root, "rev-parse", f"{target}^{{commit}}"):
            raise WorkspaceError(f"git tag {name} exists at {found[:12]}, not at {target[:12]}")
        return
    run(root, "tag", "--annotate", name, target, "-m", message)


def tags(root: Path, pattern: str) -> dict[str, str]:
    """Returns `{tag: its message}` of the tags that fit a pattern, such as `nuclei/v*`."""
    listed = run(
        root, "for-each-ref", "--format=%(refname)%00%(contents)%00%00", f"refs/tags/{pattern}"
    )
    pairs = (each.strip("\n").split("\0", 1) for each in listed.split("\0\0") if each.strip())
    return {name.removeprefix("refs/tags/"): message for name, message in pairs}


def tag_target(root: Path, name: str) -> str | None:
    """Returns the commit that a tag names, or None."""
    try:
        return run(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}")
    except WorkspaceError:
        return None
