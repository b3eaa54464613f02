"""`segtrail data diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from components.data_diff import DataDiff

SHOWN = 10


def diff(
    before: Annotated[
        str | None,
        typer.Argument(
            metavar="[A]",
            help="A git revision, the number of a delivery, or data/ for the files as they lie "
            "there. Default: the version before B.",
            show_default=False,
        ),
    ] = None,
    after: Annotated[str, typer.Argument(metavar="[B]", help="The same.")] = "HEAD",
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "-d",
            metavar="NAME",
            help="A dataset of params.yaml; default: the one that differs.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with thumbnails.")
    ] = None,
    thumbnails: Annotated[
        int,
        typer.Option("--thumbnails", min=0, max=500, help="How many of each kind the page shows."),
    ] = 12,
    every: Annotated[
        bool, typer.Option("--all", help="Print the statistics that did not shift, too.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two versions of a dataset.

    Tells which images were added, removed, replaced (another image), relabelled (another mask)
    or moved to another slice, and how brightness, size, foreground share and objects shifted in
    each slice; what did not shift is counted. Reads DVC's cache; data/ is left alone.

    \b
    Examples:
      segtrail data diff
      segtrail data diff 1 2 --dataset dsb2018 --html diff.html
      segtrail data diff HEAD data/
    """
    import sys
    from contextlib import redirect_stdout

    from components.comparing import report
    from components.data_diff import compare
    from segtrail.files import write_text
    from segtrail.workspace import Workspace

    with redirect_stdout(sys.stderr):  # progress, so that what is asked for can be piped
        found = compare(Workspace.find(), before, after, dataset)
        if html:
            write_text(html, report.html(found, thumbnails))
    if json:
        from json import dumps

        print(dumps(found.to_json(), indent=2, allow_nan=False))
    else:
        _print(found, every)
        if html:
            print(f"\n{html}: {html.stat().st_size / 1e6:.1f} MB")


def _print(found: DataDiff, every: bool) -> None:
    from dataclasses import asdict

    from cli.status import print_table
    from components.comparing.page import columns
    from components.comparing.report import is_changed, rows

    old, new = found.before, found.after
    print(
        f"{new.dataset}: {old.label} ({len(old.images)} images) to {new.label} "
        f"({len(new.images)} images)"
    )
    kinds = asdict(found.changes) | {"relabelled": found.relabelled}
    for kind, images in kinds.items():
        _list(kind, [_words(found, kind, image) for image in images])
    _list("moved", [f"{m.image}: {m.before} to {m.after}" for m in found.moved])
    _list("IN ANOTHER SPLIT", [f"{m.image}: {m.before} to {m.after}" for m in found.dealt_anew])
    _list("not readable", [f"{name}: {why}" for name, why in sorted(found.unread.items())])
    if not found.changes and not found.moved:
        print("no image differs")
        return
    print()
    shifts = found.shifts if every else [shift for shift in found.shifts if is_changed(shift)]
    if shifts:
        print_table(columns(), [row.cells for row in rows(shifts)])
    if hidden := len(found.shifts) - len(shifts):
        print(f"{'others' if shifts else 'all statistics'} unchanged: {hidden} rows, see --all")


def _words(found: DataDiff, kind: str, image: str) -> str:
    agreement = found.agreements.get(image) if kind == "relabelled" else None
    if agreement is None:
        return image
    return (
        f"{image}: IoU {agreement.iou:.3f}, {agreement.objects_before} to "
        f"{agreement.objects_after} objects"
    )


def _list(title: str, lines: list[str]) -> None:
    if not lines:
        return
    print(f"{title}: {len(lines)}")
    for line in lines[:SHOWN]:
        print(f"  {line if line.isprintable() else ascii(line)}")
    if len(lines) > SHOWN:
        print(f"  … and {len(lines) - SHOWN} more")
