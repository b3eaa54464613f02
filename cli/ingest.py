"""`segtrail ingest`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cli.options import ByOption, parse_ids


class OnBad(StrEnum):
    """What to do when some images of a delivery are bad."""

    reject = "reject"
    quarantine = "quarantine"


def ingest(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A zip or tar archive or a folder; or the word synthetic, which makes images.",
            show_default=False,
        ),
    ] = None,
    *,
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", metavar="NAME", help="A dataset of params.yaml.")
    ],
    by: ByOption = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            help="The delivery's licence (SPDX), if not params.yaml's or the publisher's.",
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Take other content for images that are there, or were removed."
        ),
    ] = False,
    remove_ids: Annotated[
        str | None,
        typer.Option(
            "--remove-ids", metavar="IDS|@FILE", help="Images to take away: a,b,c or a file of ids."
        ),
    ] = None,
    on_bad: Annotated[
        OnBad,
        typer.Option(help="Bad images: let nothing land, or land the others and quarantine them."),
    ] = OnBad.reject,
) -> None:
    """Take a delivery of images and masks into a dataset.

    Checks every file, deals new images to training, validation and test for good, records who
    delivered what, and commits data.dvc. The same delivery again changes nothing. An image keeps
    its split when it is replaced, and when it is removed and comes back.

    The layout is that of the dataset's adapter: see docs/adapters.md.

    \b
    Examples:
      segtrail ingest synthetic --dataset synthetic
      segtrail ingest stage1_train.zip --dataset dsb2018 --by "Core facility" --licence CC0-1.0
      segtrail ingest scans/ --dataset wbc --on-bad quarantine
      segtrail ingest --dataset dsb2018 --remove-ids @withdrawn.txt
    """
    from cli.recorded import recorded
    from components.ingest import ingest as run
    from segtrail.workspace import Workspace

    remove = parse_ids(remove_ids)
    if source is None and not remove:
        raise typer.BadParameter("give a SOURCE to take in, or --remove-ids, or both")
    workspace = Workspace.find()
    with recorded(workspace, "ingest", dataset=dataset):
        delivery = run(
            workspace, dataset, source, by=by, licence=licence, replace=replace,
            remove=remove, on_bad=on_bad.value,
        )  # fmt: skip
        changes = {
            "added": delivery.added, "replaced": delivery.replaced, "removed": delivery.removed,
            "regrouped": delivery.regrouped, "quarantined": delivery.quarantined,
        }  # fmt: skip
        said = ", ".join(
            f"{len(ids)} {what}"
            for what, ids in changes.items()
            if ids or what in ("added", "replaced")
        )
        print(f"{dataset}: {delivery.images} images ({said})")
