"""Links about the code: the commit's own bytes, and those that each stage computed with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from lineage import dvc_files
from lineage.evidence import Evidence, rest_on, same
from segtrail import code
from segtrail.errors import LineageError
from segtrail.files import sha256_bytes


def committed(e: Evidence) -> str:
    """The commit exists, its every object is what its name says, and it held all the code."""
    item = e.dependency("git")
    same("the git commit in the ledger", e.commit, item["digest"]["gitCommit"])
    if uncommitted := item["annotations"]["uncommitted"]:
        raise LineageError(
            f"commit {e.commit[:12]} did not hold all that ran: {', '.join(uncommitted)} "
            "was not committed"
        )
    return f"commit {e.commit[:12]}, {len(e.files)} files re-hashed, nothing uncommitted"


def computed_with(e: Evidence) -> str:
    """What each stage computed with is what the commit holds, or what a stage before it made."""
    rest_on(lambda: e.files)
    lock = rest_on(lambda: e.lock)
    md5s = {path: _md5_of(content) for path, content in e.files.items()}
    used: set[str] = set()
    for stage, path, md5 in lock.dependencies():
        if (made := lock.find_output(path)) is not None:
            of_stage = e.output_md5(path) if made[0] != path else made[1]
            same(f"what the stage {stage} read of {path}", md5, of_stage, "what made it")
        elif (held := _md5(md5s, path)) is not None:
            same(f"{path} at the commit", held, md5, f"the stage {stage}")
            used.add(path)
        elif path != f"data/{e.dataset}":  # that is another link
            raise LineageError(f"{path}, which the stage {stage} computed with, is not committed")
    return f"{len(used)} files and folders of code are those that the stages computed with{_all(e)}"


def _all(e: Evidence) -> str:
    """Says whether the rest of segtrail's code is what it was at the training, too."""
    then = e.dependency("code")["digest"]["sha256"]
    mine = {path: sha256_bytes(content) for path, content in e.files.items() if code.is_code(path)}
    if not mine:
        return "; segtrail itself was installed"
    return "; all of segtrail is as it was" if code.digest_of(mine) == then else ""


def _md5(md5s: Mapping[str, str], path: str) -> str | None:
    """Returns the md5 that DVC gives a committed file or folder; None: it is not committed."""
    if path in md5s:
        return md5s[path]
    folder = f"{path}/"
    below = {p.removeprefix(folder): md5 for p, md5 in md5s.items() if p.startswith(folder)}
    return dvc_files.listing_md5(below) if below else None


def _md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
