"""The counter of contours: what it counts right, and where it differs from the components."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model.canny_counter import count_contours
from model.components import components
from segtrail.settings.objects import CannyContours

DEFAULT = CannyContours()


def discs(centres, radius=10, size=200):
    y, x = np.mgrid[:size, :size]
    plane = np.zeros((size, size), bool)
    for cy, cx in centres:
        plane |= (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
    return plane


@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_discs_that_lie_apart_are_counted_by_both(n):
    plane = discs([(40 + 60 * (i // 3), 40 + 60 * (i % 3)) for i in range(n)])
    assert count_contours(plane, DEFAULT) == n
    assert components(plane).max(initial=0) == n


def test_what_lies_in_a_hole_counts_only_if_asked():
    y, x = np.mgrid[:200, :200] - 100
    r = np.hypot(y, x)
    plane = (r < 15) | ((r > 40) & (r < 60))
    assert count_contours(plane, DEFAULT) == 1
    assert count_contours(plane, CannyContours(contours="all")) > 2
    assert components(plane).max() == 2


def test_neighbours_whose_edges_touch_are_one_contour_but_two_components():
    plane = np.zeros((60, 60), bool)
    plane[10:50, 10:30], plane[10:50, 31:50] = True, True  # a gap of one pixel
    assert components(plane).max() == 2
    assert count_contours(plane, CannyContours(blur=1)) == 1


def test_a_blur_wide_enough_loses_specks():
    plane = discs([(50, 50)])
    plane[150, 150] = True
    assert count_contours(plane, CannyContours(blur=1)) == 2
    assert count_contours(plane, CannyContours(blur=5)) == 1


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_any_mask_has_a_count(plane):
    assert 0 <= count_contours(plane, DEFAULT) <= plane.size
    assert count_contours(plane & False, DEFAULT) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3))
def test_a_turned_image_has_as_many_discs(turns):
    plane = discs([(40, 40), (90, 140), (150, 60)])
    assert count_contours(np.rot90(plane, turns).copy(), DEFAULT) == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"blur": 4}, "got 4; expected an odd number"),
        ({"low": 200, "high": 100}, r"low \(200\) must not be above high \(100\)"),
        ({"high": 256}, "less than or equal to 255"),
        ({"contours": "inner"}, "'outer' or 'all'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        CannyContours(**options)
