"""`segtrail data erase` and `segtrail data purge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import ByOption, parse_ids

if TYPE_CHECKING:
    from components.erase import Erased

_DatasetOption = Annotated[
    str, typer.Option("--dataset", "-d", metavar="NAME", help="A dataset of params.yaml.")
]


def erase(
    dataset: _DatasetOption,
    ids: Annotated[
        str,
        typer.Option(
            "--ids", metavar="A,B|@FILE", help="Images, or a file that names one in each line."
        ),
    ],
    reason: Annotated[
        str,
        typer.Option("--reason", metavar="TEXT", help="Why, in a line. It stays: name no person."),
    ],
    by: ByOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go and what would remain.")
    ] = False,
) -> None:
    """Erase images, as when somebody withdraws consent.

    Deletes image and mask in every version, and what the stages made of them, from data/, DVC's
    cache and all remotes; leaves a tombstone with the digests and the reason. This cannot be
    undone. What is out of reach, such as models that learnt from them, is listed.

    \b
    Examples:
      segtrail data erase --dataset dsb2018 --ids p17_a,p17_b --reason "consent withdrawn"
      segtrail data erase --dataset dsb2018 --ids @withdrawn.txt --reason "case 12" --dry-run
    """
    from components.erase import erase as run
    from segtrail.workspace import Workspace

    done = run(
        Workspace.find(), dataset, parse_ids(ids), reason=reason, by=by, dry_run=dry_run
    )  # fmt: skip
    if done.before:
        print(f"erased before: {', '.join(done.before)}")
    if not done.images:
        print(f"{dataset}: nothing to erase")
        return
    versions = f" in {done.versions} versions" if done.versions > len(done.images) else ""
    what = f"{len(done.images)} image{'' if len(done.images) == 1 else 's'}{versions}"
    if dry_run:
        print(f"{dataset}: would erase {what}: {done.to_delete} files, with what was made of them")
    else:
        print(f"{dataset}: erased {what} (delivery {done.delivery})")
    _print(done)


def purge(dataset: _DatasetOption) -> None:
    """Delete once more what was erased: in another clone, or when a remote is back.

    Carries out all tombstones of the dataset, in this clone's cache and in all its remotes.

    \b
    Example:
      git pull && segtrail data purge --dataset dsb2018
    """
    from components.erase import purge as run
    from segtrail.workspace import Workspace

    done = run(Workspace.find(), dataset)
    print(f"{dataset}: {len(done.before)} images have a tombstone")
    _print(done)


def _print(done: Erased) -> None:
    for store, count in done.deleted.items():
        print(f"  {store}: {count} files deleted")
    print("not erased:")
    for line in done.remains:
        print(f"  - {line}")
