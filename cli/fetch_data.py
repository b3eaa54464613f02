"""`segtrail fetch-data`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segtrail.errors import EXIT_ERROR

if TYPE_CHECKING:
    from components.fetching.catalogue import PublicSet


def fetch_data(
    dataset: Annotated[
        str | None,
        typer.Argument(help="A public data set; without one, all are listed.", show_default=False),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Where the archive is, if not at its publisher's address."),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="What the archive must have.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FOLDER",
            help="Default: downloads in the workspace.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Download a public data set, or say where to ask for it.

    A download that was interrupted goes on where it stopped. The archive's SHA-256 is recorded
    beside it and checked the next time. Says which command takes the images in.

    \b
    Examples:
      segtrail fetch-data
      segtrail fetch-data dsb2018
      segtrail fetch-data wbc --url https://example.org/segmentation_WBC.zip
    """
    from components.fetch_data import fetch
    from components.fetching.catalogue import look_up
    from segtrail.workspace import Workspace

    if dataset is None:
        return _list()
    public = look_up(dataset)
    folder = to or Path(os.path.relpath(Workspace.find().root / "downloads"))
    fetched = fetch(public, folder, url=url, sha256=sha256)
    if fetched is None:
        print(_instructions(public, folder / public.file))
        raise typer.Exit(EXIT_ERROR)
    how = "as expected" if fetched.checked else "not known before; recorded"
    print(f"{fetched.path}: {'fetched' if fetched.downloaded else 'is here already'}")
    print(f"SHA-256 {fetched.sha256}: {how}")
    print(f"Licence: {public.licence}. Please cite: {public.citation}")
    print(f"Next:\n  {_next(public, fetched.path)}")
    return None


def _list() -> None:
    from cli.status import print_table
    from components.fetching.catalogue import CATALOGUE

    print_table(
        ("dataset", "how", "what", "licence"),
        [
            (item.name, "download" if item.url else "ask", item.title, item.licence)
            for item in CATALOGUE.values()
        ],
    )


def _instructions(public: PublicSet, target: Path) -> str:
    return (
        f"{public.title}: segtrail does not download it, since its publisher's terms come first.\n"
        f"  Where:    {public.page}\n"
        f"  How:      {public.ask}\n"
        f"  Licence:  {public.licence}\n"
        f"  Cite:     {public.citation}\n"
        f"  Save as:  {target}\n"
        f"Then:\n"
        f"  segtrail fetch-data {public.name}   (checks it and records its SHA-256)\n"
        f"  {_next(public, target)}\n"
        f"If you were given a link: segtrail fetch-data {public.name} --url LINK"
    )


def _next(public: PublicSet, path: Path) -> str:
    import shlex

    return f"segtrail ingest {shlex.quote(str(path))} --dataset {public.name}"
