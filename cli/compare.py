"""`segtrail compare`: two models of a recipe side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import RecipeOption
from cli.stages import workspace_of

_HELP = "candidate, champion, a version such as v3, or run:ID of MLflow."


def compare(
    recipe: RecipeOption,
    ours: Annotated[str, typer.Argument(metavar="A", help=_HELP)] = "candidate",
    theirs: Annotated[str, typer.Argument(metavar="B", help=_HELP)] = "champion",
) -> None:
    """Put two models side by side on the same test images.

    Writes one HTML file and prints what differs. A stored model is scored anew when the test
    images changed since. A run that was never promoted is found by its MLflow id, or how that
    begins, for as long as git has its dvc.lock and DVC's cache its files.

    \b
    Examples:
      segtrail compare --recipe nuclei
      segtrail compare v3 v2 --recipe nuclei
      segtrail compare run:4f3a9c run:81d2 --recipe nuclei
    """
    from components.compare import compare as run

    run(workspace_of(recipe), recipe, ours, theirs)
