"""Which images of a folder depend on each other, as far as they show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from components.drifting.arrivals import Pixels
from components.ingestion.fingerprints import Fingerprint
from components.ingestion.grouping import Together
from components.ingestion.neighbours import find_links
from segtrail.split_ledger import Row


def group_by_look(
    prints: Mapping[str, Fingerprint], pixels: Callable[[str], Pixels]
) -> dict[str, str]:
    """Groups near duplicates and neighbouring crops of one field, as ingestion does.

    Frames of a film, or fields of one slide that do not touch, do not show that they belong
    together; for them the p values of drift are too small.

    Args:
        prints: Fingerprints, by image.
        pixels: Reads an image.

    Returns:
        Each image's group, called after one of its images.
    """
    together = Together({image: Row(image, "", "") for image in prints})
    for link in find_links({}, prints, pixels):
        together.join(link.first, link.second)
    return {image: images[0] for images in together.sets() for image in images}
