"""`segtrail monitor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import RecipeOption


def monitor(
    recipe: RecipeOption,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|s3://...",
            help="What production saw; by default operations.images of the recipe.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as JSON.")] = False,
) -> None:
    """Look at what production saw; say whether to retrain.

    Compares the images with those that the champion learned from, and its answers with those for
    its test images (segtrail data drift). From the severity operations.on_drift on a retraining is
    asked for, but not within operations.cool_down, not beyond operations.budget, and not where no
    new data has come since the last time. It starts nothing itself: a deployed monitor does
    (segtrail deploy). Report and decisions: .segtrail/monitor/RECIPE.

    \b
    Examples:
      segtrail monitor --recipe nuclei --images from-production/
      segtrail monitor --recipe nuclei --images s3://hospital/last-week --json
    """
    import contextlib
    import json
    import sys

    from cli.recorded import recorded
    from components.bucket import download
    from components.drift import drift
    from components.monitor import monitor as decide
    from segtrail.errors import ConfigError
    from segtrail.monitoring import Monitoring
    from segtrail.params import load_recipe
    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    source = images or load_recipe(workspace, recipe).operations.images
    if source is None:
        raise ConfigError(
            f"which images? recipes.{recipe}.operations.images does not say it",
            f"segtrail monitor --recipe {recipe} --images FOLDER",
        )
    kept = Monitoring.of(workspace, recipe)
    progress = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with recorded(workspace, "monitor", recipe=recipe):
        with progress:
            if "://" in source:
                folder = download(source, kept.images)
            else:
                folder = (Path.cwd() if images else workspace.home) / source
            kept.root.mkdir(parents=True, exist_ok=True)
            found = drift(workspace, recipe, images=folder, out=kept.drift, answers=True)
            decision = decide(workspace, recipe, found.result)
        if as_json:
            print(json.dumps(decision, indent=2, sort_keys=True))
            return
        print(found.says)
        print(decision["decision"])
        print(f"report: {kept.report}")
