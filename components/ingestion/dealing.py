"""Deals the images of a delivery to splits: finds what belongs together, and extends the ledger.

Rules, in this order:

1. An image that is in the ledger keeps its split for good, also when its content is replaced,
   or it is removed and comes back.
2. Images with the same content share a split; so do images of one group that the adapter knows.
3. Where the adapter does not know the groups, near duplicates, overlapping and neighbouring
   crops join, the surest links first. A link that would join two splits is reported instead.
4. New groups are dealt by `components.ingestion.splits`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from components.ingestion import clusters, fingerprints, splits
from components.ingestion.fingerprints import Fingerprint, fingerprint
from components.ingestion.grouping import Together, torn
from components.ingestion.neighbours import SAME_CONTENT, Link, Pixels, find_links
from components.ingestion.problems import Problems
from segtrail.settings.dataset import Splits
from segtrail.split_ledger import Ledger, Row


@dataclass(frozen=True)
class Arrival:
    """A new image, or one with other content or another mask than before.

    Attributes:
        row: Without cluster and split; with a group if the adapter knows it.
        fingerprint: Of its pixels.
        statistics: See `segtrail.image_statistics.image_statistics`.
    """

    row: Row
    fingerprint: Fingerprint
    statistics: Mapping[str, float]


@dataclass(frozen=True)
class Dealt:
    """What a delivery makes of a dataset's records.

    Attributes:
        ledger: The extended split ledger.
        files: Other files of `data/<dataset>` that change, by name.
        leaks: Links between images in different splits that this delivery brought: the ledger
            moves no image, so they stay until one of the two is removed.
    """

    ledger: Ledger
    files: dict[str, bytes] = field(default_factory=dict)
    leaks: list[Link] = field(default_factory=list)


def deal(
    folder: Path,
    ledger: Ledger,
    arrived: Sequence[Arrival],
    rule: Splits,
    *,
    groups_known: bool,
    pixels: Pixels,
    problems: Problems,
    regrouped: Collection[str] = (),
) -> Dealt:
    """Returns the ledger with the images of a delivery added or replaced.

    Args:
        folder: `data/<dataset>`, where the fingerprints and strata so far are.
        ledger: What is there, with those rows marked that the delivery removes.
        arrived: In any order; their delivery is filled in.
        rule: Shares and seed.
        groups_known: Whether the adapter's groups say all that is known; then links are
            reported and do not join.
        pixels: Returns the pixels of an image, arrived or known; called for few.
        problems: Gets content that would stand in two splits.
        regrouped: Images of the ledger whose group the delivery changed.

    Raises:
        DataError: A file of the folder is not what it should be.
    """
    new = {a.row.image: a for a in sorted(arrived, key=lambda a: a.row.image)}
    known = _known_fingerprints(folder, ledger, new, pixels)
    looks = {image: a.fingerprint for image, a in new.items()}
    links = find_links(known, looks, pixels)

    strata, names = clusters.assign(
        clusters.read(folder / clusters.STRATA),
        [(a.row, a.statistics) for a in new.values()],
        rule.seed,
    )
    rows = [replace(a.row, cluster=names[image]) for image, a in new.items()]
    extended, leaks = extend(
        ledger, rows, links, rule,
        groups_known=groups_known, problems=problems, regrouped=regrouped,
    )  # fmt: skip
    files = {
        fingerprints.FINGERPRINTS: fingerprints.to_csv(known | looks).encode(),
        clusters.STRATA: clusters.to_json(strata).encode(),
    }
    return Dealt(extended, files, leaks)


def extend(
    ledger: Ledger,
    arrived: Sequence[Row],
    links: Sequence[Link],
    rule: Splits,
    *,
    groups_known: bool,
    problems: Problems,
    regrouped: Collection[str] = (),
) -> tuple[Ledger, list[Link]]:
    """Returns the ledger with rows added or replaced, and the links across splits.

    Args:
        ledger: What is there; nothing of it moves.
        arrived: Rows with slice and cluster, and with a group if the adapter knows it.
        links: Which images are of one specimen, the surest first.
        rule: Shares and seed.
        groups_known: Whether links are reported only.
        problems: Gets content that would stand in two splits.
        regrouped: Images of the ledger whose group is another than when they were dealt.
    """
    rows, new = dict(ledger), {row.image for row in arrived}
    for row in arrived:
        old = ledger.get(row.image)
        rows[row.image] = replace(
            row,
            group=row.group or (old.group if old else ""),
            split=old.split if old else "",
            removed="",
        )
    together = Together(rows)
    _join_same_content(together, ledger, rows, new, problems)
    for link in links:
        if not groups_known and together.join(link.first, link.second):
            continue
        if link.kind == SAME_CONTENT and together.apart(link.first, link.second):
            _note_same_pixels(rows, new, link, problems)
    dealt = _deal_units(together.sets(), rows, rule)
    across = [link for link in links if dealt[link.first].split != dealt[link.second].split]
    return dealt, [*torn(dealt, new | set(regrouped)), *across]


def _known_fingerprints(
    folder: Path, ledger: Ledger, new: Collection[str], pixels: Pixels
) -> dict[str, Fingerprint]:
    """Returns those of the images that stay; a removed image's is dropped with it."""
    stored = fingerprints.read(folder / fingerprints.FINGERPRINTS)
    return {
        image: stored[image] if image in stored else fingerprint(pixels(image))
        for image, row in sorted(ledger.items())
        if not row.removed and image not in new
    }


