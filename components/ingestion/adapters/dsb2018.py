"""The folder layout of the Data Science Bowl 2018, stage 1.

`<id>/images/<id>.png` and one 0/255 mask a nucleus, `<id>/masks/<any name>.png`; also with one
folder around it all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from components.ingestion.problems import Problems

# An id becomes a file name under data/.
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass
class Item:
    """One image and its masks, as names in the source.

    The masks are in the order of their names: that is the order of the instance ids.
    """

    id: str
    image: str = ""
    masks: list[str] = field(default_factory=list)


def find_items(names: Sequence[str], problems: Problems) -> list[Item]:
    """Returns the images with their masks, by id; notes what does not fit the layout.

    Files that are not PNG and lie outside the layout (a README, a table) are left alone.
    """
    items: dict[str, Item] = {}
    unsafe: set[str] = set()
    skip = _enclosing_folders(names)
    for name in sorted(names):
        parts = name.split("/")[skip:]
        if len(parts) == 3 and parts[1] in ("images", "masks"):
            if _SAFE_ID.fullmatch(parts[0]):
                _place(name, parts, items, problems)
            else:
                unsafe.add(parts[0])
        elif name.lower().endswith(".png"):
            problems.add(
                name,
                "not in its place: expected <id>/images/<id>.png or <id>/masks/<name>.png",
                "move it, or take it out",
            )
    for key in sorted(unsafe):
        problems.add(
            repr(key),
            "the id cannot be a file name: expected letters, digits, `.`, `_`, `-`, at most 128",
            "rename the folder",
        )
    for item in items.values():
        if not item.image:
            problems.add(
                f"{item.id}/masks",
                f"{len(item.masks)} masks without an image: expected {item.id}/images/"
                f"{item.id}.png, found none",
                "add the image or take the masks out",
            )
        elif not item.masks:
            problems.add(
                item.image,
                f"an image without masks: expected one PNG a nucleus in {item.id}/masks, "
                "found none",
                "add the masks or take the image out",
            )
    if not items and not problems:
        problems.add("the whole source", "no images: expected <id>/images/<id>.png, found none")
    _refuse_same_but_for_case(items, problems)
    return [item for _, item in sorted(items.items()) if item.image and item.masks]


def _place(name: str, parts: list[str], items: dict[str, Item], problems: Problems) -> None:
    key, kind, file = parts
    if not file.lower().endswith(".png"):
        problems.add(name, "expected a file named *.png", "convert it, or take it out")
    elif kind == "masks":
        items.setdefault(key, Item(key)).masks.append(name)
    else:
        items.setdefault(key, Item(key)).image = name
        if file != f"{key}.png":
            problems.add(name, f"expected the image to be named {key}.png", "rename it")


def _enclosing_folders(names: Sequence[str]) -> int:
    """Returns 1 if all lies in one more folder, else 0."""
    paths = [name.split("/") for name in names]
    if len({parts[0] for parts in paths}) != 1:
        return 0
    return int(any(len(parts) == 4 and parts[2] in ("images", "masks") for parts in paths))


def _refuse_same_but_for_case(items: dict[str, Item], problems: Problems) -> None:
    seen: dict[str, str] = {}
    for key in sorted(items):
        other = seen.setdefault(key.casefold(), key)
        if other != key:
            problems.add(
                key,
                f"differs from {other} in upper and lower case only, and some file systems "
                "cannot tell them apart",
                "rename one",
            )
