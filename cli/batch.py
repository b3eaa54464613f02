"""`segtrail batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import (
    RecipeOption,
    RunnerOption,
    RunnerOptionsOption,
    check_recipe,
    quieten_tensorflow,
    runner_options,
)
from components.transforming.runners import IN_PROCESS


def batch(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="A folder of images, or a text file with a path on each line."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder of results.")],
    recipe: RecipeOption,
    version: Annotated[
        int | None,
        typer.Option(
            "--version", metavar="N", min=1, help="A promoted version, if not the champion."
        ),
    ] = None,
    runner: RunnerOption = IN_PROCESS,
    runner_option: RunnerOptionsOption = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Results of another model, or of images that are gone, may be lost."
        ),
    ] = False,
) -> None:
    """Segment any number of images with Beam: masks and tables.

    Asks the promoted model itself, without a server. Writes OUT/masks, images.parquet (a row an
    image), objects.parquet (a row an object), bad.csv (what could not be segmented, and why; it
    stops nothing) and batch.json (model, code and digests). Run again, it does what is new or
    was changed, and goes on where it was killed. docs/batch.md has the columns, docs/runners.md
    the commands for each runner.

    \b
    Examples:
      segtrail batch plates/ results/ --recipe nuclei
      segtrail batch week-47.txt results/week-47 --recipe nuclei --version 3
      segtrail batch plates/ results/ --recipe nuclei \\
          --runner-option direct_running_mode=multi_processing --runner-option direct_num_workers=8
    """
    options = runner_options(runner_option)

    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    check_recipe(workspace, recipe)
    quieten_tensorflow()

    from cli.recorded import recorded
    from components.batch import batch as run

    with recorded(workspace, "batch", recipe=recipe):
        run(
            workspace,
            recipe,
            source,
            out,
            version=version,
            runner=runner,
            runner_options=options,
            overwrite=overwrite,
        )
