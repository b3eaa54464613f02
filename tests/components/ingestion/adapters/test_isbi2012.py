"""Electron micrographs: slices of one stack, as images or as pages of a TIFF."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

RNG = np.random.default_rng(2)
SLICES = [RNG.integers(0, 256, (30, 36), np.uint8) for _ in range(11)]
LABELS = [np.where(RNG.random((30, 36)) < 0.8, 255, 0).astype(np.uint8) for _ in range(11)]


def read(bench, **kwargs):
    return bench.read("isbi2012", "classes", "cell", **kwargs)


@pytest.fixture
def slices(bench):
    for n, (image, label) in enumerate(zip(SLICES, LABELS, strict=True)):
        bench.image(f"train/image/{n}.png", image)
        bench.image(f"train/label/{n}.png", label)
    return bench


def check(out, count=11):
    assert not out.problems
    assert list(out.items) == [f"slice-{n:03d}" for n in range(count)]
    for n in range(count):
        np.testing.assert_array_equal(out.images[f"slice-{n:03d}"].pixels, SLICES[n])
        np.testing.assert_array_equal(out.masks[f"slice-{n:03d}"], LABELS[n] // 255)


def test_slices_are_read_in_the_order_of_their_numbers(slices):
    check(read(slices))


def test_the_challenges_volumes_are_the_same_slices(slices):
    plain = read(slices)
    shutil.rmtree(slices.root / "train")
    slices.pages("ISBI/train-volume.tif", SLICES)
    slices.pages("ISBI/train-labels.tif", LABELS)
    slices.pages("ISBI/test-volume.tif", SLICES[:3])  # without labels: left alone
    out = read(slices)
    check(out)
    assert {k: i.group for k, i in out.items.items()} == {
        k: i.group for k, i in plain.items.items()
    }
    check(read(slices, source=slices.zipped()))


def test_neighbours_are_one_group_whatever_else_is_delivered(slices):
    groups = {key: item.group for key, item in read(slices).items.items()}
    assert groups["slice-000"] == groups["slice-003"] != groups["slice-004"]
    for n in (0, 1, 2, 5):
        (slices.root / f"train/image/{n}.png").unlink()
        (slices.root / f"train/label/{n}.png").unlink()
    later = {key: item.group for key, item in read(slices).items.items()}
    assert later == {key: groups[key] for key in later}


def test_the_test_folder_is_left_alone(slices):
    slices.image("test/0.png", SLICES[0])
    check(read(slices))


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (LABELS[0] // 2, ["expected 0 (membrane) and 255 (cell) only, found 127"]),
        (np.full((30, 36), 255, np.uint8), ["slice 002 is cell all over"]),
        (np.zeros((30, 36), np.uint8), ["slice 002 is membrane all over"]),
        (LABELS[0][:, :35], ["expected 36x30", "found 35x30"]),
    ],
    ids=["grey", "white", "black", "another shape"],
)
def test_bad_labels_are_named(slices, label, words):
    slices.image("train/label/2.png", label)
    out = read(slices)
    assert out.says("train/label/2.png", *words, image="slice-002")
    assert len(out.masks) == 10


def test_what_does_not_belong_together_is_named(slices):
    (slices.root / "train/label/4.png").unlink()
    slices.image("train/image/007.png", SLICES[0])
    slices.image("train/aug/0.png", SLICES[0])
    out = read(slices)
    assert out.says("train/image/4.png", "found the image alone", image="slice-004")
    assert out.says("train/image/7.png", "slice 7 again", image="slice-007")
    assert out.says("train/aug/0.png", "not in its place")


def test_volumes_of_different_length_are_refused(bench):
    bench.pages("train-volume.tif", SLICES)
    bench.pages("train-labels.tif", LABELS[:10])
    out = read(bench)
    assert out.says("train-labels.tif", "expected 11 pages", "found 10")
    assert not out.items


def test_a_volume_without_labels_or_damaged_is_refused(bench):
    path = bench.pages("train-volume.tif", SLICES)
    assert read(bench).says("train-volume.tif", "one train-labels.tif", "found 1 and 0")
    bench.pages("train-labels.tif", LABELS)
    path.write_bytes(b"II*\0\xff\xff\xff\x7f")
    assert read(bench).says("train-volume.tif")


def test_slices_and_volumes_together_are_refused(slices):
    slices.pages("train-volume.tif", SLICES)
    slices.pages("train-labels.tif", LABELS)
    assert read(slices).says("slice 0 again", image="slice-000")


def test_nothing_is_said_to_be_nothing(bench):
    assert read(bench).says("no images", "train-volume.tif")
