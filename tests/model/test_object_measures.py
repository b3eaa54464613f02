"""Measures of many objects at once are those that scikit-image takes of each."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import regionprops_table

from model.object_measures import Measures

speckles = hnp.arrays(np.uint16, (9, 11), elements=st.integers(0, 3))
PROPERTIES = ("label", "area", "perimeter", "eccentricity", "mean_intensity", "centroid", "bbox")


def assert_equal(labels, image):
    found, expected = Measures(labels), regionprops_table(labels, image, properties=PROPERTIES)
    assert found.ids.tolist() == expected["label"].tolist()
    assert found.area.tolist() == expected["area"].tolist()
    assert found.perimeter() == pytest.approx(expected["perimeter"])
    # a square root of a difference near 0 keeps half of the digits
    assert found.eccentricity() == pytest.approx(expected["eccentricity"], abs=1e-6)
    assert found.mean(image) == pytest.approx(expected["mean_intensity"])
    assert found.y == pytest.approx(expected["centroid-0"])
    assert found.x == pytest.approx(expected["centroid-1"])
    for place, ends in enumerate(found.boxes()):
        assert ends.tolist() == expected[f"bbox-{place}"].tolist()


@settings(max_examples=60, deadline=None)
@given(speckles, st.integers(0, 2**16))
def test_of_any_pixels(labels, seed):
    image = np.random.default_rng(seed).integers(0, 2**16, labels.shape, dtype=np.uint16)
    assert_equal(labels * 7000, image)


@pytest.mark.parametrize("seed", range(5))
def test_of_blobs_that_touch_each_other_and_the_edge(seed):
    generator = np.random.default_rng(seed)
    heights = ndimage.gaussian_filter(generator.random((120, 150)), 4)
    blobs, count = ndimage.label(heights > np.median(heights))
    assert count > 5
    cut = blobs + count * (np.arange(150) // 40) * (blobs > 0)
    assert_equal(cut.astype(np.uint16), generator.integers(0, 256, blobs.shape).astype(np.uint8))


def test_of_nothing():
    none = Measures(np.zeros((4, 5), np.uint16))
    for measured in (none.ids, none.area, none.perimeter(), none.eccentricity(), *none.boxes()):
        assert len(measured) == 0
