"""Reads the items of a delivery, several at a time, and stages what may land."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from components.ingestion.adapter import Adapter, Item
from components.ingestion.archive import Source
from components.ingestion.clusters import modality
from components.ingestion.dealing import Arrival
from components.ingestion.fingerprints import fingerprint
from components.ingestion.problems import Problems
from segtrail import png
from segtrail.ahead import in_threads
from segtrail.errors import DataError
from segtrail.files import sha256_bytes
from segtrail.image_statistics import image_statistics
from segtrail.images import MAX_LABEL
from segtrail.progress import track
from segtrail.split_ledger import Ledger, Row

_WORKERS = min(4, os.cpu_count() or 1)  # decoding and hashing let other threads run


@dataclass(frozen=True)
class Checked:
    """An image that may land.

    Attributes:
        arrival: Its row of the ledger, without group, cluster and split, and what they rest on.
        image: The PNG file to land.
        mask: The PNG file of its mask.
        overlap: The most pixels that one of its instances shares with others.
        note: What was mended of its mask.
    """

    arrival: Arrival
    image: bytes
    mask: bytes
    overlap: int
    note: str


@dataclass(frozen=True)
class Erased:
    """An image that was erased: it must not land, nor be kept, whatever its mask is like."""

    image: str


@dataclass
class Intake:
    """What was found in a delivery.

    Attributes:
        arrivals: New images, and those with other content or another mask than in the ledger.
        held_back: Images that were removed from the dataset and are left out.
        erased: Images that were erased, under this or another id, and are left out.
        overlaps: Of images with overlapping instances, the most pixels that one shares.
        notes: What was mended of masks.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    held_back: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    overlaps: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_all(
    source: Source,
    items: Iterable[Item],
    adapter: Adapter,
    ledger: Ledger,
    problems: Problems,
    stage: Callable[[str, bytes], None],
    *,
    erased: Collection[str] = (),
    erased_ids: Collection[str] = (),
    bring_back: bool = False,
) -> Intake:
    """Checks all items and stages those that are new or other than in the ledger.

    Memory does not grow with their number, but for a row each.

    Args:
        source: Where they are.
        items: What `adapter.find` found.
        adapter: How to read them.
        ledger: What is there.
        problems: Gets what is wrong.
        stage: Takes `images/<id>.png` and `masks/<id>.png`.
        erased: SHA-256 of the images that must never come back.
        erased_ids: Their ids, which no other image gets: it might be the same one, re-encoded.
        bring_back: Take in images that were removed before.
    """
    intake = Intake()
    wanted = []
    for item in items:
        old = ledger.get(item.id)
        if item.id in erased_ids:
            intake.erased.append(item.id)
        elif old and old.removed and not bring_back:
            intake.held_back.append(item.id)
        else:
            wanted.append(item)
    results = in_threads(
        lambda item: _check(source, item, adapter, erased, problems), wanted, _WORKERS
    )
    for checked in track(results, f"checking the images of {source.name}", total=len(wanted)):
        if isinstance(checked, Erased):
            intake.erased.append(checked.image)
            continue
        if checked is None:
            continue
        row = checked.arrival.row
        old = ledger.get(row.image)
        if old and not old.removed and _same(old, row):
            continue
        stage(f"images/{row.image}.png", checked.image)
        stage(f"masks/{row.image}.png", checked.mask)
        intake.arrivals.append(checked.arrival)
        if checked.overlap:
            intake.overlaps.append(checked.overlap)
        if checked.note:
            intake.notes.append(checked.note)
    return intake


def _same(old: Row, new: Row) -> bool:
    return (old.sha256, old.mask_sha256) == (new.sha256, new.mask_sha256)


def _check(
    source: Source, item: Item, adapter: Adapter, erased: Collection[str], problems: Problems
) -> Checked | Erased | None:
    """Returns an item as it would land, or None after noting what is wrong with it."""
    try:
        delivered = adapter.read_image(source, item)
        digest = sha256_bytes(delivered.png)
        if digest in erased:
            return Erased(item.id)
        mask = adapter.read_mask(source, item, delivered.pixels.shape[:2], problems)
        if mask is None:
            return None
        if (most := int(mask.values.max())) > MAX_LABEL:
            raise DataError(f"{item.image}: its mask has the value {most:,}; at most {MAX_LABEL:,}")
    except DataError as e:
        named = [n for n in (item.image, *item.masks) if e.message.startswith(f"{n}: ")]
        where = named[0] if named else item.image
        problems.add(where, e.message.removeprefix(f"{where}: "), e.hint or "", item.id)
        return None
    mask_png = png.encode(mask.values.astype("uint16"))
    statistics = image_statistics(delivered.pixels)
    row = Row(
        image=item.id,
        sha256=digest,
        mask_sha256=sha256_bytes(mask_png),
        delivered_sha256=delivered.sha256,
        slice=item.slice or modality(delivered.pixels, statistics),
        group=item.group,
    )
    arrival = Arrival(row, fingerprint(delivered.pixels), statistics)
    return Checked(arrival, delivered.png, mask_png, mask.overlap, mask.note)


def numbered(arrivals: Iterable[Arrival], delivery: int) -> list[Arrival]:
    """Returns arrivals whose rows name the delivery that brings them."""
    return [replace(a, row=replace(a.row, delivery=str(delivery))) for a in arrivals]
