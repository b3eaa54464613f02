"""What a delivery says anew of images that are there already: their group, or their slice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from components.ingestion.adapter import Item
from segtrail.split_ledger import Ledger


def regroup(ledger: Ledger, items: Iterable[Item]) -> tuple[Ledger, list[str]]:
    """Takes over the groups and slices of a delivery for images that are there.

    A patient may be named only after the images came. No image moves to another split for it:
    images of one group that lie in different splits are a leak, which is told from then on.

    Args:
        ledger: What is there.
        items: Of the delivery; an empty group or slice says nothing.

    Returns:
        The ledger, and the ids of the images whose row is another now.
    """
    out, changed = dict(ledger), []
    for item in items:
        row = ledger.get(item.id)
        if row is None or row.removed:
            continue
        new = replace(row, group=item.group or row.group, slice=item.slice or row.slice)
        if new != row:
            out[item.id] = new
            changed.append(item.id)
    return out, sorted(changed)
