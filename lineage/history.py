"""What served when, and why it changed: the promotion ledger as periods of service.

MLflow's alias says what serves now. The ledger says what served before, who changed it, and
for which reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lineage import approvals, erasures, ledger
from lineage.ledger import Entry
from segtrail.errors import LineageError, ServingError
from segtrail.workspace import Workspace
from serving import config

GATE, FORCE, ROLLBACK = "gate", "force", "rollback"


@dataclass(frozen=True)
class Period:
    """A time in which one version served, by the ledger.

    Attributes:
        entry: The ledger's `done` with which it began.
        version: Which served.
        model_digest: Hex SHA-256 of its SavedModel.
        since: UTC time, ISO 8601, of that entry.
        until: Of the next `done`; None: it serves still.
        came: `gate`, `force` or `rollback`.
        by: Who claims to have done it.
        reason: In the words of who rolled back, or forced the candidate past the gate.
        previous: The version that served before.
        forced: Who once forced this version past the gate, when and why; None: nobody had to.
        canary: The ledger's entry by which it was out as a canary before; None: it was not.
        again: Who let it come back after a rollback or an abort, why, and against which entry of
            the ledger; None: nobody had to.
        despite_erasure: Who let it serve although images that it learned from had been erased:
            see `lineage.erasures`; None: nobody had to.
        approvals: Who approved it, when and why: see `lineage.approvals`.
        recovered: Whether a recovery finished what had been cut short.
        git_commit: What was checked out when it was first promoted: code, parameters, data.
        uncommitted: Code that this commit does not hold.
        provenance_sha256: Of its provenance.
    """

    entry: int
    version: int
    model_digest: str
    since: str
    until: str | None
    came: str
    by: str
    reason: str | None
    previous: int | None
    forced: Mapping[str, Any] | None
    canary: int | None
    again: Mapping[str, Any] | None
    despite_erasure: Mapping[str, Any] | None
    approvals: Sequence[Mapping[str, Any]]
    recovered: bool
    git_commit: str | None
    uncommitted: Sequence[str]
    provenance_sha256: str | None

    def seconds(self, now: datetime) -> float:
        """Returns how long it served, or has served so far."""
        end = datetime.fromisoformat(self.until) if self.until else now
        return (end - datetime.fromisoformat(self.since)).total_seconds()

    def why(self, numbers: str = "") -> str:
        """Returns why it came, in words.

        Args:
            numbers: What the gate measured: see `lineage.origin`.
        """
        words = "promoted by the gate" + (", after a canary" if self.canary else "")
        words += f": {numbers}" if numbers else ""
        if self.came == ROLLBACK:
            words = f"rollback from v{self.previous} by {self.by} because {self.reason}"
        if self.forced is not None:
            forced = f"forced by {self.forced['by']} because {self.forced['reason']}"
            words = forced if self.came == FORCE else f"{words}; this version was once {forced}"
        if self.again is not None:
            words += (
                f"; again, against entry {self.again['entry']}, by {self.again['by']} because "
                f"{self.again['reason']}"
            )
        if self.approvals:
            words += f"; approved by {' and '.join(each['by'] for each in self.approvals)}"
        if self.despite_erasure is not None:
            words += f"; {erasures.says(self.despite_erasure)}"
        return words + ("; finished by a recovery" if self.recovered else "")


def read(workspace: Workspace, recipe: str) -> list[Entry]:
    """Returns the entries of a ledger whose chain is whole; none when there is no ledger.

    Raises:
        LineageError: A line is not an entry, or does not name the one before.
    """
    path = workspace.ledger(recipe)
    content = path.read_bytes() if path.exists() else b""
    if problems := ledger.check(content):
        raise LineageError(f"{path}: {problems[0]}", f"segtrail audit {recipe}")
    return ledger.parse(content)


def periods(entries: Sequence[Entry]) -> list[Period]:
    """Returns what served when, oldest first: a period for each `done`.

    Each lasts until the next, or until the recipe was retired.

    Raises:
        LineageError: A `done` is not what segtrail writes: of the last line, no chain shows it.
    """
    moves = [entry for entry in entries if entry.event in (ledger.DONE, ledger.RETIRED)]
    ends = [*(entry.at for entry in moves), None][1:]
    return [
        _period(entry, end)
        for entry, end in zip(moves, ends, strict=True)
        if entry.event == ledger.DONE
    ]


def disagreement(
    workspace: Workspace, recipe: str, entries: Sequence[Entry]
) -> LineageError | None:
    """Returns how the serving configuration contradicts the ledger, and what to do; or None."""
    path, last, out = workspace.models_config, ledger.champion(entries), ledger.canary(entries)
    remedy = f"segtrail promote --recipe {recipe} --recover"
    try:
        serves, shown = config.champion(path, recipe), config.canary(path, recipe)
    except ServingError as e:
        return LineageError(e.message, remedy)
    if serves != (last.version if last else None):
        names = f"v{serves}" if serves else "no version"
        ends = f"ends with v{last.version}" if last else "names no version that served"
        return LineageError(f"{path} names {names} of {recipe}; the ledger {ends}", remedy)
    if shown != (out.version if out else None):
        names = f"v{shown}" if shown else "no version"
        tells = f"tells of v{out.version}" if out else "tells of none"
        what = f"{path} names {names} as canary of {recipe}; the ledger {tells}"
        return LineageError(what, remedy)
    return None


def _period(entry: Entry, until: str | None) -> Period:
    details = entry.details
    forced, came, reason = details.get("forced"), GATE, None
    again, despite = details.get("again"), details.get(erasures.DETAIL)
    try:
        if despite is not None:
            despite = {key: despite[key] for key in ("images", "erased", "by", "reason")}
        if again is not None:
            again = {key: again[key] for key in ("by", "reason", "entry")}
        approved = [
            {key: each[key] for key in ("by", "reason", "at", "entry")}
            for each in details.get(approvals.DETAIL, ())
        ]
        if forced is not None:
            came, reason = FORCE, f"{forced['reason']}"
        if "rollback" in details:
            came, reason = ROLLBACK, f"{details['rollback']}"
        if datetime.fromisoformat(entry.at).tzinfo is None or entry.version is None:
            raise ValueError("a version and a time with its zone are expected")
    except (LookupError, TypeError, ValueError) as e:
        raise LineageError(
            f"{entry.recipe}, line {entry.seq}: not a promotion as segtrail writes it: {e}",
            f"segtrail audit {entry.recipe}",
        ) from None
    return Period(
        entry=entry.seq,
        version=entry.version,
        model_digest=entry.model_digest,
        since=entry.at,
        until=until,
        came=came,
        by=entry.by,
        reason=reason,
        previous=details.get("previous"),
        forced=forced,
        canary=details.get("canary"),
        again=again,
        despite_erasure=despite,
        approvals=approved,
        recovered="recovered" in details,
        git_commit=details.get("git_commit"),
        uncommitted=details.get("uncommitted", []),
        provenance_sha256=details.get("provenance_sha256"),
    )
