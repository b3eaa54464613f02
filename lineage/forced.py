"""A person's word against the gate's: a candidate that is promoted although rules did not pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lineage import ledger
from lineage.ledger import Entry
from lineage.verdicts import not_passed

RESTS_ON = ("model_digest", "champion", "gate", "test_split")  # if one of them changes, it lapses


def details(verdict: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Returns what the ledger keeps of it: what did not pass, and why it should not matter.

    Args:
        verdict: The gate's JSON.
        reason: In the person's words.
    """
    kept = {key: verdict[key] for key in ("verdict", *RESTS_ON) if key != "model_digest"}
    return kept | {"rules": not_passed(verdict), "reason": reason}


def find(
    entries: Sequence[Entry], verdict: Mapping[str, Any], number: int | None = None
) -> dict[str, Any] | None:
    """Returns who forced the candidate past just this verdict, when and why; None: nobody did.

    It holds for the same model, rules, champion and test images only.

    Args:
        entries: Of the recipe's ledger.
        verdict: The gate's JSON.
        number: Of the entry that should say so; by default the last one that does.
    """
    for entry in reversed(entries):
        if (
            entry.event == ledger.FORCED
            and number in (None, entry.seq)
            and is_about(entry, verdict)
        ):
            reason = entry.details["reason"]
            return {"by": entry.by, "reason": reason, "at": entry.at, "entry": entry.seq}
    return None


def is_about(entry: Entry, verdict: Mapping[str, Any]) -> bool:
    """Whether a person's word is about just this model, by these rules, champion and images."""
    told = {"model_digest": entry.model_digest} | entry.details
    return all(told.get(key) == verdict.get(key) for key in RESTS_ON)


def of_version(entries: Sequence[Entry], version: int) -> dict[str, Any] | None:
    """Returns who forced a version that was promoted, when and why; None: nobody had to."""
    for entry in reversed(entries):
        if entry.event == ledger.DONE and entry.version == version:
            return entry.details.get("forced")
    return None


def says(forced: Mapping[str, Any]) -> str:
    """Returns it in words; a name is a claim."""
    return f"FORCED by {forced['by']} (claimed) on {forced['at'][:10]}: {forced['reason']}"
