"""Which files of a delivery COCO's annotations are in, and which images they mean."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import takewhile

from components.ingestion.problems import Problems

_ANNOTATIONS = re.compile(r"(?:.*/)?(?:instances_(.+)|result)\.json", re.IGNORECASE)


def annotation_files(names: Iterable[str], problems: Problems) -> list[str]:
    """Returns the files with annotations; notes that there are none, or none can be chosen."""
    every = sorted(name for name in names if name.lower().endswith(".json"))
    known = [name for name in every if _ANNOTATIONS.fullmatch(name)]
    if known or len(every) == 1:
        return known or every
    problems.add(
        "the whole source",
        "expected annotations/instances_<subset>.json or result.json, found "
        + (f"{len(every)} other JSON files" if every else "no JSON file"),
        "export it as COCO, with the images",
    )
    return []


def parts_of(path: str) -> list[str]:
    """Returns the names of a path of any tool, without what leads elsewhere."""
    return [part for part in re.split(r"[\\/]", path) if part not in ("", ".", "..")]


class ImageFiles:
    """The images of a source, to be found by the ends of their paths.

    Args:
        names: All images of the source.
    """

    def __init__(self, names: Iterable[str]) -> None:
        ends = sorted((parts_of(name)[::-1], name) for name in names)
        self._ends = [end for end, _ in ends]  # the last name first; sorted, so that
        self._names = [name for _, name in ends]  # all with one end are neighbours
        self._answers: dict[tuple[int, int, str | None], list[str]] = {}

    def find(self, file_name: str, annotations: str) -> list[str]:
        """Returns the images that a file name may mean: one, if all is well.

        Tools write the name alone, a path below `images/`, or a path on their own server. Of the
        images of that name the ones count that share the longest end of the path, and of these
        the ones in a folder called as the subset.

        Args:
            file_name: As the annotation file says.
            annotations: That file's name; it says the subset.
        """
        match = _ANNOTATIONS.fullmatch(annotations)
        first, last = self._longest(parts_of(file_name)[::-1])
        key = first, last, match[1] if match else None
        if key not in self._answers:  # images by the thousand may have one name
            found = sorted(self._names[first:last])
            of_subset = [name for name in found if key[2] in parts_of(name)[:-1]]
            self._answers[key] = of_subset if len(found) > 1 and of_subset else found
        return self._answers[key]

    def _longest(self, wanted: list[str]) -> tuple[int, int]:
        """Returns the range of the images that share the longest end with a path."""
        at = bisect_left(self._ends, wanted)
        near = self._ends[max(at - 1, 0) : at + 1]
        length = max((_shared(wanted, end) for end in near), default=0)
        if not length:
            return 0, 0
        start = wanted[:length]
        first = bisect_left(self._ends, start)
        return first, bisect_right(self._ends, start, first, key=lambda end: end[:length])


def _shared(a: Iterable[str], b: Iterable[str]) -> int:
    """Returns how many names are the same at the start of both."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def image_id(file_name: str, name: str) -> str:
    """Returns the end that both paths share, below `images`, without the ending."""
    parts = parts_of(name)
    length = _shared(parts_of(file_name)[::-1], parts[::-1])
    common = parts[len(parts) - length :]
    while "images" in (folders := common[:-1]):
        common = common[folders.index("images") + 1 :]
    return "-".join([*common[:-1], common[-1].rpartition(".")[0]])
