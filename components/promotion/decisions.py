"""What is decided about a candidate before it is promoted: rejections, forces, approvals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.promotion import agreement, record
from components.promotion.lock import exclusive
from lineage import approvals, forced, keys, ledger, signature
from segtrail.errors import StageError
from segtrail.workspace import Workspace


def reject(
    workspace: Workspace, name: str, verdict: Mapping[str, Any], *, by: str | None = None
) -> ledger.Entry | None:
    """Writes in the ledger that the gate, or a limit, did not let a candidate pass, and commits it.

    Args:
        workspace: The workspace.
        name: The recipe.
        verdict: What was said of it: see `lineage.verdicts.read`.
        by: Who claims to do it; by default the git identity.

    Returns:
        The entry, or None when the ledger says the same already.

    Raises:
        LineageError: This ledger is not the one that what serves was promoted by.
    """
    if verdict["verdict"] == "pass":
        raise ValueError(f"{name}: the verdict is 'pass'; nothing to reject")
    details = {key: verdict.get(key) for key in ("verdict", "rules", "champion", "test_split")}
    subject = f"Reject {name} {verdict['model_digest'][:12]}: {verdict['verdict']}"
    return _record(workspace, name, ledger.REJECTED, verdict, details, by, subject)


def force(
    workspace: Workspace, name: str, verdict: Mapping[str, Any], *, by: str, reason: str
) -> ledger.Entry | None:
    """Writes in the ledger that a candidate may be promoted against the verdict, and commits it.

    It holds for this model, these rules, this champion and these test images.

    Args:
        workspace: The workspace.
        name: The recipe.
        verdict: The gate's JSON: see `segtrail.artifacts.Verdict`.
        by: Who claims to answer for it.
        reason: Why the verdict should not decide.

    Returns:
        The entry, or None when the ledger says the same already.

    Raises:
        StageError: The candidate passes: there is nothing to force.
        LineageError: This ledger is not the one that what serves was promoted by.
    """
    if verdict["verdict"] == "pass":
        raise StageError(
            f"{name}: the candidate passes; there is nothing to force",
            f"segtrail promote --recipe {name}",
        )
    subject = f"Force {name} {verdict['model_digest'][:12]} past the gate: {reason}"
    details = forced.details(verdict, reason)
    return _record(workspace, name, ledger.FORCED, verdict, details, by, subject)


def approve(
    workspace: Workspace, name: str, verdict: Mapping[str, Any], *, by: str, reason: str
) -> ledger.Entry | None:
    """Writes in the ledger that a person approves a candidate as it was judged, and commits it.

    Args:
        workspace: The workspace.
        name: The recipe.
        verdict: See `force`.
        by: Who claims to approve.
        reason: On what grounds.

    Returns:
        The entry, or None when the ledger says the same already.

    Raises:
        StageError: The candidate did not pass, and nobody forced it; or this person did; or it
            serves already.
        ConfigError: The recipe demands signatures, and the key is not this person's.
        LineageError: This ledger is not the one that what serves was promoted by.
    """
    word = verdict.get("forced")
    current = ledger.champion(ledger.read(workspace.ledger(name)))
    if current is not None and current.model_digest == verdict["model_digest"]:
        raise StageError(
            f"{name}: the model that was judged last, {current.model_digest[:12]}, serves already",
            f"segtrail retrain --recipe {name}   (makes and judges the next one)",
        )
    if verdict["verdict"] != "pass" and not word:
        raise StageError(
            f"{name}: the verdict is {verdict['verdict']!r}; what did not pass cannot be approved",
            f"segtrail gate --recipe {name}   (says why; --force is another person's)",
        )
    if word and approvals.person(word["by"]) == approvals.person(by):
        raise StageError(
            f"{name}: {by} forced this candidate past the gate; somebody else has to approve it"
        )
    if signature.is_required(workspace, name):
        signature.require_key_of(workspace, name, by)
    subject = f"Approve {name} {verdict['model_digest'][:12]}: {reason}"
    details = approvals.details(verdict, reason)
    return _record(workspace, name, ledger.APPROVED, verdict, details, by, subject)


def _record(
    workspace: Workspace,
    name: str,
    event: str,
    verdict: Mapping[str, Any],
    details: dict[str, Any],
    by: str | None,
    subject: str,
) -> ledger.Entry | None:
    """Appends what was decided about a candidate and commits it, once."""
    path, digest = workspace.ledger(name), verdict["model_digest"]
    with exclusive(workspace):
        entries = ledger.read(path)
        agreement.serving_version(workspace, name, entries)
        known = [e for e in entries if e.event == event]
        if event != ledger.REJECTED:  # another name is another word, and so is a signed one
            signs = keys.signer_of_environment() is not None
            known = [e for e in known if e.by == by and (e.signature or not signs)]
        if any(e.model_digest == digest and _same(e.details, details) for e in known):
            return None
        entry = ledger.append(
            path, event, version=None, model_digest=digest, by=by, details=details
        )
        record.commit(workspace, name, subject)
    return entry


def _same(known: Mapping[str, Any], details: Mapping[str, Any]) -> bool:
    """Whether a decision is told already; of limits, whatever was timed this time."""

    def told(of: Mapping[str, Any]) -> dict[str, Any]:
        kept = ("rule", "kind", "verdict")
        rules = of.get("rules", [])
        limits = [{k: r[k] for k in kept} if r["kind"] == "limit" else r for r in rules]
        return {**of, "rules": limits}

    return told(known) == told(details)
