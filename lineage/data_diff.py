"""How two states of a dataset differ, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lineage.data_snapshot import IMAGES, MASKS, ids
from segtrail.split_ledger import Ledger


@dataclass(frozen=True)
class Changes:
    """Which images differ, by their files' content.

    Attributes:
        added: Only after.
        removed: Only before.
        replaced: The image has other content (its mask may have, too).
        relabelled: The image is the same, its mask is another.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    relabelled: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.replaced or self.relabelled)


@dataclass(frozen=True)
class Moved:
    """An image that the ledger files elsewhere.

    Attributes:
        image: Its id.
        before: Where it was.
        after: Where it is.
    """

    image: str
    before: str
    after: str


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Changes:
    """Compares two `{path below data/<dataset>: md5}`."""
    old, new = ids(before, IMAGES), ids(after, IMAGES)
    old_masks, new_masks = ids(before, MASKS), ids(after, MASKS)
    both = sorted(old.keys() & new.keys())
    return Changes(
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        tuple(image for image in both if old[image] != new[image]),
        tuple(
            image
            for image in both
            if old[image] == new[image] and old_masks.get(image) != new_masks.get(image)
        ),
    )


def moved(before: Ledger, after: Ledger, column: str) -> list[Moved]:
    """Returns the images that are in both and have another `slice`, or `split`, now."""
    return [
        Moved(image, getattr(before[image], column), getattr(after[image], column))
        for image in sorted(before.keys() & after.keys())
        if getattr(before[image], column) != getattr(after[image], column)
        and not before[image].removed
        and not after[image].removed
    ]
