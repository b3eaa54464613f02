"""Checks a ledger: its chain, that git holds it, and each signature in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lineage import keys, ledger, ledger_head, mlflow_record
from lineage.keys import Trusted
from lineage.ledger import Entry
from lineage.ledger_head import Head
from segtrail import git, git_objects
from segtrail.errors import LineageError, WorkspaceError
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Checked:
    """A ledger whose chain and signatures hold, and that continues the committed one.

    Attributes:
        entries: Oldest first.
        signers: Who signed an entry, by its `seq`; only those that somebody signed.
        committed: How many of the entries git holds.
    """

    entries: Sequence[Entry]
    signers: Mapping[int, Trusted]
    committed: int

    def who(self, entry: Entry) -> str:
        """Returns by whom an entry is: a claim, unless that person's key signed it."""
        signer = self.signers.get(entry.seq)
        if signer is None:
            return f"{entry.by} (claimed)"
        if signer.name.casefold() == entry.by.casefold():
            return f"{entry.by} (signed)"
        return f"{entry.by} (claimed; signed by {signer.name})"


def check(workspace: Workspace, recipe: str) -> Checked:
    """Reads and checks the ledger of a recipe.

    Raises:
        LineageError: A line is not what it should be, is not what git holds, or is signed by
            nobody whom git ever trusted; or the ledger is not committed.
    """
    path = workspace.ledger(recipe)
    if problems := ledger.verify(path):
        raise LineageError("; ".join(problems))
    content = path.read_bytes()
    try:
        held = git_objects.show(workspace.root, "HEAD", path.relative_to(workspace.root).as_posix())
    except WorkspaceError:
        raise LineageError(f"{path.name} is not committed") from None
    if not content.startswith(held):
        line = _first_difference(content, held)
        raise LineageError(f"line {line}: is not what git holds; the ledger was edited")
    entries = ledger.parse(content)
    for entry in entries:
        if entry.recipe != recipe:
            raise LineageError(f"line {entry.seq}: is of the ledger of {entry.recipe!r}")
    known = keys.ever_trusted(workspace.root) if any(e.signature for e in entries) else {}
    found = {entry.seq: ledger.signed_by(entry, known) for entry in entries}
    signers = {seq: each for seq, each in found.items() if each is not None}
    return Checked(entries, signers, len(held.splitlines()))


def check_heads(workspace: Workspace, recipe: str) -> tuple[Head | None, int]:
    """Compares a ledger with what MLflow and git's tags of promotions have seen of it.

    Returns:
        The head that MLflow keeps, None where an older segtrail wrote the ledger last; and how
        many tags there are.

    Raises:
        LineageError: The ledger does not continue what one of them has seen.
    """
    path, root = workspace.ledger(recipe), workspace.root
    seen = Head.parse(mlflow_record.model_tag(workspace, recipe, ledger_head.TAG))
    version = re.compile(rf"{re.escape(recipe)}/v[0-9]+")
    tags = {k: v for k, v in git.tags(root, f"{recipe}/v*").items() if version.fullmatch(k)}
    if not path.exists():
        raise LineageError(f"{path}: not there")
    content = path.read_bytes()  # after what may be written meanwhile
    if seen is not None and (missing := seen.missing(content)):
        raise LineageError(f"of the ledger that MLflow has seen, {missing}")
    then = git_objects.show_each(
        root, [f"refs/tags/{tag}" for tag in tags], path.relative_to(root).as_posix()
    )
    for (tag, message), held in zip(tags.items(), then, strict=True):
        told = Head.of_message(message)
        for head in filter(None, (Head.of(held), told)):
            if missing := head.missing(content):
                raise LineageError(f"of the ledger at the tag {tag}, {missing}")
        if told is not None and seen is None:
            raise LineageError("MLflow keeps no head of it, though it did at the promotion")
    return seen, len(tags)


def _first_difference(content: bytes, held: bytes) -> int:
    pairs = zip(content.splitlines(), held.splitlines(), strict=False)
    same = [a == b for a, b in pairs]
    return (same.index(False) if False in same else len(same)) + 1
