"""The statistics mean what their names say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segtrail.image_statistics import image_statistics, mask_statistics

RNG = np.random.default_rng(1)
GREY = RNG.integers(10, 200, (40, 31), np.uint8)
COLOUR = RNG.integers(0, 256, (40, 31, 3), np.uint8)


def test_the_numbers_are_numpy_s():
    found = image_statistics(GREY)
    assert (found["height"], found["width"], found["channels"], found["bits"]) == (40, 31, 1, 8)
    assert (found["minimum"], found["maximum"]) == (GREY.min(), GREY.max())
    assert found["brightness"] == pytest.approx(GREY.mean())
    assert found["contrast"] == pytest.approx(GREY.std())
    assert found["median"] == np.sort(GREY.ravel())[(GREY.size + 1) // 2 - 1]
    assert (found["saturation"], found["red"], found["blue"]) == (0, 1 / 3, 1 / 3)


def test_colour_is_measured_and_alpha_is_not():
    found = image_statistics(COLOUR)
    values = COLOUR.astype(float)
    largest, smallest = values.max(2), values.min(2)
    assert found["saturation"] == pytest.approx((largest - smallest).mean() / largest.mean())
    assert found["red"] == pytest.approx(values[..., 0].sum() / values.sum())
    assert found["blue"] == pytest.approx(values[..., 2].sum() / values.sum())
    alpha = np.dstack([COLOUR, np.zeros((40, 31), np.uint8)])
    assert image_statistics(alpha) == found | {"channels": 4}


def test_sixteen_bits_are_on_the_same_scale():
    eight, sixteen = image_statistics(GREY), image_statistics(GREY.astype(np.uint16) * 257)
    assert sixteen.pop("bits") == 16
    for name, value in sixteen.items():
        assert value == pytest.approx(eight[name], rel=1e-5), name


def test_blurring_takes_sharpness_away_and_scaling_the_contrast_does_not():
    image = cv2.GaussianBlur(GREY, (0, 0), 1)
    sharp = image_statistics(image)["sharpness"]
    assert image_statistics(cv2.GaussianBlur(image, (0, 0), 2))["sharpness"] < sharp / 3
    stretched = (image.astype(np.uint16) * 300).astype(np.uint16)
    assert image_statistics(stretched)["sharpness"] == pytest.approx(sharp, rel=1e-3)


def test_a_blank_image_and_a_single_pixel_have_statistics():
    for shape in ((1, 1), (5, 7), (3, 4, 3)):
        found = image_statistics(np.zeros(shape, np.uint8))
        assert all(np.isfinite(value) for value in found.values())


def test_instances_are_counted_by_id():
    mask = np.zeros((20, 20), np.uint16)
    mask[0:4, 0:5], mask[8:10, 8:10], mask[15:18, 15:18] = 7, 3, 9
    found = mask_statistics(mask, "instances", ["nucleus"])
    assert (found["objects"], found["border_objects"], found["highest_value"]) == (3, 1, 9)
    assert (found["smallest_object"], found["median_object"], found["largest_object"]) == (4, 9, 20)
    assert found["foreground"] == found["foreground_nucleus"] == 33 / 400


def test_classes_and_bits_are_counted_by_connected_parts():
    classes = np.zeros((10, 10), np.uint16)
    classes[1:3, 1:3], classes[6:8, 6:8], classes[3, 3] = 1, 2, 1
    found = mask_statistics(classes, "classes", ["a", "b"])
    assert (found["objects"], found["foreground_a"], found["foreground_b"]) == (2, 0.05, 0.04)
    bits = np.zeros((10, 10), np.uint16)
    bits[2:8, 2:8], bits[4:6, 4:6] = 1, 3
    found = mask_statistics(bits, "multilabel", ["disc", "cup"])
    assert (found["foreground_disc"], found["foreground_cup"]) == (0.36, 0.04)
    assert (found["objects"], found["foreground"]) == (2, 0.36)


def test_an_empty_mask_has_statistics():
    for kind in ("instances", "classes", "multilabel"):
        found = mask_statistics(np.zeros((4, 4), np.uint16), kind, ["a"])
        assert (found["objects"], found["largest_object"], found["foreground"]) == (0, 0, 0)
