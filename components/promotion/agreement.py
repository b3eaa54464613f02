"""Whether the ledger of this checkout is the one that what serves was promoted by.

Serving configuration, store and MLflow are shared between a workspace and its workers' clones;
each has its own checkout of the ledger, which git brings together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from components import registry
from components.promotion.plan import LED_FROM, Plan
from lineage import ledger
from lineage.ledger import Entry
from segtrail.errors import LineageError, ServingError
from segtrail.settings.serving import canary_of
from segtrail.workspace import Workspace
from serving import config


def serving_version(workspace: Workspace, name: str, entries: Sequence[Entry]) -> int | None:
    """Returns the version that the serving configuration names, None if it names none.

    Args:
        workspace: The workspace.
        name: The recipe.
        entries: Its ledger in this checkout; empty when there is none.

    Raises:
        LineageError: It is neither the version that the ledger ends with nor the one that an
            open intent was bringing to service: this ledger is not the newest there is.
    """
    version = config.champion(workspace.models_config, name)
    _require_known(workspace, str(workspace.models_config), name, version, entries)
    return version


def shown_canary(workspace: Workspace, name: str, entries: Sequence[Entry]) -> int | None:
    """Returns the version that the serving configuration names as the recipe's canary, or None.

    None also for one that is out, by the ledger, and was lost.

    Args:
        workspace: The workspace.
        name: The recipe.
        entries: Its ledger in this checkout.

    Raises:
        LineageError: It is not the ledger's, nor one that was out, or on its way, before.
    """
    path, out = workspace.models_config, ledger.canary(entries)
    shown = config.canary(path, name)
    events = (ledger.CANARY_INTENT, ledger.CANARY)
    if out is None and any(e.event in events and e.version == shown for e in entries):
        return shown  # one that ended: a crash left it
    if shown == (out.version if out else None):
        return shown
    if shown is None and out is not None and _is_lost(Plan.of_intent(workspace, out)):
        return None
    raise _older(
        workspace,
        name,
        f"{path}: names {f'v{shown}' if shown else 'no version'} as canary of {name}; the ledger "
        f"in this checkout tells of {f'v{out.version}' if out else 'none'}",
    )


def require_newest(workspace: Workspace, name: str) -> list[Entry]:
    """Returns the ledger, once its chain holds and nothing there shows that it is an older one.

    What is lost (serving configuration, MLflow, the store) shows nothing.

    Raises:
        LineageError: The chain does not hold; or see `serving_version` and `shown_canary`.
    """
    path = workspace.ledger(name)
    if path.exists() and (problems := ledger.verify(path)):
        raise LineageError(f"{path}: {problems[0]}", f"segtrail audit {name}")
    entries = ledger.read(path)
    try:
        serving_version(workspace, name, entries)
        shown_canary(workspace, name, entries)
    except ServingError:  # it cannot be read
        alias = _if_there(registry.champion, workspace, name)
        _require_known(workspace, "MLflow's alias champion", name, alias, entries)
    return entries


def restore_config(workspace: Workspace) -> list[str]:
    """Writes a lost or unreadable serving configuration anew, for every recipe at once.

    A server that polls the file never sees one that leaves a recipe out.

    Returns:
        What was done; nothing when the file can be read, or is not there and nothing served.

    Raises:
        LineageError: A ledger does not verify, or MLflow's alias names a version that the
            ledger in this checkout does not; nothing is written.
    """
    path = workspace.models_config
    lines = []
    if path.exists():
        try:
            config.read(path)
            return []
        except ServingError as e:
            lines.append(f"{e.message}; kept as {path.name}.unreadable")
    champions, canaries, lacking = _served(workspace)
    if lines:
        aside = path.with_name(path.name + ".unreadable")
        aside.unlink(missing_ok=True)
        os.link(path, aside)
    elif not champions:
        return []
    config.write_anew(path, _places(champions), _places(canaries))
    lines += [f"{p.recipe}: serving configuration names v{p.version}" for p in champions]
    lines += [f"{canary_of(p.recipe)}: it names v{p.version}" for p in canaries]
    return lines + [f"{p.recipe}: left out: {lacks(p)}" for p in lacking]


def lacks(plan: Plan, as_what: str = "champion") -> str:
    """Returns the words for a champion, or a canary, that the store does not hold."""
    path = plan.ledger.relative_to(plan.workspace.root).as_posix()
    return f"the store lacks v{plan.version} of {plan.recipe}, which {path} names as {as_what}"


def _is_lost(canary: Plan) -> bool:
    """Whether the configuration lacks a canary that is out: one that was ended has no alias."""
    alias = _if_there(registry.canary, canary.workspace, canary.recipe)
    return alias == canary.version or not canary.is_stored()


def _if_there(
    asked: Callable[[Workspace, str], int | None], workspace: Workspace, name: str
) -> int | None:
    """Returns what MLflow says, None where it says nothing or is lost."""
    try:
        return asked(workspace, name)
    except LineageError:
        return None


def _places(plans: Sequence[Plan]) -> dict[str, tuple[Path, int]]:
    return {plan.recipe: (plan.folder.parent, plan.version) for plan in plans}


def _served(workspace: Workspace) -> tuple[list[Plan], list[Plan], list[Plan]]:
    """Returns the ledgers' champions and canaries that the store holds whole, and the others."""
    names = set(workspace.ledgers())
    stored = {p.name for p in workspace.models.glob("[!.]*") if p.is_dir()}
    champions: list[Plan] = []
    canaries: list[Plan] = []
    lacking: list[Plan] = []
    for name in sorted(names | stored):
        path = workspace.ledger(name)
        if path.exists() and (problems := ledger.verify(path)):
            raise LineageError(f"{path}: {problems[0]}", f"segtrail audit {name}")
        entries = ledger.read(path)
        if name in stored:
            alias = registry.champion(workspace, name)
            _require_known(workspace, "MLflow's alias champion", name, alias, entries)
        found = ((ledger.champion(entries), champions), (ledger.canary(entries), canaries))
        for entry, whole in found:
            if entry is not None:
                plan = Plan.of_intent(workspace, entry)
                if plan.is_stored():
                    whole.append(plan)
                elif whole is champions:
                    lacking.append(plan)
    return champions, canaries, lacking


def _require_known(
    workspace: Workspace, what: str, name: str, version: int | None, entries: Sequence[Entry]
) -> None:
    current, intent = ledger.champion(entries), ledger.open_intent(entries)
    if intent is not None and intent.event == ledger.CANARY_INTENT:
        intent = None
    known = {e.version for e in (current, intent, ledger.retirement(entries)) if e}
    if intent is not None:
        known.add(intent.details.get(LED_FROM))
    if version is None or version in known:
        return
    ends = f"ends with v{current.version}" if current else "names no version that served"
    says = f"{what}: names {name} v{version}; the ledger in this checkout {ends}"
    raise _older(workspace, name, says)


def _older(workspace: Workspace, name: str, says: str) -> LineageError:
    if workspace.root != workspace.home:  # a worker's clone: what it merges at its start is older
        return LineageError(
            f"{says}; that of {workspace.home} may be newer: what serves was changed there "
            "while this run went on",
            "run it again: a deployed run begins by merging it",
        )
    return LineageError(
        f"{says}; the branch segtrail/{name}, on which a deployed worker promotes, may have the "
        "newer one",
        f"git merge segtrail/{name}   (or the branch whose ledger is newer)",
    )
