"""Images of one specimen are found, and images of different ones are not."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from components.ingestion import near_duplicates
from components.ingestion.crops import Seam
from components.ingestion.fingerprints import fingerprint, turn
from components.ingestion.layout import consistent, trusted
from components.ingestion.neighbours import (
    NEAR_DUPLICATE,
    NEIGHBOURING_CROP,
    OVERLAPPING_CROP,
    SAME_CONTENT,
    find_links,
)


def field(seed, shape=(288, 288), noise=2.0):
    """A field of nuclei: ellipses of several greys on a dark ground, blurred, with noise."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, 12, np.float32)
    for _ in range(shape[0] * shape[1] // 900):
        at = rng.integers(0, shape[1]), rng.integers(0, shape[0])
        axes = rng.integers(6, 14), rng.integers(5, 10)
        cv2.ellipse(image, at, axes, rng.integers(180), 0, 360, float(rng.integers(60, 200)), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.5) + rng.normal(0, noise, shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def tiles(seed, name, side=96, **options):
    """A field cut into 3 x 3 tiles, `<name><row><column>`."""
    whole = field(seed, (3 * side, 3 * side), **options)
    return {
        f"{name}{y}{x}": whole[y * side : y * side + side, x * side : x * side + side]
        for y in range(3)
        for x in range(3)
    }


def links(images, known=()):
    prints = {name: fingerprint(pixels) for name, pixels in images.items()}
    old = {name: prints.pop(name) for name in known}
    return find_links(old, prints, images.__getitem__)


def test_neighbouring_tiles_of_fields_are_found_and_no_others():
    images = tiles(1, "a") | tiles(2, "b") | tiles(3, "c", noise=4.0)
    found = links(images)
    assert {link.kind for link in found} == {NEIGHBOURING_CROP}
    right = {(f"{f}{y}{x}", f"{f}{y}{x + 1}") for f in "abc" for y in range(3) for x in range(2)}
    below = {(f"{f}{y}{x}", f"{f}{y + 1}{x}") for f in "abc" for y in range(2) for x in range(3)}
    mine = {(link.first, link.second) for link in found}
    assert mine <= right | below
    assert len(mine) >= 0.8 * len(right | below)


def test_colour_and_16_bit_tiles_too():
    grey = tiles(4, "a")
    stained = {
        name: np.stack([255 - t // 4, 255 - t // 2, 255 - t // 3], 2) for name, t in grey.items()
    }
    deep = {name.replace("a", "b"): t.astype(np.uint16) * 16 for name, t in grey.items()}
    for images in (stained, deep):
        assert len(links(images)) >= 9


def test_unrelated_images_have_no_links():
    assert links({f"{n:02d}": field(n, (96, 96)) for n in range(60)}) == []


def test_a_ground_that_all_images_share_links_none():
    """Shading of the lamp, a painted frame, saturated white: alike edges of other specimens."""
    y, x = np.mgrid[:96, :96] / 48 - 1
    shade = 60 * (1 - (x**2 + y**2) / 2)
    shaded, framed, white = {}, {}, {}
    for n in range(24):
        noise = np.random.default_rng(n).normal(0, 1.5, (96, 96))
        spots = np.where(field(n, (96, 96)) > 60, 80.0, 0.0)
        spots[:6], spots[-6:], spots[:, :6], spots[:, -6:] = 0, 0, 0, 0
        shaded[f"s{n}"] = np.clip(shade + spots + noise, 0, 255).astype(np.uint8)
        framed[f"f{n}"] = cv2.copyMakeBorder(
            field(n, (80, 80)), 8, 8, 8, 8, cv2.BORDER_CONSTANT, value=255
        )
        white[f"w{n}"] = np.where(field(n, (96, 96)) < 150, 255, 120).astype(np.uint8)
    for images in (shaded, framed, white):
        assert links(images) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda g: cv2.imdecode(cv2.imencode(".jpg", g, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
        lambda g: (g * 0.6).astype(np.uint8),
        lambda g: (255 * (g / 255.0) ** 0.7).astype(np.uint8),
        lambda g: cv2.GaussianBlur(g, (0, 0), 1.5),
        lambda g: cv2.resize(g, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda g: g.astype(np.uint16) * 200,
        *(lambda g, k=k: turn(g, k) for k in range(1, 8)),
    ],
)
def test_a_changed_copy_is_a_near_duplicate(change):
    images = {f"{n:02d}": field(n, (192, 256)) for n in range(8)}
    (link,) = links(images | {"copy": change(images["03"])}, known=images)
    assert (link.first, link.second, link.kind) == ("03", "copy", NEAR_DUPLICATE)
    assert link.score > 0.55


def test_the_same_pixels_in_another_form_are_the_same_content():
    image = field(1)
    (link,) = links({"a": image, "b": np.repeat(image[..., None], 3, 2)})
    assert (link.kind, link.score) == (SAME_CONTENT, 1.0)


def test_overlapping_crops_are_found_with_their_share():
    whole = field(5, (200, 420))
    images = {"left": whole[:, :240], "right": whole[:, 180:], "other": field(6, (200, 240))}
    (link,) = links(images)
    assert (link.first, link.second, link.kind) == ("left", "right", OVERLAPPING_CROP)
    assert link.score == pytest.approx(60 / 240)


def test_a_scale_bar_in_every_image_is_no_overlap():
    images = {f"{n:02d}": field(n, (160, 160)) for n in range(12)}
    bar = field(99, (20, 60))
    for image in images.values():
        image[130:150, 90:150] = bar
    assert links(images) == []


def test_candidates_take_memory_for_their_number_not_for_that_of_pairs(monkeypatch):
    """Where all images look alike: fundus photographs, cells one by one."""
    monkeypatch.setattr(near_duplicates, "_BLOCK", 128)
    alike = fingerprint(field(1))
    peaks = []
    for count in (500, 2000):
        prints = {
            f"{n:04d}": replace(alike, phash=alike.phash ^ (1 << n % 60)) for n in range(count)
        }
        tracemalloc.start()
        found = near_duplicates.candidates({}, prints)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(found) > (near_duplicates.CANDIDATES - 1) * count
    assert peaks[1] < 5 * peaks[0]  # 4 times the images, 16 times the pairs


def test_known_images_are_compared_with_new_ones_but_not_with_each_other():
    images = tiles(7, "a")
    known = [name for name in images if name != "a11"]
    found = links(images, known)
    assert all("a11" in (link.first, link.second) for link in found)
    assert found == [k for k in links(images) if "a11" in (k.first, k.second)]
    assert len(found) >= 3


def test_names_do_not_matter():
    images = tiles(8, "a") | tiles(9, "b")
    renamed = {f"{n * 7919 % 100:02d}": name for n, name in enumerate(images)}
    found = links({new: images[old] for new, old in renamed.items()})
    assert {(renamed[k.first], renamed[k.second]) for k in found} == {
        (k.first, k.second) for k in links(images)
    }


def seam(first, second, meeting, elsewhere, fit=0.9):
    return Seam(first, second, meeting, 0.9, 1.0, elsewhere, fit)


def test_seams_that_chance_makes_too_are_not_kept():
    good = [seam(f"a{n}", f"b{n}", 0, 0.2, 0.95) for n in range(100)]
    poor = [seam(f"c{n}", f"d{n}", 0, 0.2, 0.6) for n in range(40)]
    chance = [seam(f"e{n}", f"f{n}", 0, 0.2, 0.5 + n / 100) for n in range(30)]
    assert trusted([*poor, *good], []) == [*good, *poor]
    assert trusted([*poor, *good], chance) == good
    assert trusted(poor, chance) == []
    assert trusted([], chance) == []


def test_an_edge_meets_one_other_and_tiles_never_overlap():
    def kept(*seams):
        return [(s.first, s.second) for s in consistent(seams, lambda _: (10, 10))]

    assert kept(seam("a", "b", 0, 0.1), seam("a", "c", 0, 0.5)) == [("a", "b")]
    assert kept(seam("a", "b", 0, 0.5), seam("a", "c", 0, 0.5)) == []  # which one?
    ring = [seam("a", "b", 0, 0.1), seam("a", "c", 1, 0.1), seam("b", "d", 1, 0.1)]
    assert kept(*ring, seam("c", "d", 0, 0.3)) == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    assert kept(*ring, seam("d", "c", 0, 0.3)) == [("a", "b"), ("a", "c"), ("b", "d")]
    # e would lie where d is
    assert kept(*ring, seam("c", "e", 0, 0.3)) == [("a", "b"), ("a", "c"), ("b", "d")]
