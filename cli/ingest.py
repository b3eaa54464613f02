"""`segtrail ingest`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import ByOption


def ingest(
    source: Annotated[
        str,
        typer.Argument(help="An archive or a folder; or the word synthetic, which makes images."),
    ],
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", metavar="NAME", help="A dataset of params.yaml.")
    ],
    by: ByOption = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", help="The delivery's licence (SPDX), if not params.yaml's."),
    ] = None,
) -> None:
    """Take a delivery of images and masks into a dataset.

    Checks every file, deals new images to training, validation and test for good, records who
    delivered what, and commits data.dvc. The same delivery again changes nothing.

    \b
    Examples:
      segtrail ingest synthetic --dataset synthetic
      segtrail ingest stage1_train.zip --dataset dsb2018 --by "Core facility" --licence CC0-1.0
    """
    from components.ingest import ingest as run
    from segtrail.workspace import Workspace

    delivery = run(Workspace.find(), dataset, source, by=by, licence=licence)
    print(
        f"{dataset}: {delivery.images} images ({len(delivery.added)} added, "
        f"{len(delivery.replaced)} replaced)"
    )
