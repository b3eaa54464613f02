"""Decides whether drift starts a retraining: not too soon, not too often, and not for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from segtrail.monitoring import Monitoring
from segtrail.params import load_recipe
from segtrail.settings.operations import Operations
from segtrail.workspace import Workspace

BUDGET_DAYS = 30
_SEVERITIES = ("none", "moderate", "severe")


def monitor(
    workspace: Workspace, recipe: str, drift: Mapping[str, Any], now: datetime | None = None
) -> dict[str, Any]:
    """Decides, and keeps the decision with the recipe's monitoring.

    Args:
        workspace: Whose.
        recipe: A recipe of `params.yaml`.
        drift: What `components.drift` found: the values of `drift.json`.
        now: By default the present time, in UTC.

    Returns:
        `at`, `severity`, `says` (of the drift), `decision` (in a sentence), `retrain` (whether one
        is to start), `champion` and `data_commit`: the last commit of `data.dvc`, or None.
    """
    at = now or datetime.now(UTC)
    options = load_recipe(workspace, recipe).operations
    kept = Monitoring.of(workspace, recipe)
    data = _data_commit(workspace)
    retrain, decision = decide(options, drift["severity"], data, kept.decisions(), at)
    found = {
        "at": at.isoformat(timespec="seconds"),
        "severity": drift["severity"],
        "says": drift["says"],
        "decision": f"{recipe}: {decision}",
        "retrain": retrain,
        "champion": drift["baseline"]["champion"],
        "data_commit": data,
    }
    kept.add(found)
    return found


def decide(
    options: Operations,
    severity: str,
    data: str | None,
    before: Sequence[Mapping[str, Any]],
    now: datetime,
) -> tuple[bool, str]:
    """Returns whether drift starts a retraining, and why or why not.

    Args:
        options: The recipe's.
        severity: `none`, `moderate`, `severe` or `insufficient evidence`.
        data: The commit of the present data version.
        before: Earlier decisions, the oldest first.
        now: The present time.
    """
    if severity not in _SEVERITIES:
        return False, f"{severity}: no retraining"
    if severity == _SEVERITIES[0]:
        return False, "no drift: no retraining"
    if options.on_drift == "never":
        return False, f"{severity} drift; operations.on_drift is never: no retraining"
    if _SEVERITIES.index(severity) < _SEVERITIES.index(options.on_drift):
        return False, f"{severity}: below operations.on_drift ({options.on_drift}): no retraining"
    asked = [d for d in before if d["retrain"]]
    if asked and data is not None and asked[-1]["data_commit"] == data:
        return False, (
            f"{severity} drift, and the data is what it was when a retraining was asked for on "
            f"{asked[-1]['at'][:10]}: label images like these, and deliver them (segtrail ingest)"
        )
    times = [datetime.fromisoformat(d["at"]) for d in asked]
    free = times[-1] + timedelta(hours=options.cool_down) if times else now
    if free > now:
        return False, (
            f"{severity} drift; operations.cool_down ({options.cool_down:g} h) lasts until "
            f"{free.isoformat(timespec='minutes')}: no retraining yet"
        )
    spent = sum(at > now - timedelta(days=BUDGET_DAYS) for at in times)
    if spent >= options.budget:
        return False, (
            f"{severity} drift; operations.budget ({options.budget} in {BUDGET_DAYS} days) is "
            "spent: no retraining until a person starts it: segtrail retrain"
        )
    return True, f"{severity} drift: a retraining is asked for"


def _data_commit(workspace: Workspace) -> str | None:
    from segtrail import git

    return git.run(workspace.root, "log", "-1", "--format=%H", "--", "data.dvc") or None
