"""Brings store, configuration, alias, tag and ledger into agreement after a crash.

The ledger decides. An intent that nothing closed is gone on with when the store holds its
version whole, and is otherwise undone. What serves is never changed without an intent: a
configuration that names another version than the ledger is reported, not repaired, since
this checkout's ledger may be the older of the two.
"""

from __future__ import annotations

from components import registry
from components.promotion import steps
from components.promotion.plan import Plan
from lineage import ledger
from segtrail import git
from segtrail.errors import LineageError, ServingError
from segtrail.workspace import Workspace
from serving import config, store


def recover(workspace: Workspace, name: str) -> list[str]:
    """Recovers one recipe; returns what was done, nothing when all agreed already.

    Raises:
        LineageError: The ledger does not verify, or the configuration names a version that
            the ledger does not.
        StageError: The intent's version failed its load test; it was undone.
    """
    lines = [f"removed {path.name}, left by a crash" for path in store.sweep(workspace.models)]
    lines += _discard_unreadable_config(workspace)
    path = workspace.ledger(name)
    if not path.exists():
        return lines
    if problems := ledger.verify(path):
        raise LineageError(f"{path}: {problems[0]}", f"segtrail audit {name}")
    intent = ledger.open_intent(ledger.read(path))
    if intent is not None:
        lines += _close(Plan.of_intent(workspace, intent))
    current = ledger.champion(ledger.read(path))
    if current is not None:
        lines += _settle(Plan.of_intent(workspace, current))
    elif _is_uncommitted(workspace, name):
        git.commit(workspace.root, [_ledger_path(workspace, name)], f"Ledger of {name}")
        lines.append(f"{name}: ledger committed")
    return lines


def _close(plan: Plan) -> list[str]:
    serving = config.champion(plan.workspace.models_config, plan.recipe)
    if not plan.is_stored():
        return [steps.close(plan, ledger.ABANDONED, "the store does not hold it whole")]
    taken = list(steps.STEPS)
    reached = steps.confirm if serving == plan.version else steps.load_test
    lines = steps.walk(plan, taken[taken.index(reached) :])
    return [f"{plan.recipe}: {line}" for line in lines]


def _settle(plan: Plan) -> list[str]:
    """Brings the rest into agreement with the ledger's champion."""
    lines = []
    serving = config.champion(plan.workspace.models_config, plan.recipe)
    if serving is None:
        steps.place(plan)  # is there already; checks that it is whole
        lines.append(steps.serve(plan))
    elif serving != plan.version:
        raise LineageError(
            f"{plan.workspace.models_config}: names {plan.recipe} v{serving}; the ledger in "
            f"this checkout ends with v{plan.version}",
            f"check out the branch whose ledger names it, or: segtrail audit {plan.recipe}",
        )
    if registry.champion(plan.workspace, plan.recipe) != plan.version:
        lines.append(steps.point_alias(plan))
    if _is_uncommitted(plan.workspace, plan.recipe):
        lines.append(steps.commit(plan))
    if git.tag_target(plan.workspace.root, plan.tag) is None:
        lines.append(steps.tag(plan))
    return [f"{plan.recipe}: {line}" for line in lines]


def _discard_unreadable_config(workspace: Workspace) -> list[str]:
    path = workspace.models_config
    try:
        config.read(path)
    except ServingError as e:
        aside = path.with_name(path.name + ".unreadable")
        path.replace(aside)
        return [f"{e.message}; moved to {aside.name}"]
    return []


def _ledger_path(workspace: Workspace, name: str) -> str:
    return workspace.ledger(name).relative_to(workspace.root).as_posix()


def _is_uncommitted(workspace: Workspace, name: str) -> bool:
    path = _ledger_path(workspace, name)
    return bool(git.run(workspace.root, "status", "--porcelain=v1", "--", path))
