"""Images of any size at a given one: exact, and the same in numpy as in the graph."""

from fractions import Fraction

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.resizing import _weights, resize, resize_labels

sides = st.integers(1, 40)
pixels = hnp.arrays(
    np.uint8,
    st.tuples(sides, sides, st.sampled_from([1, 3])),
    elements=st.integers(0, 255),
)


def share(new, old, of, at):
    """The weight of an old pixel in a new one, from the definition, as a fraction."""
    if new < old:
        start, end = Fraction(of * old, new), Fraction((of + 1) * old, new)
        return max(min(end, at + 1) - max(start, at), 0) * Fraction(new, old)
    centre = Fraction((2 * of + 1) * old, 2 * new) - Fraction(1, 2)
    centre = min(max(centre, 0), old - 1)
    return max(1 - abs(centre - at), Fraction(0))


@given(sides, sides)
def test_weights_are_areas_when_shrinking_and_linear_when_growing(old, new):
    weights = _weights(old, new)
    totals = weights.sum(1)
    assert (totals == totals[0]).all()
    for of, at in ((0, 0), (new - 1, old - 1), (new // 2, old // 2), (new // 3, old // 2)):
        assert Fraction(int(weights[of, at]), int(totals[0])) == share(new, old, of, at)


@given(pixels, sides, sides)
def test_every_pixel_is_the_weighted_mean_rounded_half_up(image, height, width):
    small = resize(image, height, width)
    assert small.shape == (height, width, image.shape[2])
    for y, x in ((0, 0), (height - 1, width - 1), (height // 2, width // 3)):
        mean = sum(
            share(height, image.shape[0], y, v) * share(width, image.shape[1], x, u) * int(value)
            for (v, u), value in np.ndenumerate(image[..., 0])
            if value
        )
        assert small[y, x, 0] == int(mean + Fraction(1, 2))


@pytest.mark.parametrize("size", [(64, 64), (37, 91), (300, 20), (129, 517)])
def test_it_is_opencvs_area_when_shrinking_and_its_linear_when_growing(size):
    image = np.random.default_rng(3).integers(0, 256, (*size, 3)).astype(np.uint8)
    smaller = size[0] // 3, size[1] // 2
    larger = size[0] * 2 + 5, size[1] * 3 + 1
    for (height, width), how in ((smaller, cv2.INTER_AREA), (larger, cv2.INTER_LINEAR)):
        theirs = cv2.resize(image.astype(np.float64), (width, height), interpolation=how)
        ours = resize(image, height, width)
        # OpenCV's floating point may fall on the other side of a half
        assert np.abs(ours - theirs).max() <= 0.5 + 1e-3


def test_the_graph_makes_the_same_bytes():
    from model.resizing import resize_in_graph

    @settings(deadline=None, max_examples=60)
    @given(pixels, sides, sides)
    def check(image, height, width):
        np.testing.assert_array_equal(
            resize_in_graph(image, height, width), resize(image, height, width)
        )

    check()


def test_a_large_image_stays_exact():
    from model.resizing import resize_in_graph

    image = np.random.default_rng(4).integers(0, 256, (1801, 2049, 3)).astype(np.uint8)
    ours = resize(image, 128, 96)
    np.testing.assert_array_equal(resize_in_graph(image, 128, 96), ours)
    white = np.full((1801, 2049, 1), 255, np.uint8)
    assert (resize(white, 128, 96) == 255).all()


@given(hnp.arrays(np.uint16, st.tuples(sides, sides), elements=st.integers(0, 9)), sides, sides)
def test_labels_stay_labels_and_keep_their_place(mask, height, width):
    got = resize_labels(mask, height, width)
    assert got.shape == (height, width)
    assert np.isin(got, mask).all()
    y, x = height // 2, width // 3
    row = int(Fraction(2 * y + 1, 2) * mask.shape[0] / height)
    column = int(Fraction(2 * x + 1, 2) * mask.shape[1] / width)
    assert got[y, x] == mask[row, column]
    np.testing.assert_array_equal(resize_labels(mask, *mask.shape), mask)


@pytest.mark.parametrize("size", [(11, 200), (128, 128), (300, 70), (1, 1)])
def test_planes_come_back_to_the_images_size(size):
    from model.resizing import resize_planes_in_graph

    planes = np.random.default_rng(5).random((48, 64, 2), np.float32)
    got = np.asarray(resize_planes_in_graph(planes, size, (0, size[0])))
    down, across = _weights(48, size[0]), _weights(64, size[1])
    down, across = down / down[0].sum(), across / across[0].sum()
    np.testing.assert_allclose(
        got, np.einsum("yh,hwp,xw->yxp", down, planes, across), rtol=0, atol=1e-6
    )
    assert got.min() >= 0
    assert got.max() <= 1 + 1e-6
