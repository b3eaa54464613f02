"""Takes the steps of a promotion, and undoes one that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components import registry
from components.promotion import canary, changeover, record, steps
from components.promotion.plan import Plan
from lineage import ledger
from segtrail.errors import LineageError, SegtrailError, ServingError, StageError
from segtrail.settings.serving import canary_of
from serving import config, store
from serving.failures import GoneError

_MAY_FAIL = ("load_test", "introduce", "retire", "confirm")


def walk(plan: Plan, without: Sequence[str] = ()) -> Iterator[str]:
    """Takes the steps of a plan; yields what each did, once it is done.

    Args:
        plan: What is to be done.
        without: Names of steps that have been taken already.

    Raises:
        StageError: The candidate failed its load test, or the live server did not take it.
            What served before serves on, and the ledger says `failed`.
    """
    for step in steps.of(plan):
        if step.__name__ in without:
            continue
        try:
            done = step(plan)
        except (ServingError, LineageError) as e:
            if step.__name__ not in _MAY_FAIL:
                raise
            close(plan, ledger.FAILED, f"{step.__name__}: {e.message}")
            raise StageError(f"{plan.not_done}: {e.message}; {_stays(plan, e)}", e.hint) from e
        yield done


def close(plan: Plan, event: str, why: str) -> str:
    """Undoes a promotion that will not be finished, and says so in the ledger.

    A version that may have answered stays in the store: what answered can be audited, and its
    next promotion finds it there. One that is not whole there is not what answered, and goes.
    """
    answered = _may_have_answered(plan, event)
    kept = plan.kept_before() or (answered and plan.is_stored())
    model = config.read(plan.workspace.models_config).get(plan.recipe)
    if plan.canary:
        canary.take_away(plan.workspace, plan.recipe)
    elif model is not None and plan.version in model.versions:
        changeover.restore(plan)
    if not plan.canary and registry.champion(plan.workspace, plan.recipe) == plan.version:
        registry.set_champion(plan.workspace, plan.recipe, plan.previous)
    if not kept:
        store.withdraw(plan.workspace.models, plan.recipe, plan.version)
    ledger.append(
        plan.ledger,
        event,
        version=plan.version,
        model_digest=plan.model_digest,
        by=plan.by,
        details={
            **(plan.details if kept else {}),
            "why": why,
            "may_have_answered": answered,
            "kept": kept,
        },
    )
    message = f"{event.capitalize()}: {plan.recipe} v{plan.version}"
    record.commit(plan.workspace, plan.recipe, message)
    return f"{plan.recipe}: v{plan.version} {event}: {why}"


def _stays(plan: Plan, why: SegtrailError) -> str:
    if plan.previous is None:
        return "nothing serves"
    alive = not isinstance(why, GoneError)
    return f"v{plan.previous} {'serves on' if alive else 'is the champion still'}"


def _may_have_answered(plan: Plan, event: str) -> bool:
    """Whether a server may have been told of the version.

    After a crash a configuration that does not name it proves nothing: the crash may have come
    while it was being undone.
    """
    name = canary_of(plan.recipe) if plan.canary else plan.recipe
    model = config.read(plan.workspace.models_config).get(name)
    was_cut_short = event == ledger.ABANDONED or "recovered" in plan.notes
    return (model is not None and plan.version in model.versions) or (
        was_cut_short and plan.folder.is_dir()
    )