def _join_same_content(
    together: Together,
    ledger: Ledger,
    rows: Mapping[str, Row],
    new: Collection[str],
    problems: Problems,
) -> None:
    """Joins images whose files are the same, or the same as one was before this delivery.

    What was trained on never becomes a test image: neither if it was removed or replaced.
    """
    by_content: dict[str, set[str]] = defaultdict(set)
    for row in (*ledger.values(), *rows.values()):
        by_content[row.sha256].add(row.image)
    for same in by_content.values():
        images = sorted(same, key=lambda image: (image in new, not rows[image].split, image))
        for image in images[1:]:
            if not together.join(images[0], image) and image in new:
                _note_same_content(rows, image, images[0], problems)


def _note_same_content(rows: Mapping[str, Row], image: str, twin: str, problems: Problems) -> None:
    where = "was in" if rows[twin].removed else "is in"
    problems.add(
        image,
        f"its new content is that of {twin}, which {where} {rows[twin].split}, while {image} is "
        f"in {rows[image].split}; the same content must not be in two splits",
        "take it out",
        image,
    )


def _note_same_pixels(
    rows: Mapping[str, Row], new: Collection[str], link: Link, problems: Problems
) -> None:
    """Notes an image replaced by the pixels of one in another split, in another encoding."""
    one, other = (link.first, link.second) if link.first in new else (link.second, link.first)
    if rows[one].split and rows[one].sha256 != rows[other].sha256:
        _note_same_content(rows, one, other, problems)


def _deal_units(sets: Sequence[list[str]], rows: Mapping[str, Row], rule: Splits) -> Ledger:
    """Returns the ledger with a group and a split in each row."""
    units = []
    for images in sets:
        members = [rows[image] for image in images]
        units.append(
            splits.Unit(
                content=min(row.sha256 for row in members),
                images=Counter((row.slice, row.cluster) for row in members if not row.removed),
                split=next((row.split for row in members if row.split), ""),
            )
        )
    out = dict(rows)
    taken = {row.group for row in rows.values() if row.group}
    for images, split in zip(sets, splits.deal(units, rule), strict=True):
        group = next((rows[i].group for i in images if rows[i].group), "")
        if not group:
            group = images[0] if images[0] not in taken else f"{images[0]} and its like"
        for image in images:
            row = rows[image]
            out[image] = replace(row, group=row.group or group, split=row.split or split)
    return out
