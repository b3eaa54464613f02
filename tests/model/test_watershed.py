"""Objects told apart by a watershed of the probability."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from model.watershed import basins
from segtrail.settings.objects import Watershed

SHARP = Watershed(smooth=0, depth=0.2)


def two_cells(pass_level: int):
    """Returns two certain cells, and a gap of `pass_level` in the membrane between them."""
    probability = np.full((20, 41), 10, np.uint8)
    probability[3:17, 3:19], probability[3:17, 22:38] = 250, 250
    probability[9:11, 19:22] = pass_level
    return probability


def test_a_gap_in_a_membrane_does_not_join_two_cells():
    probability = two_cells(180)
    assert ndimage.label(probability > 127)[1] == 1
    found = basins(probability, SHARP)
    assert set(np.unique(found)) == {1, 2}
    assert (found[3:17, 3:19] == found[5, 5]).all()
    assert (found[3:17, 22:38] == found[5, 30]).all()
    assert found[5, 5] != found[5, 30]


def test_a_dip_that_is_not_deep_enough_separates_nothing():
    assert basins(two_cells(230), SHARP).max() == 1
    assert basins(two_cells(180), Watershed(smooth=0, depth=0.5)).max() == 1


def test_noise_is_smoothed_away():
    noise = np.random.default_rng(0).integers(-9, 10, (60, 60))
    probability = (120 + noise).astype(np.uint8)
    rough = basins(probability, Watershed(smooth=0, depth=0.05)).max()
    smooth = basins(probability, Watershed(smooth=4, depth=0.05)).max()
    assert smooth == 1 < rough


@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (8, 8)])
def test_where_all_is_the_same_there_is_one(level, shape):
    assert (basins(np.full(shape, level, np.uint8), Watershed()) == 1).all()


@settings(deadline=None)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=16)),
    st.floats(0.01, 0.5),
)
def test_every_pixel_is_in_one_connected_basin_and_deeper_dips_are_fewer(probability, depth):
    found = basins(probability, Watershed(smooth=0, depth=depth))
    assert found.shape == probability.shape
    ids = np.unique(found)
    assert ids.tolist() == list(range(1, len(ids) + 1))
    for number in ids:
        assert ndimage.label(found == number)[1] == 1
    deeper = basins(probability, Watershed(smooth=0, depth=min(2 * depth, 0.99)))
    assert deeper.max() <= len(ids)
