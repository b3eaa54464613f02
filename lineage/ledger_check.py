"""Checks a ledger: its chain, that git holds it, and each signature in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lineage import keys, ledger
from lineage.keys import Trusted
from lineage.ledger import Entry
from segtrail import git_objects
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


def _first_difference(content: bytes, held: bytes) -> int:
    pairs = zip(content.splitlines(), held.splitlines(), strict=False)
    same = [a == b for a, b in pairs]
    return (same.index(False) if False in same else len(same)) + 1
