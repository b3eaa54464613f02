"""The scores that two models got on the same images, side by side."""

from __future__ import annotations

from typing import Any

OTHER = " (other)"  # no metric ends so, since no class may be named so


def pair(ours: Any, theirs: Any) -> Any:
    """Returns a row an image that both were asked, the others' scores with `OTHER` appended.

    The same bytes, too: an image may have been replaced since one of them was scored.
    """
    return ours.merge(theirs, on=["image", "sha256"], suffixes=("", OTHER), validate="one_to_one")


def of_other(both: Any) -> Any:
    """Returns the other model's scores of such pairs, by their own names."""
    theirs = both[[c for c in both if c.endswith(OTHER)]]
    return theirs.rename(columns=lambda c: c.removesuffix(OTHER))
