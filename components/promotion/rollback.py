"""Back to a version that served before."""

from __future__ import annotations

from collections.abc import Sequence

from components.promotion import doing, erasures, steps
from components.promotion.doing import Promotion
from components.promotion.lock import exclusive
from components.promotion.plan import Plan
from lineage import keys, ledger
from lineage.ledger import Entry
from segtrail.errors import LineageError, ServingError, StageError
from segtrail.progress import say
from segtrail.workspace import Workspace


def rollback(
    workspace: Workspace,
    name: str,
    to: int | None = None,
    *,
    reason: str,
    by: str | None = None,
    despite_erasure: bool = False,
) -> Promotion:
    """Makes a version that served before serve again, by the same walk.

    Before anything moves, the version must have the digests that the ledger names and answer its
    golden images in a server of its own.

    Args:
        workspace: The workspace; its lock is held while this runs.
        name: The recipe.
        to: The version; by default the one that the present one replaced when it was promoted.
        reason: Why; the ledger keeps it.
        by: Who claims to do it; by default the git identity.
        despite_erasure: The reason holds although the version learned from images erased since.

    Raises:
        StageError: No such version served, or it does not load or answers otherwise; or see
            `components.promotion.erasures.details`.
        LineageError: The store no longer holds it as it was.
    """
    with exclusive(workspace):
        entries = doing.recovered(workspace, name)
        current = ledger.champion(entries)
        version = _replaced(name, entries) if to is None else to
        served = [e for e in entries if e.event == ledger.DONE and e.version == version]
        if not served:
            known = sorted({e.version for e in entries if e.event == ledger.DONE and e.version})
            raise StageError(f"{name} v{version} never served; these did: {known}")
        if current is not None and current.version == version:
            says = f"v{version} already serves"
            return Promotion(name, version, current.model_digest, changed=False, says=[says])
        if keys.signer_of_environment() is None and keys.trusted(workspace.root, strict=False):
            say("nobody signs this rollback: SEGTRAIL_KEY is not set; audits will say so")
        plan = Plan.of_intent(workspace, served[-1])
        doing.require_stored(plan)
        plan.by = by
        said = erasures.details(
            plan, by, reason if despite_erasure else None,
            f"segtrail rollback {name} --to {version} --despite-erasure --by NAME --reason TEXT   "
            "(or --to another version)",
        )  # fmt: skip
        plan.details = {
            **{key: plan.details[key] for key in doing.OF_A_VERSION if key in plan.details},
            "uncommitted": plan.details.get("uncommitted", []),
            "previous": current.version if current else None,
            "rollback": reason,
            **said,
        }
        doing.ask_server(plan)
        try:
            tested = doing.told([steps.load_test(plan)])
        except (ServingError, LineageError) as e:
            raise StageError(
                f"{plan.not_done}: {e.message}; nothing was changed",
                f"segtrail history {name}   (and name another one with --to)",
            ) from e
        return doing.walk(plan, tested, without=[steps.load_test.__name__])


def _replaced(name: str, entries: Sequence[Entry]) -> int:
    """Returns what the champion replaced when it was promoted, not when it was rolled back to."""
    current = ledger.champion(entries)
    if current is None:
        raise StageError(
            f"nothing of {name} serves",
            f"segtrail promote --recipe {name}   (or --to a version that served)",
        )
    came = [
        e.details.get("previous")
        for e in entries
        if e.event == ledger.DONE and e.version == current.version and "rollback" not in e.details
    ]
    if not came or came[-1] is None:
        raise StageError(
            f"{name} v{current.version} replaced no other version",
            f"segtrail history {name}   (and name one that served with --to)",
        )
    return int(came[-1])
