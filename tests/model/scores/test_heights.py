"""The vertical cup-to-disc ratio."""

import numpy as np

from model.scores.heights import cup_to_disc, height


def ellipse(rows, columns, top=10):
    y, x = np.mgrid[:120, :120]
    return ((y - top - rows) / rows) ** 2 + ((x - 60) / columns) ** 2 <= 1


def test_the_ratio_is_of_heights_whatever_the_widths():
    disc, cup = ellipse(40, 30), ellipse(20, 10, top=30)
    assert height(disc) == 81
    assert cup_to_disc(cup, disc) == 41 / 81
    assert cup_to_disc(cup.T, disc.T) == 21 / 61


def test_what_is_not_there_has_no_height():
    nothing = np.zeros((4, 5), bool)
    assert height(nothing) == 0
    assert cup_to_disc(nothing, nothing) == 0
    assert cup_to_disc(nothing, ~nothing) == 0
    assert cup_to_disc(~nothing, nothing) == 0
