"""`segtrail promote` and `rollback`, and the ledger entry about a rejected candidate."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AllowDirtyOption, ByOption, RecipeOption
from segtrail.workspace import Workspace


def promote(
    recipe: RecipeOption,
    by: ByOption = None,
    allow_dirty: AllowDirtyOption = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Only bring a cut-short promotion to an end.")
    ] = False,
) -> None:
    """Make the candidate that passed the gate serve.

    Registers it with MLflow, puts it into the model store with its provenance, switches
    serving/models.config, which servers poll, and writes the ledger.

    \b
    Examples:
      segtrail promote --recipe demo
      segtrail promote --recipe demo --recover
    """
    from components import promote as component

    workspace = Workspace.find()
    if recover:
        lines = component.recover(workspace, recipe)
        print("\n".join(lines or [f"{recipe}: nothing to recover"]))
        return
    done = component.promote(workspace, recipe, by=by, allow_dirty=allow_dirty)
    print("\n".join(done.says))


def rollback(
    recipe: RecipeOption,
    version: Annotated[int, typer.Argument(help="A version that served before.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the ledger keeps it.")],
    by: ByOption = None,
) -> None:
    """Make a version that served before serve again.

    \b
    Example:
      segtrail rollback 3 --recipe nuclei --reason "v4 misses mitotic cells"
    """
    from components import promote as component

    done = component.rollback(Workspace.find(), recipe, version, reason=reason, by=by)
    print("\n".join(done.says))


def reject(recipe: RecipeOption, by: ByOption = None) -> None:
    """Write into the ledger that the gate, or its limits, turned the candidate down.

    \b
    Example:
      segtrail reject --recipe demo
    """
    from components import promote as component
    from lineage import verdicts

    workspace = Workspace.find()
    entry = component.reject(workspace, recipe, verdicts.read(workspace, recipe), by=by)
    print(
        f"{recipe}: the rejection is entry {entry.seq} of the ledger"
        if entry
        else f"{recipe}: the ledger says so already"
    )
