"""`segtrail tune`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import RecipeOption
from segtrail.workspace import Workspace


def tune(
    recipe: RecipeOption,
    trials: Annotated[
        int,
        typer.Option(
            min=1, help="How many the study has in the end; those of earlier calls count."
        ),
    ] = 20,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Training steps of a trial; by default the recipe's."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="MIN", help="Begin no trial after so many minutes."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler.")] = 1,
    new: Annotated[
        bool, typer.Option("--new", help="Begin another study; the one before is kept.")
    ] = False,
    write: Annotated[
        bool,
        typer.Option("--write", help="Put the winner into params.yaml if it is surely better."),
    ] = False,
    repeats: Annotated[
        int,
        typer.Option(
            min=3, max=20, help="With --write: trainings with fresh seeds that judge the winner."
        ),
    ] = 3,
) -> None:
    """Search settings that score better on the validation tiles.

    A search that was killed goes on when the command is run again. What is searched stands in
    docs/tuning.md and can be replaced under `tuning:` of a recipe. Exit code 3 with --write:
    the winner is not surely better, and params.yaml stays as it is.

    \b
    Examples:
      segtrail tune --recipe nuclei --trials 30 --steps 400
      segtrail tune --recipe nuclei --trials 30 --steps 400 --write
    """
    from components.tune import Options
    from components.tune import tune as run

    run(Workspace.find(), recipe, Options(trials, steps, timeout, seed, new, write, repeats))
