"""What the ledger tells besides what served: rejections, forces, failures, canaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lineage import ledger, verdicts
from lineage.ledger import Entry

UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Event:
    """Something after which the same version served as before.

    Attributes:
        entry: Its place in the ledger.
        event: See `lineage.ledger.EVENTS`; `unfinished` for an intent that nothing closed.
        at: UTC time, ISO 8601.
        version: None for a candidate.
        model_digest: Hex SHA-256 of the SavedModel.
        by: Who claims to have done it.
        says: What happened, in a sentence.
        details: As the ledger has them.
    """

    entry: int
    event: str
    at: str
    version: int | None
    model_digest: str
    by: str
    says: str
    details: Mapping[str, Any]

    @property
    def provenance_sha256(self) -> str | None:
        """Of the provenance of a version that the store keeps; None: it keeps none of this."""
        if self.event != ledger.CANARY and self.details.get("kept") is not True:
            return None
        return self.details.get("provenance_sha256")


def events(entries: Sequence[Entry]) -> list[Event]:
    """Returns them, oldest first; an intent only if nothing closed it."""
    unfinished = set(_unfinished(entries))
    return [
        Event(
            entry.seq,
            UNFINISHED if entry.event in ledger.INTENTS else entry.event,
            entry.at,
            entry.version,
            entry.model_digest,
            entry.by,
            _says(entry),
            entry.details,
        )
        for entry in entries
        if entry.seq in unfinished or entry.event not in (ledger.DONE, *ledger.INTENTS)
    ]


def _unfinished(entries: Sequence[Entry]) -> Iterator[int]:
    """Yields the `seq` of each intent that no end follows before the next intent."""
    opened: int | None = None
    for entry in entries:
        if entry.event in ledger.INTENTS:
            if opened is not None:
                yield opened
            opened = entry.seq
        elif entry.event in ledger.CLOSES:
            opened = None
    if opened is not None:
        yield opened


def _says(entry: Entry) -> str:
    details, candidate = entry.details, f"candidate {entry.model_digest[:12]}"
    rules = _rules(details.get("rules", []))
    if entry.event == ledger.REJECTED:
        return f"{candidate} rejected, {details.get('verdict')}: {rules}"
    if entry.event == ledger.FORCED:
        reason = details.get("reason")
        return f"{candidate} forced by {entry.by} because {reason}; against: {rules}"
    if entry.event == ledger.APPROVED:
        return f"{candidate} approved by {entry.by} because {details.get('reason')}"
    if entry.event == ledger.RETIRED:
        return f"taken out of service by {entry.by} because {details.get('reason')}"
    if entry.event == ledger.CANARY:
        again = details.get("again")
        then = f"; again by {again.get('by')} because {again.get('reason')}" if again else ""
        return f"out as a canary beside v{details.get('previous')}{then}"
    if entry.event == ledger.CANARY_ABORTED:
        return f"canary taken away by {entry.by} because {details.get('reason')}"
    if entry.event == ledger.FAILED:
        aim = "rolled back to" if "rollback" in details else "promoted"
        return f"not {aim}: {details.get('why')}{_answered(entry)}"
    if entry.event == ledger.ABANDONED:
        return f"cut short, then undone by a recovery: {details.get('why')}{_answered(entry)}"
    if entry.event == ledger.LED:
        stayed = details.get("led_from")
        return f"serves on; the live server had stayed at v{stayed}, and was led here"
    return "begun and not finished: it is under way, or was cut short"


def _answered(entry: Entry) -> str:
    if not entry.details.get("may_have_answered"):
        return ""
    where = "it is kept in the store" if ledger.is_kept(entry) else "the store had lost it"
    return f"; it may have answered requests, and {where}"


def _rules(rules: Sequence[Mapping[str, Any]]) -> str:
    """Returns the first rule that kept the verdict from being a pass, and how many more did."""
    kept = verdicts.not_passed({"rules": rules})
    if not kept:
        return "no rule told why"
    more = f" (and {len(kept) - 1} more)" if len(kept) > 1 else ""
    return f"{kept[0]['rule']}: {kept[0]['says']}{more}"
