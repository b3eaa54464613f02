"""What promotions, canaries and rollbacks have in common, each under the lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from components.promotion import live, recovery
from components.promotion import walk as walking
from components.promotion.plan import Plan
from lineage import ledger, signature
from lineage.ledger import Entry
from segtrail.errors import LineageError
from segtrail.progress import say
from segtrail.workspace import Workspace

# however often it serves
OF_A_VERSION = ("provenance_sha256", signature.DETAIL, "git_commit", "forced")


@dataclass(frozen=True)
class Promotion:
    """What a promotion did.

    Attributes:
        recipe: The recipe.
        version: The version that serves now, or is out as a canary, or was.
        model_digest: Hex SHA-256 of its SavedModel.
        changed: False when that version served already and nothing was written.
        says: What was done, a line a step.
    """

    recipe: str
    version: int
    model_digest: str
    changed: bool
    says: list[str] = field(default_factory=list)


def recovered(workspace: Workspace, name: str) -> list[Entry]:
    """Brings what was cut short to an end; returns the ledger."""
    for line in recovery.recover(workspace, name):
        say(line)
    return ledger.read(workspace.ledger(name))


def already(entries: Sequence[Entry], digest: str) -> Promotion | None:
    """Returns that the model serves already; None: it does not."""
    current = ledger.champion(entries)
    if current is None or current.model_digest != digest or not current.version:
        return None
    says = f"v{current.version} already serves"
    return Promotion(current.recipe, current.version, digest, changed=False, says=[says])


def walk(plan: Plan, says: Sequence[str] = (), without: Sequence[str] = ()) -> Promotion:
    """Takes the steps of a plan: see `components.promotion.walk`.

    Raises:
        ServingError: A file that `serving.tls` names cannot be read; nothing is changed.
    """
    live.endpoint_of(plan.workspace, plan.recipe)  # what the live server is asked by
    lines = [*says, *walking.walk(plan, without)]
    return Promotion(plan.recipe, plan.version, plan.model_digest, changed=True, says=lines)


def require_stored(plan: Plan) -> None:
    """Refuses a version that the store does not hold as it was.

    Raises:
        LineageError: It does not.
    """
    if not plan.is_stored():
        raise LineageError(
            f"{plan.folder}: is not the model {plan.model_digest[:12]} that served",
            f"segtrail audit {plan.recipe} --version {plan.version}",
        )
