"""From an image to the data versions that hold it, and to the models that learned from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lineage.tracing import evidence, find, words
from lineage.tracing.answers import (
    ABSENT,
    ERASED,
    PRESENT,
    REMOVED,
    UNKNOWN,
    Image,
    Moment,
    Range,
    Use,
)
from lineage.tracing.find import Match
from lineage.tracing.index import Index
from lineage.tracing.models import Model
from lineage.tracing.rows import Held, Listed, Part, Step
from segtrail import deliveries
from segtrail.split_ledger import Row

_Interval = TypeVar("_Interval", Held, Listed)


def trace(
    index: Index, root: Path, models: Sequence[Model], word: str, dataset: str | None
) -> list[Image]:
    """Returns what is known of the image that a word names; several if they are the same.

    Args:
        index: Of the workspace.
        root: The repository's.
        models: Every one that is known.
        word: See `lineage.tracing.find.find`.
        dataset: Only images of this one.

    Raises:
        LineageError: No data version has such an image, or several digests begin so.
        DataError: The file cannot be read.
        ContradictionError: The index is wrong.
    """
    matches = find.find(index, word, dataset)
    return [_image(index, root, match, models) for match in matches]


def _image(index: Index, root: Path, match: Match, models: Sequence[Model]) -> Image:
    known = _Known(index, match)
    steps = index.steps(match.dataset)
    ranges = _ranges(known, steps)
    parts = {part.dvc_md5: part for part in index.parts(match.dataset)}
    uses, unknown = [], []
    for model in models:
        if model.dataset not in ("", match.dataset):
            continue
        part = parts.get(model.data_md5)
        if part is None:
            unknown.append(model)
        elif held := known.held(part):
            row = known.row(part)
            uses.append(Use(model, row.split if row else "", held.md5))
    order = ("champion", "canary", "")
    uses.sort(key=lambda use: (order.index(use.model.now), not use.model.services))
    evidence.locks_have(root, [use.model.training for use in uses if use.model.training])
    ends = {moment.data_md5 for each in ranges for moment in (each.first, each.last)}
    unconfirmed = known.confirm(
        parts[md5] for md5 in dict.fromkeys([*ends, *(use.model.data_md5 for use in uses)])
    )
    row, (state, why) = known.latest, _state(index, known, match)
    found = Image(
        match.dataset, match.image, match.how, "", row.group if row else "",
        row.slice if row else "", _delivery(index, row, parts.values()), state, why, ranges, uses,
        unknown, unconfirmed,
    )  # fmt: skip
    return replace(found, conclusion=words.of_image(found))


class _Known:
    """What the index says of an image, in one part of a listing or another."""

    def __init__(self, index: Index, match: Match) -> None:
        where, values = "image = ? AND dataset = ?", (match.image, match.dataset)
        self._index, self._match = index, match
        self._held, self._listed = index.held(where, *values), index.listed(where, *values)

    @property
    def latest(self) -> Row | None:
        """The last row of the contents that are meant."""
        held = [each for each in self._held if self._match.means("", each.md5)]
        meant = self._match.sha256 | {
            row.row.sha256
            for row in self._listed
            for each in held
            if row.since < each.until and each.since < row.until
        }
        rows = [each.row for each in self._listed if each.row.sha256 in meant]
        return rows[-1] if rows else None

    def held(self, part: Part) -> Held | None:
        """Returns the image's file in a part; None: it is not there, or another is meant."""
        held = _at(self._held, part)
        row = self.row(part)
        return held if held and self._match.means(row.sha256 if row else "", held.md5) else None

    def row(self, part: Part) -> Row | None:
        """Returns the image's row in a part."""
        found = _at(self._listed, part)
        return found.row if found else None

    def confirm(self, parts: Iterable[Part]) -> list[str]:
        """Looks the image up in the listings and split ledgers themselves.

        Returns:
            One line for each that is there no more.

        Raises:
            ContradictionError: One does not have what the index says.
        """
        cache, gone = self._index.cache, []
        for part in parts:
            held, row = self.held(part), self.row(part)
            name = f"{part.dataset} {part.dvc_md5[:10]}"
            if held and not evidence.listing_has(
                cache, part.listing, held.dataset, held.image, held.md5
            ):
                gone.append(f"{name}: the listing of its files")
            if row and not evidence.ledger_has(cache, part.splits, row):
                gone.append(f"{name}: its splits.csv")
        return gone


def _at(intervals: Sequence[_Interval], part: Part) -> _Interval | None:
    return next((each for each in intervals if each.since <= part.seq < each.until), None)


def _ranges(known: _Known, steps: Sequence[Step]) -> list[Range]:
    found: list[Range] = []
    goes_on = False
    for step in steps:
        held = known.held(step.part)
        if held is None:
            goes_on = False
            continue
        row, moment = known.row(step.part), Moment.of(step)
        content = (held.md5, row.sha256 if row else "", row.split if row else "")
        last = found[-1] if goes_on else None
        if last and (last.md5, last.sha256, last.split) == content:
            found[-1] = replace(last, last=moment, versions=last.versions + 1)
        else:
            found.append(Range(moment, moment, 1, *content))
        goes_on = True
    return found


def _state(index: Index, known: _Known, match: Match) -> tuple[str, str]:
    """Returns how it is with the image at HEAD, and why."""
    row = known.latest
    for dataset, grave in find.graves(index):
        if (dataset, grave.image) == (match.dataset, match.image) and match.means(
            grave.sha256, grave.md5
        ):
            return ERASED, f"by delivery {grave.delivery}, {grave.by}: {grave.reason}"
    part = index.at("HEAD").get(match.dataset)
    if part is None:
        return UNKNOWN, "the data version at HEAD cannot be read"
    if known.held(part):
        return PRESENT, ""
    if row and row.removed:
        return REMOVED, f"by delivery {row.removed}"
    return ABSENT, ""


def _delivery(index: Index, row: Row | None, parts: Iterable[Part]) -> deliveries.Row | None:
    """Returns the delivery that a row of the split ledger names."""
    for part in reversed(list(parts)):
        for delivery in index.deliveries(part):
            if row and str(delivery.delivery) == row.delivery:
                return delivery
    return None
