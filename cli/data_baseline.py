"""`segtrail data baseline`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import RecipeOption


def baseline(
    recipe: RecipeOption,
    update: Annotated[
        bool, typer.Option("--update", help="Replace the baseline that is there.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Keep what a dataset's images look like, for validation to compare with.

    Infers columns, slices, classes and ranges from the recipe's examples, shows what differs
    from expectations/<dataset>.json, asks, and writes that file. Commit it.

    \b
    Examples:
      segtrail data baseline --recipe nuclei
      segtrail data baseline --recipe nuclei --update
    """
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from components.baseline import propose_baseline
    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    proposal = propose_baseline(workspace, recipe)
    path = proposal.path.relative_to(workspace.root).as_posix()
    if not proposal.changes:
        print(f"{path}: nothing differs")
        return
    table = Table(box=SIMPLE)
    for header in ("field", "was", "is"):
        table.add_column(header, overflow="fold")
    for change in proposal.changes:
        table.add_row(*(Text(value) for value in change))
    console = Console()
    console.print(table)
    if proposal.was is not None and not update:
        print(f"{path}: not changed")
        print(f"  -> to replace it: segtrail data baseline --recipe {recipe} --update")
        return
    if not yes:
        typer.confirm(f"Write {path}?", abort=True)
    proposal.write()
    print(f"{path}: the baseline of {proposal.now.images} images")
    print(f"  -> git add {path} && git commit")
