"""`segtrail data log`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtrail.words import plain

if TYPE_CHECKING:
    from lineage.data_history import Version

HEADS = (
    "date", "commit", "dataset", "hash", "delivery", "images", "train", "validation", "test",
    "added", "replaced", "removed", "by",
)  # fmt: skip
SPLITS = ("train", "validation", "test")


def log(
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", "-d", metavar="NAME", help="A dataset of params.yaml; default: all."
        ),
    ] = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, help="How many versions; 0 for all.")
    ] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the versions of the data, newest first.

    From git's history of data.dvc and DVC's cache. "replaced" counts images with other content
    or another mask. Of a version that is not in the cache only the commit and the hash are known.

    \b
    Examples:
      segtrail data log
      segtrail data log --dataset dsb2018 --json
    """
    from lineage.data_history import versions
    from segtrail import telemetry
    from segtrail.params import load_dataset
    from segtrail.workspace import Workspace

    telemetry.switch_off()
    workspace = Workspace.find()
    if dataset:
        load_dataset(workspace, dataset)
    found = versions(workspace.root, dataset)
    shown = list(islice(found, last)) if last else list(found)
    if json:
        _print_json(shown)
        return
    from cli.status import print_table

    if not shown:
        print("no version yet; segtrail ingest makes the first")
        return
    print_table(HEADS, [_row(version) for version in shown])
    if last and next(found, None) is not None:
        print(f"… older ones: segtrail data log --last {10 * last}")


def _row(version: Version) -> tuple[str, ...]:
    commit = version.commit
    known = (
        commit.date[:16].replace("T", " "), commit.revision[:10], version.dataset or "all",
        version.dvc_md5[:10] or "?",
    )  # fmt: skip
    if version.problem and not version.images:
        return (*known, *["?"] * 8, plain(version.problem))
    numbers = [str(row.delivery) for row in version.deliveries]
    by = dict.fromkeys(row.by for row in version.deliveries)
    return (
        *known,
        ", ".join(numbers) or "-",
        str(version.images),
        *(str(version.splits.get(split, 0)) if not version.problem else "?" for split in SPLITS),
        *_changes(version),
        plain(version.problem or ", ".join(by) or f"{commit.author} (by hand)"),
    )


def _changes(version: Version) -> tuple[str, str, str]:
    """Returns added, replaced and removed: by content, or else as the delivery says."""
    if version.changes is not None:
        found = version.changes
        replaced = len(found.replaced) + len(found.relabelled)
        return f"+{len(found.added)}", f"~{replaced}", f"-{len(found.removed)}"
    if not version.deliveries:
        return "?", "?", "?"
    rows = version.deliveries
    return (
        f"+{sum(row.added for row in rows)}",
        f"~{sum(row.replaced for row in rows)}",
        f"-{sum(row.removed for row in rows)}",
    )


def _print_json(versions: list[Version]) -> None:
    from dataclasses import asdict
    from json import dumps

    def one(version: Version) -> dict[str, Any]:
        changes = version.changes
        return asdict(version) | {
            "splits": dict(version.splits),
            "changes": {kind: len(images) for kind, images in asdict(changes).items()}
            if changes is not None
            else None,
        }

    print(dumps([one(version) for version in versions], indent=2))
