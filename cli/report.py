"""`segtrail report`: the page about the candidate that the gate judged."""

from __future__ import annotations

from cli.options import RecipeOption
from cli.stages import workspace_of


def report(recipe: RecipeOption) -> None:
    """Write the report on the candidate: one HTML file.

    `segtrail gate` and `segtrail retrain` write it, too.

    \b
    Example:
      segtrail report --recipe nuclei
    """
    from components.report import write_report

    write_report(workspace_of(recipe), recipe)
