"""The objects of a class without a border plane."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model.objects import label_objects, without_small
from model.scores.objects import Labels
from segtrail.settings.objects import Objects


def components(plane: npt.NDArray[np.bool_], min_size: int = 0) -> Labels:
    """Returns the objects of a class without a border plane: its connected components.

    Args:
        plane: bool `[H, W]`, where the class is; 4 neighbours connect.
        min_size: Pixels; smaller ones are dropped.

    Returns:
        uint16 `[H, W]`, 0 background.
    """
    return label_objects(plane, np.zeros_like(plane), Objects(grow=0, min_size=min_size))


def predicted_objects(plane: npt.NDArray[np.bool_], found: Labels | None, min_size: int) -> Labels:
    """Returns the objects of a class without a border plane, uint16 `[H, W]`.

    Args:
        plane: bool `[H, W]`, where the class was predicted.
        found: The basins that tell apart what touches; None: the objects are components.
        min_size: Pixels; smaller ones are dropped.
    """
    if found is None:
        return components(plane, min_size)
    return without_small(np.where(plane, found, 0), min_size)


def largest(plane: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Returns the largest component of a class alone, bool `[H, W]`; the first of equal ones.

    As nnU-Net's post-processing does (Isensee et al., 2021, "non-largest component suppression").

    Args:
        plane: bool `[H, W]`, where the class is; 4 neighbours connect.
    """
    labels = components(plane)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return plane & (labels == sizes.argmax())
