"""Takes a recipe out of service: by a person's word, in the ledger, and back by another's alone."""

from __future__ import annotations

from components.promotion import canary, doing, record
from components.promotion.doing import Promotion
from components.promotion.lock import exclusive
from components.promotion.withdrawal import withdraw
from lineage import ledger
from segtrail.errors import StageError
from segtrail.workspace import Workspace


def retire(workspace: Workspace, name: str, *, reason: str, by: str | None = None) -> Promotion:
    """Makes servers stop serving a recipe; its versions stay in the store, to be audited.

    The ledger is written first: what a crash leaves undone, the recovery does. From then on nothing
    of the recipe is promoted until somebody says why (`promote --again`), or rolls back to a
    version.

    Args:
        workspace: The workspace; its lock is held while this runs.
        name: The recipe.
        reason: Why, in the person's words.
        by: Who claims to do it; by default the git identity.

    Raises:
        StageError: Nothing of it serves, or a canary is out.
        LineageError: The ledger's chain does not hold, or it is not the newest.
    """
    with exclusive(workspace):
        current = ledger.champion(doing.recovered(workspace, name))
        if current is None or current.version is None:
            raise StageError(f"nothing of {name} serves", f"segtrail history {name}")
        canary.refuse_another(workspace, name, "a retirement")
        ledger.append(
            workspace.ledger(name), ledger.RETIRED, version=current.version,
            model_digest=current.model_digest, by=by, details={"reason": reason},
        )  # fmt: skip
        lines = doing.told([f"ledger: {ledger.RETIRED}", *withdraw(workspace, name)])
        made = record.commit(workspace, name, f"Retire {name} v{current.version}: {reason}")
        lines += doing.told([f"git: ledger committed in {made[:12]}"])
        return Promotion(name, current.version, current.model_digest, changed=True, says=lines)
