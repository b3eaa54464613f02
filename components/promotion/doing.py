"""What promotions, canaries and rollbacks have in common, each under the lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from components.promotion import live, recovery
from components.promotion import walk as walking
from components.promotion.plan import Plan
from lineage import approvals, ledger, signature
from lineage.ledger import Entry
from segtrail.errors import LineageError, ServingError, StageError
from segtrail.progress import say
from segtrail.workspace import Workspace

# however often it serves
OF_A_VERSION = ("provenance_sha256", signature.DETAIL, "git_commit", "forced", approvals.DETAIL)


@dataclass(frozen=True)
class Promotion:
    """What a promotion did.

    Attributes:
        recipe: The recipe.
        version: The version that serves now, or is out as a canary, or was.
        model_digest: Hex SHA-256 of its SavedModel.
        changed: False when that version served already and nothing was written.
        says: What was done, a line a step; told as it was done, if anything changed.
    """

    recipe: str
    version: int
    model_digest: str
    changed: bool
    says: list[str] = field(default_factory=list)


def told(done: Iterable[str]) -> list[str]:
    """Says each step as it is done, and returns what was said.

    Who reads it may leave: half a promotion would be worse than one that nobody hears of.
    """
    lines = []
    for line in done:
        lines.append(line)
        with contextlib.suppress(OSError):
            say(line)
    return lines


def recovered(workspace: Workspace, name: str) -> list[Entry]:
    """Brings what was cut short to an end; returns the ledger."""
    told(recovery.recover(workspace, name))
    return ledger.read(workspace.ledger(name))


def already(entries: Sequence[Entry], digest: str) -> Promotion | None:
    """Returns that the model serves already; None: it does not."""
    current = ledger.champion(entries)
    if current is None or current.model_digest != digest or not current.version:
        return None
    says = f"v{current.version} already serves"
    return Promotion(current.recipe, current.version, digest, changed=False, says=[says])


def walk(plan: Plan, says: Sequence[str] = (), without: Sequence[str] = ()) -> Promotion:
    """Takes the steps of a plan, and tells each: see `components.promotion.walk`.

    Args:
        plan: What is to be done.
        says: What was done, and told, before.
        without: Names of steps that have been taken already.

    Raises:
        StageError: See there, and `ask_server`.
        ServingError: See `ask_server`; nothing is changed.
    """
    ask_server(plan)
    lines = [*says, *told(walking.walk(plan, without))]
    return Promotion(plan.recipe, plan.version, plan.model_digest, changed=True, says=lines)


def ask_server(plan: Plan) -> None:
    """Asks the live server what it serves, before anything takes time or moves.

    Raises:
        ServingError: A file that `serving.tls` names cannot be read.
        StageError: A server listens, and gives no answer.
    """
    live.endpoint_of(plan.workspace, plan.recipe)
    try:
        with live.server_of(plan.workspace, plan.recipe):
            pass
    except ServingError as e:
        raise StageError(f"{plan.not_done}: {e.message}; nothing was changed", e.hint) from e


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
