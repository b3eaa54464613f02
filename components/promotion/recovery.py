"""Brings store, configuration, alias, tag and ledger into agreement after a crash.

The ledger decides. An intent that nothing closed is gone on with when the store holds its
version whole, and is otherwise undone. What serves is never changed without an intent: a
configuration that names another version than the ledger is reported, not repaired, since
this checkout's ledger may be the older of the two: see `components.promotion.agreement`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from components import registry
from components.promotion import agreement, canary, changeover, record, steps, walk, withdrawal
from components.promotion.plan import LED_FROM, Plan
from lineage import ledger
from segtrail import git
from segtrail.errors import LineageError, ServingError
from segtrail.workspace import Workspace
from serving import config, store


def recover(workspace: Workspace, name: str) -> Iterator[str]:
    """Recovers one recipe; yields what was done once it is, nothing when all agreed already.

    Raises:
        LineageError: The ledger does not verify; the configuration names a version that the
            ledger does not, or there is no ledger; the store lacks the champion.
        StageError: The intent's version failed its load test; it was undone.
    """
    for removed in store.sweep(workspace.models):
        yield f"removed {removed.name}, left by a crash"
    yield from agreement.restore_config(workspace)
    path = workspace.ledger(name)
    if path.exists() and (problems := ledger.verify(path)):
        raise LineageError(f"{path}: {problems[0]}", f"segtrail audit {name}")
    entries = ledger.read(path)
    serving = agreement.serving_version(workspace, name, entries)
    if not path.exists():
        return
    intent = ledger.open_intent(entries)
    if intent is not None:
        yield from _close(Plan.of_intent(workspace, intent), serving)
    for line in canary.settle(workspace, name):
        yield f"{name}: {line}"
    current = ledger.champion(ledger.read(path))
    if current is not None:
        for line in _settle(Plan.of_intent(workspace, current)):
            yield f"{name}: {line}"
    elif ledger.retirement(entries) is not None:
        for line in withdrawal.withdraw(workspace, name):
            yield f"{name}: {line}"
    if current is None and _is_uncommitted(workspace, name):
        record.commit(workspace, name, f"Ledger of {name}")
        yield f"{name}: ledger committed"
    if record.keep_head(workspace, name):
        yield f"{name}: MLflow keeps the head of the ledger"


def _close(plan: Plan, serving: int | None) -> Iterator[str]:
    if not plan.is_stored():
        yield walk.close(plan, ledger.ABANDONED, "the store does not hold it whole")
        return
    plan.notes["recovered"] = "it had been cut short"
    names = [step.__name__ for step in steps.of(plan)]
    if plan.canary:
        shown = config.canary(plan.workspace.models_config, plan.recipe) == plan.version
        reached = "confirm" if shown else "load_test"
    else:
        reached = "retire" if serving == plan.version else "load_test"
    for line in walk.walk(plan, without=names[: names.index(reached)]):
        yield f"{plan.recipe}: {line}"


def _settle(plan: Plan) -> Iterator[str]:
    """Brings the rest into agreement with the ledger's champion."""
    if not plan.folder.is_dir():
        raise LineageError(
            agreement.lacks(plan),
            "copy serving/models from the machine that serves, or set SEGTRAIL_HOME to its "
            "workspace",
        )
    if not changeover.is_here(plan):  # none, or the store of the workspace this is a copy of
        steps.place(plan)  # is there already; checks that it is whole
        yield changeover.serve(plan)
    yield from changeover.settle(plan)
    yield from _lead(plan)
    if registry.champion(plan.workspace, plan.recipe) != plan.version:
        yield steps.point_alias(plan)
    if _is_uncommitted(plan.workspace, plan.recipe):
        yield steps.commit(plan)
    if git.tag_target(plan.workspace.root, plan.tag) is None:
        yield steps.tag(plan)


def _lead(plan: Plan) -> list[str]:
    """Leads a live server that missed the champion to it, which moves the label: by an intent."""
    try:
        behind = changeover.behind(plan)
    except ServingError as e:
        return [f"the live server does not say what it serves: {e.message}"]
    if behind is None:
        return []
    found = f"the live server is at v{behind}"
    served = [e for e in plan.entries() if e.event == ledger.DONE and e.version == behind]
    if not served or not Plan.of_intent(plan.workspace, served[-1]).is_stored():
        return [f"{found}, which is no version that the ledger and the store have: see its log"]
    again = replace(plan, details={**plan.details, LED_FROM: behind})
    steps.intend(again)
    changeover.lead(again, behind)
    steps.finish(again)
    steps.commit(again)
    return [f"{found}: it missed a change, and was told again"]


def _is_uncommitted(workspace: Workspace, name: str) -> bool:
    path = record.path_of(workspace, name)
    return bool(git.run(workspace.root, "status", "--porcelain=v1", "--", path))
