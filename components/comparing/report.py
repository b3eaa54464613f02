"""What a comparison says, as rows of a table and as sections with thumbnails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.comparing import page
from components.comparing.page import Card, Section
from components.comparing.shift import Shift
from segtrail.progress import track

if TYPE_CHECKING:
    from components.data_diff import DataDiff

LARGE_DEVIATIONS, LARGE_KS = 0.5, 0.3


@dataclass(frozen=True)
class Row:
    """A line of the table of shifts.

    Attributes:
        cells: See `page.columns`.
        first: Whether a slice starts here.
        large: Whether the shift is worth a look.
    """

    cells: tuple[str, ...]
    first: bool
    large: bool


def rows(shifts: Sequence[Shift]) -> list[Row]:
    """Returns the table of shifts."""
    out: list[Row] = []
    last = ""
    for shift in shifts:
        cells = (
            shift.slice,
            shift.statistic,
            f"{shift.n_before} → {shift.n_after}",
            page.number(shift.mean_before),
            page.number(shift.mean_after),
            "-" if shift.deviations is None else _signed(shift.deviations),
            "-" if shift.ks is None else f"{shift.ks:.3f}",
        )
        out.append(Row(cells, shift.slice != last, is_large(shift)))
        last = shift.slice
    return out


def is_large(shift: Shift) -> bool:
    """Whether the means or the distributions are far apart."""
    far = abs(shift.deviations or 0) >= LARGE_DEVIATIONS
    return far or (shift.ks or 0) >= LARGE_KS


def is_changed(shift: Shift) -> bool:
    """Whether the distribution of a statistic is another, or was or is none at all."""
    return shift.ks is None or shift.ks > 0


def _signed(deviations: float) -> str:
    """Returns two decimals, or one digit of what they would not show."""
    return f"{deviations:+.1g}" if 0 < abs(deviations) < 0.005 else f"{deviations:+.2f}"


def html(diff: DataDiff, most: int) -> str:
    """Returns the page, with up to `most` images for each way in which images differ."""
    found = diff.to_json()
    return page.render(
        dataset=found["dataset"],
        before=found["before"],
        after=found["after"],
        dealt_anew=diff.dealt_anew,
        unread=sorted(diff.unread.items()),
        heads=page.columns(),
        rows=rows(diff.shifts),
        sections=_sections(diff, most),
    )


def _sections(diff: DataDiff, most: int) -> list[Section]:
    old, new = diff.before, diff.after
    moved = {item.image: f"{item.before} to {item.after}" for item in diff.moved}

    def one(image: str, after: bool) -> Card:
        slices = diff.slices_after if after else diff.slices_before
        return page.alone(new if after else old, image, slices.get(image, ""), after)

    planned: list[tuple[str, Sequence[str], Iterable[str], Callable[[str], Card]]] = [
        ("Relabelled", diff.changes.relabelled, diff.relabelled[:most],
         lambda i: page.relabelled(old, new, i, _note(diff, i))),
        ("Replaced", diff.changes.replaced, diff.changes.replaced[:most],
         lambda i: page.replaced(old, new, i, diff.slices_after.get(i, ""))),
        ("Added", diff.changes.added, page.spread(diff.changes.added, diff.slices_after, most),
         lambda i: one(i, True)),
        ("Removed", diff.changes.removed,
         page.spread(diff.changes.removed, diff.slices_before, most), lambda i: one(i, False)),
        ("Moved to another slice", list(moved), list(moved)[:most],
         lambda i: page.alone(new, i, moved[i], True)),
    ]  # fmt: skip
    return [
        Section(title, len(images), tuple(card(i) for i in track(list(shown), "drawing")))
        for title, images, shown, card in planned
        if images
    ]


def _note(diff: DataDiff, image: str) -> str:
    agreement = diff.agreements.get(image)
    if agreement is None:
        return ""
    return (
        f"IoU of the two masks {agreement.iou:.3f}; "
        f"{agreement.objects_before} → {agreement.objects_after} objects"
    )
