"""Promotes a candidate: from a SavedModel that passed the gate to the version that serves."""

from __future__ import annotations

from components.promotion import canary, candidate, doing, recovery
from components.promotion.canaries import abort_canary, confirm_canary, show_canary
from components.promotion.decisions import approve, force, reject
from components.promotion.doing import Promotion
from components.promotion.lock import exclusive
from components.promotion.retirement import retire
from components.promotion.rollback import rollback
from segtrail.errors import SegtrailError
from segtrail.workspace import Workspace
from serving import config

__all__ = [
    "Promotion", "abort_canary", "approve", "champion", "confirm_canary", "force", "promote",
    "recover", "reject", "retire", "rollback", "show_canary",
]  # fmt: skip


def promote(
    workspace: Workspace,
    name: str,
    *,
    by: str | None = None,
    allow_dirty: bool = False,
    again: str | None = None,
) -> Promotion:
    """Makes the candidate of a recipe the version that serves.

    Args:
        workspace: The workspace; its lock is held while this runs.
        name: The recipe.
        by: Who claims to do it; by default the git identity.
        allow_dirty: Promote although code is not committed; the provenance says so.
        again: Why a model that was rolled back from, or aborted as a canary, may come back.

    Raises:
        RejectedError, InsufficientEvidenceError: The gate did not say `pass`; or somebody turned
            this model away, and nobody says that it may come back.
        MissingArtifactError: A stage has not run.
        StageError: See `components.promotion.candidate.check`; or a canary is out; or the load test
            failed, or the live server did not take the version. What served before serves on.
        LineageError: A fact that the provenance needs contradicts another.
        ServingError: A file that `serving.tls` names cannot be read.
    """
    with exclusive(workspace):
        entries = doing.recovered(workspace, name)
        digest = candidate.digest_of(workspace, name)
        if (current := doing.already(entries, digest)) is not None:
            return current
        canary.refuse_another(workspace, name, "a promotion")
        candidate.check(workspace, name, digest, allow_dirty=allow_dirty, by=by, again=again)
        return doing.walk(candidate.prepare(workspace, name, digest, by, again))


def recover(workspace: Workspace, name: str | None = None) -> list[str]:
    """Brings store, configuration, alias, tag and ledger into agreement after a crash.

    Safe to call at any time and any number of times.

    Args:
        workspace: The workspace.
        name: One recipe; by default every one that has a ledger.

    Returns:
        What was done, a line each, told as it was done; nothing when all agreed already.

    Raises:
        SegtrailError: A recipe cannot be recovered; the others are, first.
    """
    names = [name] if name else workspace.ledgers()
    lines: list[str] = []
    failed: SegtrailError | None = None
    with exclusive(workspace):
        for each in names:
            try:
                lines += doing.told(recovery.recover(workspace, each))
            except SegtrailError as e:
                if failed is not None:
                    doing.told([f"{each}: {e.message}"])
                failed = failed or e
    if failed is not None:
        raise failed
    return lines


def champion(workspace: Workspace, name: str) -> int | None:
    """Returns the version that the serving configuration names."""
    return config.champion(workspace.models_config, name)
