"""`segtrail data drift`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import RecipeOption

if TYPE_CHECKING:
    from segtrail.errors import SegtrailError


class FailOn(StrEnum):
    """From which severity on the exit code is not 0."""

    insufficient = "insufficient"
    moderate = "moderate"
    severe = "severe"


def drift(
    recipe: RecipeOption,
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Images that production saw; no masks needed."),
    ] = None,
    data_version: Annotated[
        str | None,
        typer.Option(metavar="REV", help="A git revision: what is new in its data."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where the report goes, if not artifacts/RECIPE/drift."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(
            help="Exit with 3 from this severity on; insufficient: with 4 if there are too few "
            "images to tell."
        ),
    ] = None,
) -> None:
    """Compare new images with those that the champion learnt from.

    New are the images of a folder, or those of a data version (by default data/ as it is) that
    the champion's data did not have. Brightness, contrast, colour, sharpness, sizes and, with
    masks, objects are compared for all images and for each slice: Jensen-Shannon distance and
    Kolmogorov-Smirnov. Writes drift.json, plots and report.html. Exits with 0 whatever it
    finds, unless --fail-on says otherwise.

    \b
    Examples:
      segtrail data drift --recipe nuclei --images from-production/
      segtrail data drift --recipe nuclei --data-version HEAD --json
      segtrail data drift --recipe nuclei --images week-47/ --fail-on severe
    """
    from components.drift import drift as run
    from segtrail.workspace import Workspace

    progress = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with progress:
        found = run(Workspace.find(), recipe, images=images, data_version=data_version, out=out)
    failed = _failure(found.severity, found.says, fail_on)
    if as_json:
        import json

        print(json.dumps(found.result, indent=2, sort_keys=True, allow_nan=False))
    else:
        _show(found.slices)
        for note in found.notes:
            print(note)
        unreadable = found.result["new"]["unreadable"]
        if unreadable:
            print(f"{len(unreadable)} could not be read: see {found.report}")
        if failed is None:
            print(found.says)
        print(f"report: {found.report}")
    if failed is not None:
        raise failed


def _show(slices: Iterable[Any]) -> None:
    for found in slices:
        print(found.says)
        for finding in found.findings:
            if finding.severity != "none":
                print(f"  {finding.says}")


def _failure(severity: str, says: str, fail_on: FailOn | None) -> SegtrailError | None:
    """Returns what ends the command, with the verdict, if the severity is to do so."""
    from segtrail.errors import InsufficientEvidenceError, RejectedError

    if fail_on is None:
        return None
    if severity == "severe" or (severity == "moderate" and fail_on != FailOn.severe):
        return RejectedError(says)
    if severity == "insufficient evidence" and fail_on == FailOn.insufficient:
        return InsufficientEvidenceError(says)
    return None
