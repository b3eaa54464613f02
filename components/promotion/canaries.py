"""A canary goes out, becomes the champion, or is taken away."""

from __future__ import annotations

from collections.abc import Sequence

from components.promotion import agreement, canary, candidate, doing, erasures, record
from components.promotion.doing import Promotion
from components.promotion.lock import exclusive
from components.promotion.plan import Plan
from lineage import approvals, ledger, provenance, signature
from lineage.ledger import Entry
from segtrail.errors import SegtrailError, StageError
from segtrail.progress import say
from segtrail.workspace import Workspace


def show_canary(
    workspace: Workspace,
    name: str,
    *,
    by: str | None = None,
    allow_dirty: bool = False,
    again: str | None = None,
) -> Promotion:
    """Serves the candidate beside the champion, as `<recipe>-canary`, after the same checks.

    Args:
        workspace: See `promote`, as for all that follow.
        name: .
        by: .
        allow_dirty: .
        again: .

    Raises:
        RejectedError, InsufficientEvidenceError, MissingArtifactError, LineageError: See `promote`.
        StageError: See `promote`; or another canary is out, or nothing serves that it could be
            beside.
    """
    with exclusive(workspace):
        entries = doing.recovered(workspace, name)
        digest = candidate.digest_of(workspace, name)
        if (current := doing.already(entries, digest)) is not None:
            return current
        if ledger.champion(entries) is None:
            raise StageError(
                f"nothing of {name} serves yet; a canary is served beside a champion",
                f"segtrail promote --recipe {name}",
            )
        out = ledger.canary(entries)
        if out is not None and out.version and out.model_digest == digest:
            says = f"v{out.version} is out as the canary already"
            return Promotion(name, out.version, digest, changed=False, says=[says])
        canary.refuse_another(workspace, name, "another canary")
        candidate.check(
            workspace, name, digest, allow_dirty=allow_dirty, again=again, is_canary=True
        )
        plan = candidate.prepare(workspace, name, digest, by, again)
        plan.canary = True
        return doing.walk(plan)


def confirm_canary(
    workspace: Workspace, name: str, *, by: str | None = None, despite_erasure: str | None = None
) -> Promotion:
    """Makes the canary the champion, by the walk of a promotion, and takes the canary away.

    Args:
        workspace: The workspace.
        name: The recipe.
        by: Who claims to do it.
        despite_erasure: Why it may serve although it learned from images erased since.

    Raises:
        StageError: There is none; or another version serves than when it was judged; or see
            `promote` and `components.promotion.erasures.details`.
        LineageError: The store no longer holds it as it was.
    """
    with exclusive(workspace):
        entries = doing.recovered(workspace, name)
        out, current = _canary_of(name, entries), ledger.champion(entries)
        plan = Plan.of_intent(workspace, out)
        serves = current.version if current else None
        if plan.previous != serves:
            raise StageError(
                f"{name} v{plan.version} was judged against v{plan.previous}; what serves is "
                f"v{serves}",
                f'segtrail promote --recipe {name} --abort --reason "judged against '
                f'v{plan.previous}" && segtrail gate --recipe {name}   '
                "(and to promote it then: --again)",
            )
        doing.require_stored(plan)
        signature.refuse_unsigned(workspace, name, plan.version, plan.details)
        content = (plan.folder / provenance.IN_MODEL).read_bytes()
        verdict = provenance.verdict(provenance.parse(content))
        approved = candidate.require_approved(workspace, name, verdict, by)
        plan.by = by
        said = erasures.details(
            plan, by, despite_erasure,
            f"segtrail promote --recipe {name} --confirm --despite-erasure --reason TEXT   (or "
            "--abort --reason TEXT)",
        )  # fmt: skip
        kept = (*doing.OF_A_VERSION, "uncommitted", "previous", "test_split", "again")
        plan.details = {key: plan.details[key] for key in kept if key in plan.details}
        plan.details |= {"canary": out.seq, **said}
        if approved:
            plan.details[approvals.DETAIL] = approved
        return doing.walk(plan)


def abort_canary(
    workspace: Workspace, name: str, *, reason: str, by: str | None = None
) -> Promotion:
    """Takes the canary away; the version stays in the store, and the ledger says why.

    The ledger is written first: what a crash leaves undone, the recovery does. Whatever else is
    lost, a sound ledger is enough.

    Raises:
        StageError: There is none.
        LineageError: The ledger's chain does not hold, or it is not the newest.
    """
    with exclusive(workspace):
        out = _canary_of(name, _recovered_if_possible(workspace, name))
        plan = Plan.of_intent(workspace, out)
        ledger.append(
            plan.ledger, ledger.CANARY_ABORTED, version=plan.version,
            model_digest=plan.model_digest, by=by, details={"reason": reason},
        )  # fmt: skip
        lines = doing.told([f"ledger: {ledger.CANARY_ABORTED}"])
        try:
            lines += doing.told(canary.take_away(workspace, name))
        except SegtrailError as e:
            rest = f"the rest: segtrail promote --recipe {name} --recover"
            lines += doing.told([f"{e.message}; {rest}"])
        made = record.commit(workspace, name, f"Abort the canary {name} v{plan.version}: {reason}")
        lines += doing.told([f"git: ledger committed in {made[:12]}"])
        return Promotion(name, plan.version, plan.model_digest, changed=True, says=lines)


def _recovered_if_possible(workspace: Workspace, name: str) -> list[Entry]:
    """Returns the ledger; what is lost and keeps the recovery from its end is only told."""
    try:
        return doing.recovered(workspace, name)
    except SegtrailError as e:
        entries = agreement.require_newest(workspace, name)
        if ledger.open_intent(entries) is not None:
            raise
        say(f"{name}: {e.message}; the canary is ended all the same")
        return entries


def _canary_of(name: str, entries: Sequence[Entry]) -> Entry:
    if (out := ledger.canary(entries)) is None:
        raise StageError(
            f"no canary of {name} is out", f"segtrail promote --recipe {name} --canary"
        )
    return out
