"""From one version to another in three states of `models.config`, so that no request fails.

    old and new, `stable` on old     until a server has loaded the new one
    old and new, `stable` on new     until the label answers from it: the commit point
    new,         `stable` on new     until requests without a version do

A server takes no configuration that moves a label to a version it has not loaded, and would stay
with the old one for ever (docs/decisions/0012-label-in-three-writes.md). The live server is asked
before each next state. Others may follow the file: each state stays for `serving.hold_s` at least.
Requests without a version reach the highest that is loaded: on the way to a higher version from
the first state on, on the way back in the last. Every step may be taken again after a crash.
"""

from __future__ import annotations

import contextlib
import time

from components.promotion import live
from components.promotion.live import Live, server_of
from components.promotion.plan import Plan
from segtrail.errors import ServingError
from segtrail.settings.serving import Serving
from serving import config
from serving.config import STABLE

UNDO_WITHIN_S = 10.0
_STANDS = "the load test stands"


def introduce(plan: Plan) -> str:
    """Names the version beside the one that serves, until the live server has loaded it."""
    serving = _stable(plan)
    if serving in (None, plan.version):
        return f"serving configuration names {'no other version' if serving else 'none yet'}"
    with server_of(plan.workspace, plan.recipe) as server:  # before anything moves
        _write(plan, serving, beside=plan.version)
        began = time.monotonic()
        if isinstance(server, Live):
            server.wait_loaded(plan.recipe, plan.version, live.CONFIRM_WITHIN_S)
    _hold(plan, began)
    return f"serving configuration names v{plan.version} beside v{serving}"


def serve(plan: Plan) -> str:
    """Moves the label to the version: the commit point."""
    serving = _stable(plan)
    if serving != plan.version or not is_here(plan):
        _write(plan, plan.version, beside=serving)
    return f"serving configuration has the label {STABLE} on v{plan.version}"


def retire(plan: Plan) -> str:
    """Takes the version that served before out, once the live server's label is on the new one."""
    began = time.monotonic()
    model = config.read(plan.workspace.models_config).get(plan.recipe)
    if model is None or (model.versions, dict(model.labels)) != _last(plan):
        if model is not None and len(model.versions) > 1:
            with server_of(plan.workspace, plan.recipe) as server:
                if isinstance(server, Live):
                    server.wait_answers(
                        plan.recipe, plan.version, label=STABLE, within=live.CONFIRM_WITHIN_S
                    )
            _hold(plan, began)
        _write(plan, plan.version)
    return f"serving configuration names v{plan.version} alone"


def confirm(plan: Plan) -> str:
    """Waits until the live server answers with the version, if one of this recipe answers."""
    patience = live.FIRST_WITHIN_S if plan.previous is None else 0
    with server_of(plan.workspace, plan.recipe, patience) as server:
        if isinstance(server, Live):
            server.wait_loaded(plan.recipe, plan.version, live.CONFIRM_WITHIN_S)
            server.wait_answers(plan.recipe, plan.version, within=live.CONFIRM_WITHIN_S)
            plan.notes["confirmed"] = f"{server.target} serves v{plan.version}"
        else:
            plan.notes["confirmed"] = f"{server}; {_STANDS}"
    return plan.notes["confirmed"]


def restore(plan: Plan) -> None:
    """Makes the configuration name the version that served before alone, or none, the same way."""
    path, previous = plan.workspace.models_config, plan.previous
    if previous is None:
        config.withdraw(path, plan.recipe)
        return
    if previous != plan.version == _stable(plan):
        _write(plan, plan.version, beside=previous)
        _wait(plan, previous)
        _write(plan, previous, beside=plan.version)
        _wait(plan, previous, STABLE)
    _write(plan, previous)


def is_here(plan: Plan) -> bool:
    """Whether the configuration names the recipe, and in this workspace's store."""
    return config.is_at(plan.workspace.models_config, plan.recipe, plan.folder.parent)


def settle(plan: Plan) -> list[str]:
    """Brings the configuration to the champion; returns what was done."""
    model = config.read(plan.workspace.models_config).get(plan.recipe)
    if model is not None and (model.versions, dict(model.labels)) != _last(plan):
        if len(model.versions) > 1:
            _hold(plan, time.monotonic())
        _write(plan, plan.version)
        return [f"serving configuration names v{plan.version} alone"]
    return []


def behind(plan: Plan) -> int | None:
    """Returns the version that the live server has stayed on; None if it is up to date, or none.

    Raises:
        ServingError: A server listens and does not answer.
    """
    with server_of(plan.workspace, plan.recipe) as server:
        if not isinstance(server, Live):
            return None
        try:
            server.wait_answers(plan.recipe, plan.version, label=STABLE, within=UNDO_WITHIN_S)
        except ServingError:
            found = server.answers(plan.recipe, STABLE) or server.answers(plan.recipe)
            return found if found != plan.version else None
        return None


def lead(plan: Plan, behind: int) -> None:
    """Takes the live server through the states again, from the version that it has stayed on."""
    _write(plan, behind, beside=plan.version)
    _wait(plan, plan.version)
    _write(plan, plan.version, beside=behind)
    _wait(plan, plan.version, STABLE)
    _write(plan, plan.version)


def _stable(plan: Plan) -> int | None:
    return config.champion(plan.workspace.models_config, plan.recipe)


def _last(plan: Plan) -> tuple[tuple[int, ...], dict[str, int]]:
    return (plan.version,), {STABLE: plan.version}


def _write(plan: Plan, version: int, *, beside: int | None = None) -> None:
    config.set_champion(
        plan.workspace.models_config, plan.recipe, plan.folder.parent, version, beside=beside
    )


def _wait(plan: Plan, version: int, label: str | None = None) -> None:
    """Gives the servers time for a state, and goes on without those that do not follow."""
    began = time.monotonic()
    with contextlib.suppress(ServingError), server_of(plan.workspace, plan.recipe) as server:
        if isinstance(server, Live):
            if label is None:
                server.wait_loaded(plan.recipe, version, UNDO_WITHIN_S)
            else:
                server.wait_answers(plan.recipe, version, label=label, within=UNDO_WITHIN_S)
    _hold(plan, began)


def _hold(plan: Plan, began: float) -> None:
    settings = live.settings_of(plan.workspace, plan.recipe) or Serving()
    time.sleep(max(0.0, began + settings.hold_s - time.monotonic()))
