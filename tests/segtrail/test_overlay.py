"""Outlines over images."""

import numpy as np
import pytest

from segtrail import overlay

DARK = np.full((300, 320), 20, np.uint8)


def where(picture, colour):
    return (picture == np.array(colour, np.uint8)).all(-1)


def test_each_class_is_outlined_in_its_own_colour_inside_its_pixels():
    planes = np.zeros((300, 320, 8), bool)
    for k in range(8):
        planes[20:80, 10 + 38 * k : 40 + 38 * k, k] = True
    picture = overlay.draw_classes(DARK, planes)
    for k, colour in enumerate(overlay.CLASSES):
        drawn = where(picture, colour)
        assert drawn.any()
        assert not (drawn & ~planes[..., k]).any()
        assert not drawn[22:78, 12 + 38 * k : 38 + 38 * k].any()
    assert len(set(overlay.CLASSES)) == 8


def test_the_true_outline_is_dotted_and_the_predicted_one_goes_over_it():
    true, predicted = np.zeros((2, 300, 320, 1), bool)
    true[50:150, 50:150], predicted[50:150, 200:300] = True, True
    picture = overlay.draw_classes(DARK, predicted, true)
    lines = where(picture, overlay.CLASSES[0])
    assert lines[50, 200:300].all()
    assert 0.3 < lines[50, 50:150].mean() < 0.7
    same = overlay.draw_classes(DARK, predicted, predicted)
    np.testing.assert_array_equal(same, overlay.draw_classes(DARK, predicted))


def test_the_legend_shows_each_class_in_its_colour_in_the_order_of_the_classes():
    line = overlay.legend(["cytoplasm", "nucleus"], 600)
    assert line.shape == (24, 600, 3)
    places = [np.argwhere(where(line, colour))[:, 1].min() for colour in overlay.CLASSES[:2]]
    assert places == sorted(places)
    assert not where(line, overlay.CLASSES[2]).any()
    assert overlay.legend(["nucleus"], 60).shape == (24, 60, 3)  # too narrow: cut off, no error


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3), (40, 60, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_small_images_of_any_kind_are_made_large_enough_to_look_at(shape, dtype):
    image = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    planes = np.zeros((40, 60, 2), bool)
    planes[10:20, 10:20, 1] = True
    labels = planes[..., 1].astype(np.uint16)
    for picture in (overlay.draw_classes(image, planes), overlay.draw(image, labels, labels)):
        assert picture.shape == (320, 480, 3)
        assert picture.dtype == np.uint8
    assert where(overlay.draw_classes(image, planes), overlay.CLASSES[1]).any()
