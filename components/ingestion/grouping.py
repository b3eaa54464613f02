"""Which images stay together: sets that are joined, each with a split for good or without one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set

from components.ingestion.neighbours import SAME_GROUP, Link
from segtrail.split_ledger import Row


class Together:
    """Sets of images that share a split; to begin with, the groups that the rows name.

    Args:
        rows: By image. A row with a split keeps it: sets with different splits never join.
    """

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._parent = {image: image for image in rows}
        self._split = {image: row.split for image, row in rows.items()}
        for images in groups(rows.values()).values():
            # Those without a split follow the first of the others. These may be apart: the
            # adapter may say another group of an image than when it was dealt.
            images.sort(key=lambda image: (not rows[image].split, image))
            for image in images:
                self.join(images[0], image)

    def root(self, image: str) -> str:
        """Returns the image that stands for the set of `image`."""
        while self._parent[image] != image:
            self._parent[image] = self._parent[self._parent[image]]
            image = self._parent[image]
        return image

    def apart(self, one: str, other: str) -> bool:
        """Whether two images have different splits for good."""
        a, b = self._split[self.root(one)], self._split[self.root(other)]
        return bool(a and b and a != b)

    def join(self, one: str, other: str) -> bool:
        """Keeps two images together; returns False if they are apart for good."""
        if self.apart(one, other):
            return False
        a, b = sorted((self.root(one), self.root(other)))
        if a != b:
            self._parent[b] = a
            self._split[a] = self._split[a] or self._split[b]
        return True

    def sets(self) -> list[list[str]]:
        """Returns the sets, each sorted, by their first image."""
        out: dict[str, list[str]] = defaultdict(list)
        for image in sorted(self._parent):
            out[self.root(image)].append(image)
        return list(out.values())


def groups(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Returns the images of each named group."""
    out: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.group:
            out[row.group].append(row.image)
    return out


def torn(rows: Mapping[str, Row], new: Set[str]) -> Iterator[Link]:
    """Yields a link, once, for each new image in another split than the rest of its group."""
    for images in groups(row for row in rows.values() if not row.removed).values():
        first = {rows[image].split: image for image in sorted(images, reverse=True)}
        told: set[frozenset[str]] = set()
        for image in sorted(new & set(images)):
            for split, other in sorted(first.items()):
                pair = frozenset((image, other))
                if split != rows[image].split and pair not in told:
                    told.add(pair)
                    yield Link(image, other, SAME_GROUP, 1.0)
