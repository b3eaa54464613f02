"""A few golden images, and what the model answered when it was evaluated."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import yaml

from components.reporting.gallery import SIDE, Card, jpeg_uri
from lineage import data_version, golden
from lineage.evidence import Evidence
from lineage.golden import Golden
from lineage.link import HELD, Link
from segtrail import git_objects, overlay
from segtrail.errors import LineageError
from segtrail.images import decode_image, read_labels
from segtrail.task import class_planes, own_places

MOST = 4


def read(e: Evidence, provenance: Link) -> list[Card]:
    """Returns pictures of the first golden images, by name; an erased one is only named.

    Args:
        e: The evidence.
        provenance: The link that vouches for the golden images.

    Raises:
        LineageError: They are not those that the provenance names, or cannot be read.
    """
    if provenance.state != HELD:
        raise LineageError("the provenance, which names the golden images, does not hold")
    erased = {found.row.image: found.row for found in data_version.erased_files(e.root).values()}
    masks = _masks(e)
    cards = []
    for each in golden.read(e.folder / golden.FOLDER)[:MOST]:
        if (row := erased.get(each.name)) is not None:
            cards.append(Card(each.name, f"erased, and not shown: {row.reason}", ()))
        else:
            cards.append(_card(each, masks, len(e.params["classes"])))
    return cards


def _masks(e: Evidence) -> Any:
    """Returns what the values of the data set's masks are, by the promoted commit."""
    params = yaml.safe_load(git_objects.show(e.root, e.commit, "params.yaml"))
    return params["datasets"][e.dataset]["masks"]


def _card(given: Golden, masks: Any, classes: int) -> Card:
    image = overlay.to_rgb(decode_image(given.image, given.name))
    mask = read_labels(given.mask, f"mask of {given.name}")
    ratio = min(1.0, SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(np.uint16)
    if masks == "instances":
        drawn = overlay.draw(image, mask)
    else:
        drawn = overlay.draw_classes(image, class_planes(mask, masks, own_places(classes)))
    asked = overlay.draw(image, np.zeros_like(mask))
    said = "" if given.count is None else f"{given.count} objects were counted"
    return Card(given.name, said, (("as asked", jpeg_uri(asked)), ("answered", jpeg_uri(drawn))))
