"""`segtrail augment`: a page of augmented samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import RecipeOption
from cli.stages import workspace_of
from segtrail.quiet import import_quietly


def augment(
    recipe: RecipeOption,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The PNG; by default artifacts/RECIPE/augmented.png."),
    ] = None,
) -> None:
    """Draw a page of augmented samples.

    Training tiles as augmentation changes them, masks outlined. Look at it before a long
    training: a mask that leaves its object, or a nucleus that no longer looks like one, is seen
    at a glance. Needs the recipe's tiles (`segtrail transform`).

    Not shown are brightness and contrast, which change normalised numbers, and inversion: the
    pictures have the image's own levels.

    \b
    Example:
      segtrail augment --recipe nuclei
    """
    workspace = workspace_of(recipe)
    import_quietly("components.augment").augment(workspace, recipe, out)
