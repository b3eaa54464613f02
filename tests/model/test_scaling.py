"""Images made smaller, in numpy and in the graph, and answers made large again."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.scaling import shrink, shrink_bits

pixels = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 13), st.integers(1, 13), st.sampled_from([1, 3])),
    elements=st.integers(0, 255),
)
factors = st.sampled_from([1, 2, 4])


@given(pixels, factors)
def test_a_pixel_is_the_rounded_mean_of_its_block_with_the_edge_repeated(image, factor):
    small = shrink(image, factor)
    height, width, _ = image.shape
    assert small.shape[:2] == (-(-height // factor), -(-width // factor))
    for y, x in np.ndindex(small.shape[:2]):
        rows = np.minimum(np.arange(y * factor, (y + 1) * factor), height - 1)
        columns = np.minimum(np.arange(x * factor, (x + 1) * factor), width - 1)
        mean = image[np.ix_(rows, columns)].mean((0, 1))
        np.testing.assert_array_equal(small[y, x], np.floor(mean + 0.5))


@given(pixels, factors)
def test_a_bit_is_set_where_half_of_its_block_has_it(image, factor):
    target = image[..., 0]
    small = shrink_bits(target, factor, exclusive=False)
    for bit in range(8):
        plane = (target >> bit & 1).astype(np.uint8) * 254
        expected = shrink(plane[..., None], factor)[..., 0] >= 127
        np.testing.assert_array_equal(small >> bit & 1, expected)


def test_of_classes_that_exclude_each_other_one_is_left():
    halves = np.array([[1, 2, 0, 4], [1, 2, 0, 4]], np.uint8)
    assert shrink_bits(halves, 2, exclusive=False).tolist() == [[3, 4]]
    assert shrink_bits(halves, 2, exclusive=True).tolist() == [[1, 4]]


def test_the_graph_makes_the_same_bytes(images):
    from model.scaling import shrink_in_graph

    @settings(deadline=None, max_examples=60)
    @given(pixels, factors)
    def check(image, factor):
        np.testing.assert_array_equal(shrink_in_graph(image, factor), shrink(image, factor))

    check()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_slope_comes_back_where_it_was(factor):
    from model.scaling import enlarge_in_graph

    slope = np.linspace(0, 1, 62, dtype=np.float32)[None, :, None].repeat(41, 0)
    blocks = np.pad(slope, [(0, -41 % factor), (0, -62 % factor), (0, 0)], mode="edge")
    small = blocks.reshape(-(-41 // factor), factor, -1, factor, 1).mean((1, 3))
    large = np.asarray(enlarge_in_graph(small, factor, 62, (0, 41)))
    assert large.shape == (41, 62, 1)
    np.testing.assert_allclose(large[:, 4:-4], slope[:, 4:-4], atol=1e-6)
