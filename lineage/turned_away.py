"""A person's word against a model that served, or was a canary: it does not come back by itself.

Nor does any model of a recipe that was taken out of service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lineage import ledger
from lineage.ledger import Entry


@dataclass(frozen=True)
class TurnedAway:
    """A rollback away from a model, the abort of its canary, or its recipe's retirement.

    Attributes:
        version: The model's.
        by: Who claims to have done it.
        at: UTC time, ISO 8601.
        reason: In their words.
        entry: Its place in the ledger.
        did: What was done to it, in words.
    """

    version: int | None
    by: str
    at: str
    reason: str
    entry: int
    did: str

    def says(self) -> str:
        """Returns it in words; a name is a claim."""
        return (
            f"v{self.version} {self.did} by {self.by} on {self.at[:10]} because {self.reason} "
            f"(entry {self.entry} of the ledger)"
        )


def find(entries: Sequence[Entry], model_digest: str) -> TurnedAway | None:
    """Returns the word that stands against a model; None: nobody's, or a later one let it in.

    Args:
        entries: Of the recipe's ledger.
        model_digest: Hex SHA-256 of the SavedModel.
    """
    found: TurnedAway | None = None
    champion: Entry | None = None
    if (retired := ledger.retirement(entries)) is not None:
        reason = retired.details.get("reason")
        return _word(retired, retired.version, reason, "was taken out of service")
    for entry in entries:
        is_it = entry.model_digest == model_digest
        if is_it and entry.event in (ledger.DONE, ledger.CANARY):
            found = None
        elif is_it and entry.event == ledger.CANARY_ABORTED:
            found = _word(
                entry, entry.version, entry.details.get("reason"), "was aborted as a canary"
            )
        elif (
            entry.event == ledger.DONE
            and "rollback" in entry.details
            and champion is not None
            and champion.model_digest == model_digest
        ):
            found = _word(entry, champion.version, entry.details["rollback"], "was rolled back")
        if entry.event == ledger.DONE:
            champion = entry
    return found


def _word(entry: Entry, version: int | None, reason: object, did: str) -> TurnedAway:
    return TurnedAway(version, entry.by, entry.at, f"{reason}", entry.seq, did)
