"""`segtrail data erase` and `segtrail data purge`."""

from __future__ import annotations

import sys
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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: for scripts.")] = False,
) -> None:
    """Erase images, as when somebody withdraws consent.

    Deletes image and mask in every version, and what the stages made of them, from data/, DVC's
    cache and all remotes; leaves a tombstone with the digests and the reason. This cannot be
    undone, so it shows what would go, and asks. What is out of reach, such as models that learnt
    from them, is listed; segtrail trace image tells when those served.

    \b
    Examples:
      segtrail data erase --dataset dsb2018 --ids p17_a,p17_b --reason "consent withdrawn"
      segtrail data erase --dataset dsb2018 --ids @withdrawn.txt --reason "case 12" --dry-run
    """
    from components.erase import erase as run
    from segtrail.errors import ConfigError
    from segtrail.workspace import Workspace

    workspace, images = Workspace.find(), parse_ids(ids)
    ask = not yes and not dry_run
    if ask and not sys.stdin.isatty():
        raise ConfigError(
            "an erasure cannot be undone, and there is no terminal to ask in: nothing was erased",
            "--yes erases without asking; --dry-run shows what would go",
        )
    if ask or dry_run:
        planned = run(workspace, dataset, images, reason=reason, by=by, dry_run=True)
        if not _is_something(planned):
            return
        what = _what(planned)
        print(f"{dataset}: would erase {what}: {planned.to_delete} files of DVC's")
        _print(planned, "would delete")
        if dry_run:
            return
        typer.confirm(f"Erase {what} of {dataset}? This cannot be undone.", abort=True)
    done = run(workspace, dataset, images, reason=reason, by=by)
    if ask or _is_something(done):
        print(f"{dataset}: erased {_what(done)} (delivery {done.delivery})")
        _print(done, "deleted")


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
    print(f"{dataset}: {_count(len(done.before), 'image')} with a tombstone")
    _print(done, "deleted")


def _is_something(erased: Erased) -> bool:
    """Says which images were erased before; returns whether others are left."""
    if erased.before:
        print(f"erased before: {', '.join(erased.before)}")
    if not erased.images:
        print(f"{erased.dataset}: nothing to erase")
    return bool(erased.images)


def _what(erased: Erased) -> str:
    images = _count(len(erased.images), "image")
    more = erased.versions > len(erased.images)
    return f"{images} ({_count(erased.versions, 'content')})" if more else images


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _print(done: Erased, deleted: str) -> None:
    for store, count in done.deleted.items():
        print(f"  {store}: {_count(count, 'file')} deleted")
    for line in done.copies:
        print(f"  {deleted}: {line}")
    if done.stages:
        print(f"  leave dvc.lock and run again: {', '.join(done.stages)}")
    print("not erased:")
    for line in done.remains:
        print(f"  - {line}")
