"""The vertical cup-to-disc ratio, by which glaucoma is judged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.bool_]


def cup_to_disc(cup: Plane, disc: Plane) -> float:
    """Returns the height of the cup over that of the disc; 0 where there is no disc.

    Args:
        cup: bool `[H, W]`.
        disc: bool `[H, W]`.
    """
    return height(cup) / height(disc) if disc.any() else 0.0


def height(plane: Plane) -> int:
    """Returns how many rows there are from the first to the last that a plane is set in."""
    rows = np.flatnonzero(plane.any(1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 0
