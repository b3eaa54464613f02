"""One delivery: what it did to a dataset, and how that lands and is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from components.ingestion import versioning
from components.ingestion.landing import Landing
from segtrail import deliveries, split_ledger
from segtrail.errors import ConfigError, DataError
from segtrail.progress import say
from segtrail.split_ledger import Ledger
from segtrail.words import near

ERASURE = "erasure"  # the source of a delivery that erases
_TOLD = 20  # ids in a commit message
_LONGEST_LINE = 200


@dataclass(frozen=True)
class Delivery:
    """What one ingestion did.

    Attributes:
        dataset: Its name.
        source: The name of the archive or folder; empty if there was none.
        source_sha256: Its digest.
        added: Ids of new images.
        replaced: Ids of images with other content now; they keep their split.
        removed: Ids of images taken away.
        regrouped: Ids of other images whose group or slice the delivery says anew.
        quarantined: Ids of images that stayed out.
        images: How many the dataset has now.
        commit: The git commit that records it; None if nothing changed.
    """

    dataset: str
    source: str
    source_sha256: str
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    regrouped: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    images: int = 0
    commit: str | None = None

    @property
    def unchanged(self) -> bool:
        """Whether the dataset is what it was."""
        return not (self.added or self.replaced or self.removed or self.regrouped)


def land(
    landing: Landing,
    delivery: Delivery,
    ledger: Ledger,
    files: Mapping[str, bytes],
    *,
    by: str,
    licence: str,
) -> Delivery:
    """Completes what is staged with all that stays, lands and records it.

    Of files that are neither image nor mask, tombstones for one, all stay that are not replaced.

    Args:
        landing: With the new images and masks staged.
        delivery: What it does.
        ledger: The dataset's split ledger from now on.
        files: Other new files of the dataset.
        by: Who delivers.
        licence: Under which.
    """
    folder = landing.workspace.dataset(delivery.dataset)
    before = deliveries.read(folder / deliveries.DELIVERIES)
    present = split_ledger.present(ledger.values())
    for row in present:
        for name, digest in (
            (f"images/{row.image}.png", row.sha256),
            (f"masks/{row.image}.png", row.mask_sha256),
        ):
            if not landing.has(name):
                landing.keep(delivery.dataset, name, digest)
    entry = deliveries.Row(
        len(before) + 1, delivery.source, delivery.source_sha256, by, licence,
        len(delivery.added), len(delivery.replaced), len(delivery.removed),
    )  # fmt: skip
    landing.stage(split_ledger.LEDGER, split_ledger.to_csv(ledger).encode())
    landing.stage(deliveries.DELIVERIES, deliveries.to_csv([*before, entry]).encode())
    for name, data in files.items():
        landing.stage(name, data)
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        if path.is_file() and not landing.has(path.name):
            landing.keep(delivery.dataset, path.name)
    record = partial(versioning.record, landing.workspace)
    commit = landing.commit(delivery.dataset, message(delivery, entry), record)
    return replace(delivery, images=len(present), commit=commit)


def one_line(option: str, said: str, example: str) -> str:
    """Returns what somebody said, which tables and commit messages keep for good, stripped.

    Raises:
        ConfigError: Not one line of 1 to 200 characters that can be shown.
    """
    line = said.strip()
    if not line or not line.isprintable() or len(line) > _LONGEST_LINE:
        raise ConfigError(
            f"{option}: expected one line of 1 to {_LONGEST_LINE} characters; "
            f"found {line[: 2 * _LONGEST_LINE]!a}",
            f'--{option} "{example}"',
        )
    return line


def still_there(dataset: str, ledger: Ledger, images: Sequence[str]) -> tuple[str, ...]:
    """Returns those of some images to remove that are there; tells which were removed before.

    Raises:
        DataError: The dataset never had one of them.
    """
    there = {row.image for row in split_ledger.present(ledger.values())}
    for image in images:
        if image not in ledger:
            raise DataError(
                f"{dataset} has no image {image!r} to remove.{near(image, there)}",
                f"data/{dataset}/{split_ledger.LEDGER} lists what is there",
            )
        if image not in there:
            say(f"{image} was removed by delivery {ledger[image].removed} already")
    return tuple(image for image in images if image in there)


def mark_removed(ledger: Ledger, images: Collection[str], number: int) -> Ledger:
    """Returns the ledger with images marked as removed by delivery `number`."""
    return {
        image: replace(row, removed=str(number)) if image in images else row
        for image, row in ledger.items()
    }


def message(delivery: Delivery, row: deliveries.Row) -> str:
    """Returns the message of the git commit that records a delivery."""
    counts = (
        (row.added, "added"), (row.replaced, "replaced"), (row.removed, "removed"),
        (len(delivery.regrouped), "regrouped"),
    )  # fmt: skip
    images = ", ".join(f"{n} {what}" for n, what in counts if n)
    source = f"{row.source} (sha256 {row.source_sha256[:12]})" if row.source_sha256 else row.source
    verb = "Erase from" if row.source == ERASURE else "Ingest"
    lines = [
        f"{verb} {delivery.dataset}: {images}",
        "",
        f"Delivery {row.delivery}: {source or 'no source'}",
        f"By: {row.by}",
        f"Licence: {row.licence}",
    ]
    for what, ids in (
        ("Replaced", delivery.replaced),
        ("Removed", delivery.removed),
        ("Regrouped", delivery.regrouped),
    ):
        if ids:
            more = f" and {len(ids) - _TOLD} more" if len(ids) > _TOLD else ""
            lines.append(f"{what}: {', '.join(ids[:_TOLD])}{more}")
    return "\n".join(lines) + "\n"
