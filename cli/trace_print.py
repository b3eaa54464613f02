"""The answers of `segtrail trace`, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from segtrail.words import plain

if TYPE_CHECKING:
    from lineage.data_history import Commit
    from lineage.tracing.answers import CommitFacts, Data, Image
    from lineage.tracing.models import Model
    from segtrail.deliveries import Row

RANGES = ("from", "commit", "data", "to", "commit", "data", "versions", "split", "md5 of the file")
USES = ("model", "the image was in", "its data", "run", "trained at", "served")
MODELS = ("model", "its data", "run", "trained at", "promoted from", "served")
SPLITS = {"train": "train: learned from", "validation": "validation: tuned on",
          "test": "test: judged by", "": "a split that is not known"}  # fmt: skip
STATES = {
    "present": "in the data at HEAD",
    "removed": "removed",
    "erased": "erased",
    "absent": "not in the data at HEAD",
    "unknown": "not known whether it is in the data at HEAD",
}


def image(found: Image) -> None:
    """Prints what is known of an image."""
    print(f"{found.dataset}/{plain(found.image)}: {plain(found.conclusion)}")
    print(f"  found by {found.found_by}")
    print(f"  {STATES[found.state]}{f' {plain(found.why)}' if found.why else ''}")
    if found.delivery:
        row = found.delivery
        source = f"{row.source}, " if row.source else ""
        print(
            f"  came with delivery {row.delivery}: {plain(f'{source}by {row.by}, {row.licence}')}"
        )
    if found.group:
        print(f"  group {plain(found.group)}, slice {plain(found.slice)}")
    splits = list(dict.fromkeys(each.split for each in found.ranges if each.split))
    if len(splits) > 1:
        print(f"  ITS SPLIT CHANGED: {', then '.join(splits)}")
    elif splits:
        print(f"  its split is {splits[0]} in every version that holds it")
    _table(
        RANGES,
        [
            (
                each.first.date[:10], each.first.commit[:10], each.first.data_md5[:10],
                each.last.date[:10], each.last.commit[:10], each.last.data_md5[:10],
                str(each.versions), each.split or "?", each.md5[:10],
            )
            for each in found.ranges
        ],
    )  # fmt: skip
    uses = [(use.model.name, SPLITS[use.split], *_made(use.model)) for use in found.uses]
    _table(USES, [(*use[:5], use[-1]) for use in uses])
    for model in found.unknown:
        why = f"its data version {model.data_md5[:10] or '?'} cannot be read"
        print(f"not known: {model.name}: {plain(model.problem or why)}")
    for line in found.unconfirmed:
        print(f"not in DVC's cache any more: {line}")


def data(found: Data) -> None:
    """Prints what is known of a data version."""
    name = f"{found.dataset} {found.data_md5.removesuffix('.dir')}"
    print(f"{name}: {plain(found.conclusion)}")
    print(f"  {'?' if found.images is None else found.images} images")
    for moment in found.moments:
        print(f"  since {moment.date[:16].replace('T', ' ')}, commit {moment.commit[:10]}")
    for row in found.deliveries:
        print(f"  {_delivery(row)}, +{row.added} ~{row.replaced} -{row.removed}")
    _models(found.models)


def commit(found: CommitFacts) -> None:
    """Prints what is known of a commit."""
    made = found.commit
    tags = f" ({', '.join(found.tags)})" if found.tags else ""
    print(f"{made.revision[:10]}{tags}: {plain(found.conclusion)}")
    print(f"  {made.date[:16].replace('T', ' ')}, {plain(made.author)}: {plain(made.subject)}")
    if found.code:
        print(f"  code as of {found.code.revision[:10]}: {plain(found.code.subject)}")
    for each in found.data:
        images = "?" if each.images is None else each.images
        print(f"  data {each.dataset} {each.data_md5.removesuffix('.dir')}, {images} images")
    if found.problem:
        print(f"  {found.problem}")
    _models([*found.recorded, *(m for m in found.promoted if m not in found.recorded)])


def _models(models: Sequence[Model]) -> None:
    _table(
        MODELS,
        [
            (model.name, *made[:3], model.promoted_from[:10] or "-", made[3])
            for model in models
            for made in [_made(model)]
        ],
    )


def _delivery(row: Row) -> str:
    source = f"{row.source}, " if row.source else ""
    return plain(f"delivery {row.delivery}: {source}by {row.by}")


def _made(model: Model) -> tuple[str, str, str, str]:
    """Returns data, run, commit and service of a model."""
    from lineage.tracing import words

    return (
        model.data_md5[:10] or "?",
        model.mlflow_run[:8] or "?",
        model.trained_at[:10] or "?",
        ", ".join(words.service(each) for each in model.services) or "never",
    )


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from cli.status import print_table

    if rows:
        print()
        print_table(heads, rows)


def unread(commits: Sequence[Commit]) -> None:
    """Prints which data versions could not be looked at."""
    if commits:
        names = ", ".join(commit.revision[:10] for commit in commits[:5])
        more = f" and {len(commits) - 5} more" if len(commits) > 5 else ""
        print(
            f"could not look at {len(commits)} of the data versions, not in DVC's cache: "
            f"{names}{more}\n"
            "  -> dvc fetch --all-commits"
        )
