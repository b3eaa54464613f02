"""`segtrail retrain` and `segtrail deploy`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AllowDirtyOption, ByOption, RecipeOption
from segtrail.workspace import Workspace


def retrain(
    recipe: RecipeOption,
    allow_dirty: AllowDirtyOption = False,
    by: ByOption = None,
    canary: Annotated[
        bool,
        typer.Option("--canary", help="Show it as RECIPE-canary in the end; do not promote it."),
    ] = False,
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Stop before promotion; a person promotes.")
    ] = False,
) -> None:
    """Run what changed of the pipeline, then gate and promote.

    A crash loses nothing that finished: run it again. Exit code 0: the model serves, is out as a
    canary, or waits for its promotion; 3: the gate said fail; 4: the gate said insufficient
    evidence.

    \b
    Examples:
      segtrail retrain --recipe demo
      segtrail retrain --recipe nuclei --by "Ada"
      segtrail retrain --recipe nuclei --canary
      segtrail retrain --recipe nuclei --no-promote && segtrail promote --recipe nuclei
    """
    from flows import terminal
    from segtrail.params import load_recipe

    if canary and no_promote:
        raise typer.BadParameter("--canary and --no-promote exclude each other; give one of them")
    workspace = Workspace.find()
    load_recipe(workspace, recipe)
    if terminal.already_done(workspace, recipe):
        return
    options = ["--recipe", recipe, *(["--allow-dirty"] if allow_dirty else [])]
    if canary or no_promote:
        options += ["--last-step", "canary" if canary else "judge"]
    code = terminal.retrain(workspace, [*options, *(["--by", by] if by else [])])
    raise typer.Exit(code)


def deploy(
    recipe: RecipeOption,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            "--cron",
            help='Of the retraining: a cron line, or an interval such as "12h"; by default '
            "operations.retrain of the recipe.",
        ),
    ] = None,
    work_pool: Annotated[
        str, typer.Option("--work-pool", help="A Prefect work pool; a process pool if absent.")
    ] = "segtrail",
) -> None:
    """Retrain, ingest and monitor by themselves, on a worker.

    Registers the flows of the recipe and of its dataset with the Prefect server of segtrail up,
    which has a worker too, or with the one that PREFECT_API_URL names; again updates them. What
    runs when, what starts a retraining besides, retries and time-outs are the recipe's operations
    and the dataset's inbox in params.yaml. The worker runs them in clones and on branches of its
    own. See docs/operations.md.

    \b
    Examples:
      segtrail up
      segtrail deploy --recipe nuclei --schedule "0 3 * * 1"
    With a server of your own:
      export PREFECT_API_URL=http://127.0.0.1:4200/api
      segtrail deploy --recipe nuclei --schedule "0 3 * * 1"
      prefect worker start --pool segtrail
    """
    from flows.deploy import deploy as run
    from segtrail.params import load_recipe

    workspace = Workspace.find()
    load_recipe(workspace, recipe)
    run(workspace, recipe, schedule, work_pool)
