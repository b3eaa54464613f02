"""A candidate beside the champion, under a name of its own: `<recipe>-canary`.

It is served from the same store, and never answers what is asked of the recipe. The ledger decides
whether there is one: `lineage.ledger.canary`.
"""

from __future__ import annotations

from components import registry
from components.promotion import agreement, live
from components.promotion.live import Live, server_of
from components.promotion.plan import Plan
from lineage import ledger
from segtrail.errors import StageError
from segtrail.settings.serving import canary_of
from segtrail.workspace import Workspace
from serving import config


def show(plan: Plan) -> str:
    """Names the version as the canary in the serving configuration."""
    base = plan.folder.parent
    if not _is_shown(plan):
        config.set_canary(plan.workspace.models_config, plan.recipe, base, plan.version)
    return f"serving configuration names v{plan.version} as {canary_of(plan.recipe)}"


def _is_shown(plan: Plan) -> bool:
    path, name = plan.workspace.models_config, canary_of(plan.recipe)
    shown = config.canary(path, plan.recipe) == plan.version
    return shown and config.is_at(path, name, plan.folder.parent)


def confirm(plan: Plan) -> str:
    """Waits until the live server answers as the canary, if one of this recipe answers."""
    with server_of(plan.workspace, plan.recipe) as server:
        if isinstance(server, Live):
            name = canary_of(plan.recipe)
            server.wait_loaded(name, plan.version, live.CONFIRM_WITHIN_S)
            server.wait_answers(name, plan.version, within=live.CONFIRM_WITHIN_S)
            plan.notes["confirmed"] = f"{server.target} serves v{plan.version} as {name}"
        else:
            plan.notes["confirmed"] = f"{server}; the load test stands"
    return plan.notes["confirmed"]


def point_alias(plan: Plan) -> str:
    """Points MLflow's alias `canary` at the version."""
    registry.set_canary(plan.workspace, plan.recipe, plan.version)
    return f"MLflow alias canary names v{plan.version}"


def end(plan: Plan) -> str:
    """Takes the canary away if the ledger has none any more."""
    if ledger.canary(plan.entries()) is not None:
        return "the canary stays"
    return "; ".join(take_away(plan.workspace, plan.recipe)) or "no canary is out"


def take_away(workspace: Workspace, recipe: str) -> list[str]:
    """Takes it out of registry and configuration, not out of the store; returns what was done."""
    shown, lines = config.canary(workspace.models_config, recipe), []
    try:
        if (named := registry.canary(workspace, recipe)) is not None:
            registry.set_canary(workspace, recipe, None)
            lines.append(f"MLflow alias canary names nothing any more; it was v{named}")
    finally:  # without MLflow it must not go on serving either
        if shown is not None:
            config.withdraw(workspace.models_config, canary_of(recipe))
            says = f"serving configuration names no {canary_of(recipe)} any more; it was v{shown}"
            lines.append(says)
    return lines


def settle(workspace: Workspace, recipe: str) -> list[str]:
    """Takes away a canary that has ended; shows and names one that is out, or says it is lost.

    Returns:
        What was done; nothing when all agreed already.

    Raises:
        LineageError: See `agreement.shown_canary`.
    """
    entries = ledger.read(workspace.ledger(recipe))
    agreement.shown_canary(workspace, recipe, entries)
    if (out := ledger.canary(entries)) is None:
        events = (ledger.CANARY_INTENT, ledger.CANARY)
        was_one = any(entry.event in events for entry in entries)
        return take_away(workspace, recipe) if was_one else []
    plan = Plan.of_intent(workspace, out)
    if not plan.is_stored():
        end = f"segtrail promote --recipe {recipe} --abort --reason TEXT"
        return [f"{agreement.lacks(plan, 'canary')}; to end it: {end}"]
    lines = [] if _is_shown(plan) else [show(plan)]
    return lines + (
        [] if registry.canary(workspace, recipe) == plan.version else [point_alias(plan)]
    )


def refuse_another(workspace: Workspace, recipe: str, what: str) -> None:
    """Refuses what cannot be while a canary is out.

    Raises:
        StageError: One is.
    """
    entry = ledger.canary(ledger.read(workspace.ledger(recipe)))
    if entry is not None:
        raise StageError(
            f"{recipe} v{entry.version} is out as a canary since {entry.at}; {what} waits until it "
            "is ended",
            f"segtrail promote --recipe {recipe} --confirm   (or --abort --reason TEXT)",
        )
