"""Promotes a candidate: from a SavedModel that passed the gate to the version that serves."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.promotion import agreement, candidate, live, recovery, steps, walk
from components.promotion.plan import Plan
from lineage import forced, ledger
from segtrail import git
from segtrail.errors import LineageError, SegtrailError, StageError
from segtrail.progress import say
from segtrail.workspace import Workspace
from serving import config

_OF_A_VERSION = ("provenance_sha256", "git_commit", "forced")  # however often it serves


@dataclass(frozen=True)
class Promotion:
    """What a promotion did.

    Attributes:
        recipe: The recipe.
        version: The version that serves now.
        model_digest: Hex SHA-256 of its SavedModel.
        changed: False when that version served already and nothing was written.
        says: What was done, a line a step.
    """

    recipe: str
    version: int
    model_digest: str
    changed: bool
    says: list[str] = field(default_factory=list)


def promote(
    workspace: Workspace, name: str, *, by: str | None = None, allow_dirty: bool = False
) -> Promotion:
    """Makes the candidate of a recipe the version that serves.

    Args:
        workspace: The workspace; its lock is held while this runs.
        name: The recipe.
        by: Who claims to do it; by default the git identity.
        allow_dirty: Promote although code is not committed; the provenance says so.

    Raises:
        RejectedError, InsufficientEvidenceError: The gate did not say `pass`.
        MissingArtifactError: A stage has not run.
        StageError: See `components.promotion.candidate.check`; or the load test failed, or the
            live server did not take the version. What served before serves on.
        LineageError: A fact that the provenance needs contradicts another.
        ServingError: A file that `serving.tls` names cannot be read.
    """
    with _exclusive(workspace):
        for line in recovery.recover(workspace, name):
            say(line)
        digest = candidate.digest_of(workspace, name)
        current = ledger.champion(ledger.read(workspace.ledger(name)))
        if current is not None and current.model_digest == digest and current.version:
            says = f"v{current.version} already serves"
            return Promotion(name, current.version, digest, changed=False, says=[says])
        candidate.check(workspace, name, digest, allow_dirty=allow_dirty)
        live.endpoint_of(workspace, name)  # what confirm needs, before anything changes
        plan = candidate.prepare(workspace, name, digest, by)
        lines = walk.walk(plan, steps.STEPS)
        return Promotion(name, plan.version, digest, changed=True, says=lines)


def rollback(
    workspace: Workspace, name: str, version: int, *, reason: str, by: str | None = None
) -> Promotion:
    """Makes a version that served before serve again, by the same walk.

    Raises:
        StageError: The ledger names no such version, or it failed its load test.
        LineageError: The store no longer holds it as it was.
    """
    with _exclusive(workspace):
        for line in recovery.recover(workspace, name):
            say(line)
        entries = ledger.read(workspace.ledger(name))
        served = [e for e in entries if e.event == ledger.DONE and e.version == version]
        if not served:
            known = sorted({e.version for e in entries if e.event == ledger.DONE and e.version})
            raise StageError(f"{name} v{version} never served; these did: {known}")
        current = ledger.champion(entries)
        if current is not None and current.version == version:
            says = f"v{version} already serves"
            return Promotion(name, version, current.model_digest, changed=False, says=[says])
        plan = Plan.of_intent(workspace, served[-1])
        plan.by = by
        plan.details = {
            **{key: plan.details[key] for key in _OF_A_VERSION if key in plan.details},
            "uncommitted": plan.details.get("uncommitted", []),
            "previous": current.version if current else None,
            "rollback": reason,
        }
        if not plan.is_stored():
            raise LineageError(
                f"{plan.folder}: is not the model {plan.model_digest[:12]} that served",
                f"segtrail audit {name}",
            )
        live.endpoint_of(workspace, name)  # what confirm needs, before anything changes
        lines = walk.walk(plan, steps.STEPS)
        return Promotion(name, version, plan.model_digest, changed=True, says=lines)


def recover(workspace: Workspace, name: str | None = None) -> list[str]:
    """Brings store, configuration, alias, tag and ledger into agreement after a crash.

    Safe to call at any time and any number of times.

    Args:
        workspace: The workspace.
        name: One recipe; by default every one that has a ledger.

    Returns:
        What was done, a line each; nothing when all agreed already.

    Raises:
        SegtrailError: A recipe cannot be recovered; the others are, first.
    """
    folder = workspace.ledger("any").parent
    names = [name] if name else sorted(path.stem for path in folder.glob("*.jsonl"))
    lines: list[str] = []
    failed: SegtrailError | None = None
    with _exclusive(workspace):
        for each in names:
            try:
                lines += recovery.recover(workspace, each)
            except SegtrailError as e:
                lines.append(f"{each}: {e.message}")
                failed = failed or e
    if failed is not None:
        for line in lines:
            say(line)
        raise failed
    return lines


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
    with _exclusive(workspace):
        entries = ledger.read(path)
        agreement.serving_version(workspace, name, entries)
        known = [e for e in entries if e.event == event]
        if event == ledger.FORCED:  # another name is another word
            known = [e for e in known if e.by == by]
        if any(e.model_digest == digest and _same(e.details, details) for e in known):
            return None
        entry = ledger.append(
            path, event, version=None, model_digest=digest, by=by, details=details
        )
        relative = path.relative_to(workspace.root).as_posix()
        git.commit(workspace.root, [relative], subject)
    return entry


def _same(known: Mapping[str, Any], details: Mapping[str, Any]) -> bool:
    """Whether a decision is told already; of limits, whatever was timed this time."""

    def told(of: Mapping[str, Any]) -> dict[str, Any]:
        kept = ("rule", "kind", "verdict")
        limits = [{k: r[k] for k in kept} if r["kind"] == "limit" else r for r in of["rules"]]
        return {**of, "rules": limits}

    return told(known) == told(details)


def champion(workspace: Workspace, name: str) -> int | None:
    """Returns the version that the serving configuration names."""
    return config.champion(workspace.models_config, name)


@contextlib.contextmanager
def _exclusive(workspace: Workspace) -> Iterator[None]:
    """Holds the promotion lock, which a process that dies lets go of."""
    path = workspace.home / ".segtrail" / "promotion.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another promotion to finish")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
