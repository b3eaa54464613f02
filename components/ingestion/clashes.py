"""What of a delivery clashes with itself, or with what the dataset has."""

from __future__ import annotations

from collections.abc import Sequence

from components.ingestion.adapter import Item
from components.ingestion.intake import Intake
from components.ingestion.problems import Problems
from segtrail.split_ledger import Ledger


def refuse_ids(items: Sequence[Item], ledger: Ledger, problems: Problems) -> None:
    """Notes ids that are there twice, or that some file systems cannot tell apart."""
    there = {image.casefold(): image for image in ledger}
    files: dict[str, str] = {}
    for item in sorted(items, key=lambda item: item.id):
        first = files.get(item.id)
        other = there.setdefault(item.id.casefold(), item.id)
        if first is not None:
            what = f"its id {item.id} is that of {first} too"
        elif other != item.id:
            where = ", which is in the dataset," if other in ledger else ""
            what = (
                f"its id {item.id} differs from {other}{where} in upper and lower case only, and "
                "some file systems cannot tell them apart"
            )
        else:
            files[item.id] = item.image
            continue
        problems.add(item.image, what, "rename one", item.id)


def refuse_replacing(taken: Intake, ledger: Ledger, problems: Problems) -> None:
    """Notes images that are there with other content."""
    for arrival in taken.arrivals:
        row = arrival.row
        if (old := ledger.get(row.image)) is None:
            continue
        what = [
            f"{name} was {was[:12]}, is {now[:12]}"
            for name, was, now in (
                ("the image", old.sha256, row.sha256),
                ("its mask", old.mask_sha256, row.mask_sha256),
            )
            if was != now
        ]
        problems.add(
            row.image,
            f"is in the dataset with other content (SHA-256: {'; '.join(what)})",
            "--replace takes the new content",
            row.image,
        )
