"""Image and target change together, by what the options say and by nothing else."""

import numpy as np
import pytest

from model.augmentation import augment_normalised, augment_pixels
from model.preprocessing import level_histogram
from model.stains import RGB_OF_STAINS, jitter_stains
from model.warping import corner_around_a_class
from segtrail.settings.training import Augmentation, Training

OFF = {"flip": False, "rotate90": False, "brightness": 0.0, "contrast": 0.0, "chance": 1.0}
SIDE = 96


def training(crop: int = SIDE, **changes) -> Training:
    around = changes.pop("oversample_classes", 0.0)
    augmentation = Augmentation(**(OFF | changes))
    return Training(steps=1, crop=crop, augmentation=augmentation, oversample_classes=around)


def changed(pixels, target, options, seed=0):
    import tensorflow as tf

    histogram = level_histogram(pixels)
    out = augment_pixels(
        tf.constant(pixels), tf.constant(target), tf.constant(histogram), options, 1,
        tf.constant([seed, 7], tf.int64),
    )  # fmt: skip
    return [np.asarray(each) for each in out]


def disc(side: int, radius: float, centre: tuple[float, float] | None = None):
    """Returns pixels, 200 in a disc and 20 outside, and the disc as a target."""
    y, x = np.indices((side, side))
    cy, cx = centre or ((side - 1) / 2, (side - 1) / 2)
    inside = (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
    return np.where(inside, 200, 20).astype(np.uint8)[..., None], inside.astype(np.uint8)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 1)).astype(np.uint8)


def test_nothing_is_changed_when_all_is_off(noise):
    target = (noise[..., 0] > 128).astype(np.uint8)
    pixels, same, histogram = changed(noise, target, training())
    np.testing.assert_array_equal(pixels, noise)
    np.testing.assert_array_equal(same, target)
    np.testing.assert_array_equal(histogram, level_histogram(noise))


def test_flips_and_quarter_turns_are_exact_and_all_eight_come(noise):
    target = (noise[..., 0] > 128).astype(np.uint8)
    options = training(flip=True, rotate90=True)
    turned = [np.rot90(noise[..., 0], k) for k in range(4)]
    eight = [each.tobytes() for each in turned] + [each.T.tobytes() for each in turned]
    seen = set()
    for seed in range(60):
        pixels, new, _ = changed(noise, target, options, seed)
        seen.add(eight.index(pixels[..., 0].tobytes()))
        np.testing.assert_array_equal(new, (pixels[..., 0] > 128).astype(np.uint8))
    assert seen == set(range(8))


def test_quarter_turns_alone_never_mirror(noise):
    target = (noise[..., 0] > 128).astype(np.uint8)
    turned = [np.rot90(noise[..., 0], k).tobytes() for k in range(4)]
    drawn = [changed(noise, target, training(rotate90=True), seed)[0] for seed in range(40)]
    assert {turned.index(pixels[..., 0].tobytes()) for pixels in drawn} == set(range(4))


def test_a_shift_is_by_whole_pixels(noise):
    target = (noise[..., 0] > 128).astype(np.uint8)
    tiled = np.pad(noise[..., 0], SIDE, mode="reflect")
    seen = set()
    for seed in range(12):
        pixels, new, _ = changed(noise, target, training(shift=0.2), seed)
        found = [
            (down, across)
            for down, across in np.ndindex(2 * SIDE, 2 * SIDE)
            if (tiled[down : down + SIDE, across : across + SIDE] == pixels[..., 0]).all()
        ]
        assert found
        seen.add(found[0])
        np.testing.assert_array_equal(new, (pixels[..., 0] > 128).astype(np.uint8))
    assert len(seen) > 6


FREE = [
    {"rotate": 180.0},
    {"shear": 20.0},
    {"zoom": 0.5},
    {"elastic": 4.0},
    {"shift": 0.2},
    {"rotate": 45.0, "shear": 10.0, "zoom": 0.3, "elastic": 3.0, "shift": 0.1, "flip": True},
]


@pytest.mark.parametrize("changes", FREE, ids=lambda c: "+".join(c))
def test_the_target_stays_on_the_object(changes):
    pixels, target = disc(SIDE, 22, (40, 52))
    moved = 0
    for seed in range(8):
        new, new_target, _ = changed(pixels, target, training(**changes), seed)
        bright = new[..., 0] > 110
        overlap = (bright & (new_target > 0)).sum() / (bright | (new_target > 0)).sum()
        assert overlap > 0.97
        moved += not np.array_equal(new, pixels)
    assert moved >= 7


def test_a_turn_keeps_sizes_and_a_zoom_is_within_its_bound():
    pixels, target = disc(SIDE, 20)
    area = float(target.sum())
    for seed in range(10):
        assert changed(pixels, target, training(rotate=180.0), seed)[1].sum().astype(
            float
        ) == pytest.approx(area, rel=0.02)
        ratio = changed(pixels, target, training(zoom=0.5), seed)[1].sum() / area
        assert 1 / 1.5**2 * 0.95 < ratio < 1.5**2 * 1.05


