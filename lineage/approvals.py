"""Who let a candidate through, besides its gate: a recipe may ask for the word of people.

An approval is a line of the ledger about one model, as judged against one champion by one set of
rules on one test split. Who forced a candidate past its gate does not count as one who approves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lineage import forced, keys, ledger, signature
from lineage.keys import Trusted
from lineage.ledger import Entry
from segtrail.errors import LineageError
from segtrail.params import load_recipe
from segtrail.workspace import Workspace

DETAIL = "approvals"  # of a ledger's `done`: whose word it rests on


def details(verdict: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Returns what the ledger keeps of one: what was approved, and why.

    Args:
        verdict: The gate's JSON.
        reason: In the person's words.
    """
    return {key: verdict.get(key) for key in ("verdict", *forced.RESTS_ON[1:])} | {"reason": reason}


def find(
    entries: Sequence[Entry],
    verdict: Mapping[str, Any],
    signer: Callable[[Entry], Trusted | None] | None = None,
) -> list[dict[str, Any]]:
    """Returns who approved a candidate as it was judged: who, why, when, and in which line.

    Args:
        entries: Of the recipe's ledger.
        verdict: The gate's JSON.
        signer: Returns who signed a line; where it is given, only an approval that is signed by
            a key of that very name counts.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.event != ledger.APPROVED or not forced.is_about(entry, verdict):
            continue
        if signer is not None and not _is_signed(entry, signer):
            continue
        word = {"by": entry.by, "reason": entry.details["reason"], "at": entry.at}
        found.setdefault(entry.by.casefold(), word | {"entry": entry.seq})
    if by := verdict.get("forced"):
        found.pop(by["by"].casefold(), None)
    return list(found.values())


def ask(
    workspace: Workspace, name: str, verdict: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], str | None]:
    """Returns who approved a candidate, and in words what its recipe lacks; None: nothing.

    Raises:
        LineageError: The ledger, or a file under `trust/`, cannot be read.
    """
    asked = load_recipe(workspace, name).promotion.approvals
    signer = None
    if signature.is_required(workspace, name):
        signer = partial(ledger.signed_by, known=keys.trusted(workspace.root))
    found = find(ledger.read(workspace.ledger(name)), verdict, signer)
    if len(found) >= asked:
        return found, None
    who = f" ({says(found)})" if found else ""
    people = "person" if asked == 1 else "people"
    return found, f"{len(found)} of {asked} {people} approved it{who}"


def hint(name: str) -> str:
    """Returns the command by which a person approves."""
    return f"segtrail approve --recipe {name} --by NAME --reason TEXT"


def _is_signed(entry: Entry, signer: Callable[[Entry], Trusted | None]) -> bool:
    try:
        by = signer(entry)
    except LineageError:
        return False
    return by is not None and by.name.casefold() == entry.by.casefold()


def says(found: Sequence[Mapping[str, Any]]) -> str:
    """Returns them in words."""
    return "; ".join(f"{each['by']} on {each['at'][:10]}: {each['reason']}" for each in found)
