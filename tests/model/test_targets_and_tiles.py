"""Target planes and tiling."""

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.targets import border_plane, target_planes
from model.tiles import cut, pad_to, starts
from segtrail.task import Task, own_places

NUCLEI = Task("instances", ("nucleus",), ((1,),))


def test_border_lies_between_touching_objects_and_nowhere_else():
    labels = np.zeros((9, 20), np.uint16)
    labels[2:7, 2:8], labels[2:7, 8:14] = 1, 2
    target = target_planes(labels, NUCLEI, border_width=1)
    np.testing.assert_array_equal((target & 1) > 0, labels > 0)
    columns = np.nonzero(((target & 2) > 0).any(0))[0]
    assert columns.tolist() == [7, 8]


def test_a_lone_object_has_no_border_even_with_the_highest_id():
    labels = np.zeros((9, 9), np.uint16)
    labels[3:6, 3:6] = 65535
    assert not border_plane(labels, 3).any()


@given(hnp.arrays(np.uint16, (7, 5), elements=st.integers(0, 3)))
def test_classes_that_exclude_each_other_have_a_bit_each_and_no_border(mask):
    target = target_planes(mask, Task("classes", ("b", "c"), ((2,), (3,))), border_width=2)
    np.testing.assert_array_equal(target, np.where(mask > 1, 1 << (np.maximum(mask, 2) - 2), 0))


@given(hnp.arrays(np.uint16, (7, 5), elements=st.integers(0, 255)))
def test_bits_of_a_multilabel_mask_stay_bits(mask):
    names = tuple("abcdefgh")
    every = Task("multilabel", names, tuple(own_places(8)))
    np.testing.assert_array_equal(target_planes(mask, every, 2), mask)
    first_and_last = Task("multilabel", ("a", "h"), ((1,), (8,)))
    expected = (mask & 1) | (mask >> 7 & 1) << 1
    np.testing.assert_array_equal(target_planes(mask, first_and_last, 2), expected)


@given(st.integers(1, 300), st.integers(16, 64), st.data())
def test_tiles_cover_an_axis_and_stay_inside(length, tile, data):
    stride = data.draw(st.integers(1, tile))
    at = starts(length, tile, stride)
    seen = set()
    for start in at:
        assert start == 0 or start + tile <= length
        seen.update(range(start, start + tile))
    assert seen >= set(range(length))


@given(st.integers(1, 70), st.integers(1, 70))
def test_padding_keeps_the_image_and_reaches_the_tile(height, width):
    image = np.arange(height * width, dtype=np.int32).reshape(height, width).astype(np.uint16)
    padded = pad_to(image, 48)
    assert padded.shape == (max(height, 48), max(width, 48))
    np.testing.assert_array_equal(padded[:height, :width], image)
    assert np.isin(padded, image).all()


def test_every_tile_has_its_size():
    image = np.zeros((100, 61, 2), np.uint8)
    assert {tile.shape for tile in cut(image, 48, (32, 40))} == {(48, 48, 2)}


def test_strides_are_an_axis_each():
    image = np.arange(100 * 90).reshape(100, 90).astype(np.uint16)
    corners = [int(tile[0, 0]) for tile in cut(image, 48, (26, 42))]
    assert corners == [y * 90 + x for y in (0, 26, 52) for x in (0, 42)]