def test_a_shift_is_within_its_bound():
    pixels, target = disc(SIDE, 10)
    places = []
    for seed in range(20):
        new = changed(pixels, target, training(shift=0.25), seed)[1]
        places.append(np.argwhere(new).mean(axis=0) - (SIDE - 1) / 2)
    assert 0.1 * SIDE < np.abs(places).max() <= 0.25 * SIDE + 1


def test_chance_leaves_the_others_as_they_are(noise):
    target = np.zeros((SIDE, SIDE), np.uint8)
    options = training(rotate=180.0, elastic=3.0, chance=0.3)
    same = [np.array_equal(changed(noise, target, options, s)[0], noise) for s in range(60)]
    assert 30 <= sum(same) <= 53  # 42 of 60 expected


def test_beyond_the_edge_the_tile_is_mirrored():
    columns = np.tile(np.arange(SIDE, dtype=np.uint8)[None, :, None], (SIDE, 1, 1))
    target = np.zeros((SIDE, SIDE), np.uint8)
    for seed in range(5):
        new = changed(columns, target, training(shift=0.5), seed)[0][..., 0].astype(int)
        assert (new == new[0]).all()
        assert set(np.abs(np.diff(new[0]))) <= {0, 1}  # no jump, no empty part


def test_the_same_seed_gives_the_same_change(noise):
    target = np.zeros((SIDE, SIDE), np.uint8)
    options = training(rotate=90.0, elastic=2.0, gamma=0.5, flip=True)
    first, second, other = (changed(noise, target, options, s)[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_gamma_changes_the_histogram_as_the_pixels(noise):
    target = np.zeros((SIDE, SIDE), np.uint8)
    for seed in range(5):
        pixels, _, histogram = changed(noise, target, training(gamma=1.0), seed)
        assert not np.array_equal(pixels, noise)
        np.testing.assert_array_equal(histogram, level_histogram(pixels))


def test_brightness_and_contrast_are_within_their_bounds():
    import tensorflow as tf

    x = tf.constant(np.linspace(-2, 2, 101, dtype=np.float32)[None, :, None])
    options = Augmentation(brightness=0.3, contrast=0.5)
    for seed in range(20):
        y = np.asarray(augment_normalised(x, options, tf.constant([seed, 1], tf.int64))).ravel()
        slope, shift = (y[-1] - y[0]) / 4, y[50]
        assert 0.5 <= slope <= 1.5
        assert -0.3 <= shift <= 0.3


def test_stains_are_scaled_alike_over_the_image():
    import tensorflow as tf

    amounts = np.random.default_rng(1).uniform(0.1, 0.6, (16, 16, 3))
    pixels = np.round(255 * np.exp(-amounts @ RGB_OF_STAINS)).astype(np.uint8)
    new = np.asarray(jitter_stains(tf.constant(pixels), 0.3, tf.constant([5, 5], tf.int64)))
    found = -np.log(np.maximum(new, 1) / 255) @ np.linalg.inv(RGB_OF_STAINS)
    for stain in range(3):
        slope, shift = np.polyfit(amounts[..., stain].ravel(), found[..., stain].ravel(), 1)
        assert 0.65 < slope < 1.35
        assert abs(shift) < 0.06
    same = np.asarray(jitter_stains(tf.constant(pixels), 0.0, tf.constant([5, 5], tf.int64)))
    assert np.abs(same.astype(int) - pixels).max() <= 1


def test_a_crop_around_a_class_shows_rare_and_frequent_ones_equally_often():
    import tensorflow as tf

    bits = np.zeros((128, 128, 2), bool)
    bits[:, :60, 0] = True
    bits[100:103, 100:103, 1] = True  # rare
    counts = np.zeros(2)
    for seed in range(80):
        corner = corner_around_a_class(tf.constant(bits), 32, tf.constant([seed, 2], tf.int64))
        y, x = np.asarray(corner).astype(int)
        assert 0 <= y <= 96
        assert 0 <= x <= 96
        crop = bits[y : y + 32, x : x + 32]
        assert crop.any()
        counts += crop.any(axis=(0, 1))
    assert counts[1] > 25  # 40 expected; a random corner would show it to one in ten


def test_a_tile_without_a_class_is_cropped_anywhere():
    import tensorflow as tf

    empty = tf.zeros((64, 64, 2), tf.bool)
    corners = {
        tuple(np.asarray(corner_around_a_class(empty, 32, tf.constant([s, 2], tf.int64))))
        for s in range(10)
    }
    assert len(corners) > 5


def test_a_fold_is_refused():
    with pytest.raises(ValueError, match="fold over itself"):
        Augmentation(elastic=9.0, elastic_spacing=32)
