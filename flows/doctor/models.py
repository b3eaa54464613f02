"""Part of the section `servers`: which version each recipe's model server answers with."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from flows.doctor.findings import Finding, State, ok
from flows.doctor.here import Here
from lineage import history, ledger
from lineage.ledger import Entry
from segtrail.errors import LineageError, ServingError
from segtrail.recipe import Recipe
from segtrail.workspace import Workspace
from serving.endpoint import Endpoint
from serving.failures import TlsError

_ASK_S = 1.0


def served(here: Here) -> Iterator[Finding]:
    """Tells for each recipe whether its server serves the champion of its ledger."""
    found: list[tuple[str, Recipe, list[Entry], int]] = []
    without = []
    for name, recipe in sorted(here.recipes.items()):
        with suppress(LineageError):  # the section of segtrail tells it
            entries = ledger.read(here.workspace.ledger(name))
            champion = ledger.champion(entries)
            if champion is None or champion.version is None:
                without.append(name)
            else:
                found.append((name, recipe, entries, champion.version))
    if without:
        what = f"nothing is promoted of {', '.join(without)}"
        yield Finding(State.NOT_SET_UP, what, f"segtrail retrain --recipe {without[0]}")
    if found:
        with ThreadPoolExecutor(len(found)) as pool:
            yield from pool.map(partial(_recipe, here.workspace), *zip(*found, strict=True))


def _recipe(
    workspace: Workspace, name: str, recipe: Recipe, entries: list[Entry], wanted: int
) -> Finding:
    if problem := history.disagreement(workspace, name, entries):
        return Finding(State.BROKEN, f"{name}: {problem.message}", problem.hint)
    return _server(workspace, name, recipe, wanted)


def _server(workspace: Workspace, name: str, recipe: Recipe, wanted: int) -> Finding:
    target = recipe.serving.target
    try:
        with Endpoint.of(recipe.serving, name, workspace.home).client(_ASK_S) as client:
            states = client.status(name)
    except TlsError as e:
        return Finding(State.BROKEN, f"{name}: {target}: {e.found}", e.hint)
    except ServingError as e:
        if "not served" in e.message:
            what = f"{name}: the server at {target} does not serve it; the champion is v{wanted}"
            return Finding(State.BROKEN, what, "segtrail serve   (with this workspace's store)")
        return Finding(
            State.WARNING,
            f"{name}: no model server answers at {target}; the champion is v{wanted}",
            "segtrail serve   (or: segtrail up)",
        )
    serves = sorted(version for version, state in states.items() if state == "AVAILABLE")
    if serves == [wanted]:
        return ok(f"{name}: {target} serves the champion, v{wanted}")
    found = ", ".join(f"v{version}" for version in serves) or "no version yet"
    if wanted in serves or not serves:
        return Finding(
            State.WARNING,
            f"{name}: {target} serves {found}; the champion is v{wanted}",
            "segtrail status   (it may still be loading)",
        )
    return Finding(
        State.BROKEN,
        f"{name}: {target} serves {found}, but the ledger's champion is v{wanted}",
        f"segtrail audit {name} --target {target}",
    )


CHECKS = (served,)
