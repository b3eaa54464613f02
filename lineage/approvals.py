"""Who let a candidate through, besides its gate: a recipe may ask for the word of people.

An approval is a line of the ledger about one model, as judged against one champion by one set of
rules on one test split. Who forced a candidate past its gate does not count as one who approves;
nor, by `promotion.two_people`, who promotes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from lineage import forced, keys, ledger, signature
from lineage.keys import Trusted
from lineage.ledger import Entry
from segtrail import git
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
    besides: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Returns who approved a candidate as it was judged: who, why, when, and in which line.

    Args:
        entries: Of the recipe's ledger.
        verdict: The gate's JSON.
        signer: Returns who signed a line; where it is given, only an approval that is signed by
            a key of that very name counts.
        besides: Whose word does not count: see `person`.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.event != ledger.APPROVED or not forced.is_about(entry, verdict):
            continue
        if signer is not None and not _is_signed(entry, signer):
            continue
        word = {"by": entry.by, "reason": entry.details["reason"], "at": entry.at}
        found.setdefault(person(entry.by), word | {"entry": entry.seq})
    said = verdict.get("forced")
    for name in (*besides, *([person(said["by"])] if said else [])):
        found.pop(name, None)
    return list(found.values())


def person(by: str) -> str:
    """Returns what two claims of one name have in common: without the address, in lower case."""
    return by.partition(" <")[0].casefold()


def promoter(workspace: Workspace, by: str | None = None) -> set[str]:
    """Returns the names of who promotes: the one claimed, and that of the key that signs here.

    Args:
        workspace: Whose.
        by: Who claims to do it; by default the git identity.

    Raises:
        ConfigError: The key cannot be read.
    """
    names = {person(by or git.identity(workspace.root))}
    if (key := keys.signer_of_environment()) is not None:
        mine = keys.trusted(workspace.root, strict=False).get(key.public_key.keyid)
        names |= {person(mine.name)} if mine else set()
    return names


def ask(
    workspace: Workspace, name: str, verdict: Mapping[str, Any], promoters: Collection[str] = ()
) -> tuple[list[dict[str, Any]], str | None]:
    """Returns who approved a candidate, and in words what its recipe lacks; None: nothing.

    Args:
        workspace: Whose.
        name: The recipe.
        verdict: The gate's JSON.
        promoters: See `promoter`; by the two-person rule their word does not count.

    Raises:
        LineageError: The ledger, or a file under `trust/`, cannot be read.
    """
    settings = load_recipe(workspace, name).promotion
    asked = settings.approvals
    signer = None
    if signature.is_required(workspace, name):
        signer = partial(ledger.signed_by, known=keys.trusted(workspace.root))
    entries = ledger.read(workspace.ledger(name))
    found = find(entries, verdict, signer, promoters if settings.two_people else ())
    if len(found) >= asked:
        return found, None
    who = f" ({says(found)})" if found else ""
    people = "person" if asked == 1 else "people"
    own = [each["by"] for each in find(entries, verdict, signer) if each not in found]
    more = f"; {' and '.join(own)}, who promotes it, does not count (two_people)" if own else ""
    return found, f"{len(found)} of {asked} {people} approved it{who}{more}"


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
