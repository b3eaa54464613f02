"""A model that a person turned away comes back by a person's word alone: `promote --again`."""

from __future__ import annotations

from typing import Any

from components.promotion import erasures
from components.promotion.plan import Plan
from lineage import ledger, turned_away
from lineage.turned_away import TurnedAway
from segtrail import git
from segtrail.errors import RejectedError, StageError
from segtrail.workspace import Workspace


def check(workspace: Workspace, name: str, digest: str, again: str | None) -> None:
    """Refuses a model that was rolled back from, or aborted as a canary, unless somebody says so.

    Args:
        workspace: The workspace.
        name: The recipe.
        digest: Of the model.
        again: Why it may come back, in somebody's words; None: nobody says so.

    Raises:
        RejectedError: It was turned away, and nobody says that it may come back.
        StageError: Somebody says so of a model that was not turned away; or of one that learned
            from images erased since: what would prove it anew is gone.
    """
    word = _word(workspace, name, digest)
    if word is not None and again is None:
        raise RejectedError(
            f"{name}: {word.says()}; the same model does not come back by itself",
            f"segtrail promote --recipe {name} --again --reason TEXT   (or train another one)",
        )
    if word is None and again is not None:
        raise StageError(
            f"{name}: nobody turned the model {digest[:12]} away; --again has nothing to say",
            f"segtrail promote --recipe {name}",
        )
    entries = ledger.read(workspace.ledger(name))
    mine = [e for e in entries if ledger.is_kept(e) and e.model_digest == digest]
    if again is not None and mine:
        served = any(e.event == ledger.DONE for e in mine)
        back = f"segtrail rollback {name} --to {mine[-1].version} --despite-erasure"
        erasures.details(
            Plan.of_intent(workspace, mine[-1]), None, None,
            f"segtrail retrain --recipe {name}" + (f"   (or, as it served: {back})" * served),
        )  # fmt: skip


def details(
    workspace: Workspace, name: str, digest: str, by: str | None, again: str | None
) -> dict[str, Any]:
    """Returns what the ledger keeps of it: whose word, which reason, against which entry."""
    word = _word(workspace, name, digest)
    if again is None or word is None:
        return {}
    by = by or git.identity(workspace.root)
    return {"again": {"by": by, "reason": again, "entry": word.entry}}


def _word(workspace: Workspace, name: str, digest: str) -> TurnedAway | None:
    return turned_away.find(ledger.read(workspace.ledger(name)), digest)
