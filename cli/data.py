"""`segtrail data`: what the data was, is, and how it differs."""

from __future__ import annotations

import typer

from cli import data_baseline, data_diff, data_drift, data_erase, data_leaks, data_log

app = typer.Typer(
    name="data",
    help="""Versions of the data: list, compare, watch, erase.

    \b
    Examples:
      segtrail data log
      segtrail data diff HEAD~1 HEAD --html diff.html
      segtrail data leaks --dataset dsb2018
      segtrail data drift --recipe nuclei --images from-production/
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _command in (
    data_log.log, data_diff.diff, data_leaks.leaks, data_drift.drift, data_baseline.baseline,
    data_erase.erase, data_erase.purge,
):  # fmt: skip
    app.command()(_command)
