"""`segtrail data leaks`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from components.leaks import Leaks

SHOWN = 20


def leaks(
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", metavar="NAME", help="A dataset of params.yaml.")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with thumbnails.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for images of one specimen in different splits.

    Compares all images of data/ afresh: same content, near duplicates (re-encoded, re-scaled,
    turned), overlapping crops, neighbouring crops of one field, and the ledger's own groups.

    \b
    Examples:
      segtrail data leaks --dataset dsb2018
      segtrail data leaks --dataset dsb2018 --html leaks.html
    """
    import sys
    from contextlib import redirect_stdout

    from components.leaks import find_leaks, write_page
    from segtrail.workspace import Workspace

    workspace = Workspace.find()
    with redirect_stdout(sys.stderr):  # progress, so that what is asked for can be piped
        found = find_leaks(workspace, dataset)
        if html:
            write_page(workspace, found, html)
    if json:
        from json import dumps

        print(dumps(found.to_json(), indent=2, allow_nan=False))
        return
    _print(found)
    if html:
        print(f"\n{html}: {html.stat().st_size / 1e6:.1f} MB")


def _print(found: Leaks) -> None:
    from cli.status import print_table

    print(f"{found.dataset}: {found.images} images in {found.groups} groups")
    for kind, count in found.within.items():
        print(f"in one split, as it should be: {count} pair{'' if count == 1 else 's'}, {kind}")
    if not found.leaks:
        print("no two images that look as if of one specimen are in different splits")
        return
    count = len(found.leaks)
    print(f"IN DIFFERENT SPLITS: {count} pair{'' if count == 1 else 's'}\n")
    print_table(
        ("kind", "score", "split", "image", "split", "image"),
        [
            (leak.kind, f"{leak.score:.3f}", leak.first_split, leak.first, leak.second_split,
             leak.second)
            for leak in found.leaks[:SHOWN]
        ],
    )  # fmt: skip
    if len(found.leaks) > SHOWN:
        print(f"… and {len(found.leaks) - SHOWN} more: --html FILE shows them, --json lists them")
