"""Which files of a delivery COCO's annotations are in, and which images they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

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


def find_file(file_name: str, annotations: str, images: Mapping[str, list[str]]) -> list[str]:
    """Returns the images of the source that a file name may mean: one, if all is well.

    Tools write the name alone, a path below `images/`, or a path on their own server. Of the
    images of that name the ones count that share the longest end of the path, and of these
    the ones in a folder called as the subset.

    Args:
        file_name: As the annotation file says.
        annotations: That file's name; it says the subset.
        images: All images of the source, by their last name.
    """
    match = _ANNOTATIONS.fullmatch(annotations)
    subset = match[1] if match else None
    wanted = parts_of(file_name)
    if not wanted:
        return []
    found = images.get(wanted[-1], [])
    longest = max((_common_end(wanted, parts_of(name)) for name in found), default=0)
    found = [name for name in found if _common_end(wanted, parts_of(name)) == longest]
    of_subset = [name for name in found if subset in parts_of(name)[:-1]]
    return of_subset if len(found) > 1 and of_subset else found


def _common_end(a: Sequence[str], b: Sequence[str]) -> int:
    count = 0
    while count < min(len(a), len(b)) and a[-1 - count] == b[-1 - count]:
        count += 1
    return count


def image_id(file_name: str, name: str) -> str:
    """Returns the end that both paths share, below `images`, without the ending."""
    parts = parts_of(name)
    common = parts[len(parts) - _common_end(parts_of(file_name), parts) :]
    while "images" in (folders := common[:-1]):
        common = common[folders.index("images") + 1 :]
    return "-".join([*common[:-1], common[-1].rpartition(".")[0]])
