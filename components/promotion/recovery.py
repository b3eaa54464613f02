"""Brings store, configuration, alias, tag and ledger into agreement after a crash.

The ledger decides. An intent that nothing closed is gone on with when the store holds its
version whole, and is otherwise undone. What serves is never changed without an intent: a
configuration that names another version than the ledger is reported, not repaired, since
this checkout's ledger may be the older of the two: see `components.promotion.agreement`.
"""

from __future__ import annotations

from dataclasses import replace

from components import registry
from components.promotion import agreement, canary, changeover, steps, walk
from components.promotion.plan import LED_FROM, Plan
from lineage import ledger
from segtrail import git
from segtrail.errors import LineageError, ServingError
from segtrail.workspace import Workspace
from serving import config, store


def recover(workspace: Workspace, name: str) -> list[str]:
    """Recovers one recipe; returns what was done, nothing when all agreed already.

    Raises:
        LineageError: The ledger does not verify; the configuration names a version that the
            ledger does not, or there is no ledger; the store lacks the champion.
        StageError: The intent's version failed its load test; it was undone.
    """
    lines = [f"removed {path.name}, left by a crash" for path in store.sweep(workspace.models)]
    lines += agreement.restore_config(workspace)
    path = workspace.ledger(name)
    if path.exists() and (problems := ledger.verify(path)):
        raise LineageError(f"{path}: {problems[0]}", f"segtrail audit {name}")
    entries = ledger.read(path)
    serving = agreement.serving_version(workspace, name, entries)
    if not path.exists():
        return lines
    intent = ledger.open_intent(entries)
    if intent is not None:
        lines += _close(Plan.of_intent(workspace, intent), serving)
    lines += [f"{name}: {line}" for line in canary.settle(workspace, name)]
    current = ledger.champion(ledger.read(path))
    if current is not None:
        lines += _settle(Plan.of_intent(workspace, current))
    elif _is_uncommitted(workspace, name):
        git.commit(workspace.root, [_ledger_path(workspace, name)], f"Ledger of {name}")
        lines.append(f"{name}: ledger committed")
    return lines


def _close(plan: Plan, serving: int | None) -> list[str]:
    if not plan.is_stored():
        return [walk.close(plan, ledger.ABANDONED, "the store does not hold it whole")]
    plan.notes["recovered"] = "it had been cut short"
    names = [step.__name__ for step in steps.of(plan)]
    if plan.canary:
        shown = config.canary(plan.workspace.models_config, plan.recipe) == plan.version
        reached = "confirm" if shown else "load_test"
    else:
        reached = "retire" if serving == plan.version else "load_test"
    lines = walk.walk(plan, without=names[: names.index(reached)])
    return [f"{plan.recipe}: {line}" for line in lines]


def _settle(plan: Plan) -> list[str]:
    """Brings the rest into agreement with the ledger's champion."""
    lines = []
    if not plan.folder.is_dir():
        raise LineageError(
            agreement.lacks(plan),
            "copy serving/models from the machine that serves, or set SEGTRAIL_HOME to its "
            "workspace",
        )
    if config.champion(plan.workspace.models_config, plan.recipe) is None:
        steps.place(plan)  # is there already; checks that it is whole
        lines.append(changeover.serve(plan))
    lines += changeover.settle(plan) + _lead(plan)
    if registry.champion(plan.workspace, plan.recipe) != plan.version:
        lines.append(steps.point_alias(plan))
    if _is_uncommitted(plan.workspace, plan.recipe):
        lines.append(steps.commit(plan))
    if git.tag_target(plan.workspace.root, plan.tag) is None:
        lines.append(steps.tag(plan))
    return [f"{plan.recipe}: {line}" for line in lines]


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


def _ledger_path(workspace: Workspace, name: str) -> str:
    return workspace.ledger(name).relative_to(workspace.root).as_posix()


def _is_uncommitted(workspace: Workspace, name: str) -> bool:
    path = _ledger_path(workspace, name)
    return bool(git.run(workspace.root, "status", "--porcelain=v1", "--", path))
