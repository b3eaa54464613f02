"""Retinal photographs: how many of four experts saw disc and cup."""

from __future__ import annotations

import numpy as np
import pytest

PIXELS = np.random.default_rng(3).integers(0, 256, (60, 70, 3), np.uint8)
ROOT = "Drishti-GS1_files/Training"


def soft_map(radius: int) -> np.ndarray:
    """Rings of 64, 128, 191 around what all four experts marked."""
    y, x = np.mgrid[:60, :70]
    distance = np.hypot(y - 30, x - 35)
    out = np.zeros((60, 70), np.uint8)
    for more, level in ((9, 64), (6, 128), (3, 191), (0, 255)):
        out[distance <= radius + more] = level
    return out


def agreed(radius: int) -> np.ndarray:
    y, x = np.mgrid[:60, :70]
    return np.hypot(y - 30, x - 35) <= radius + 3


def deliver(bench, number: str, disc: int = 14, cup: int = 5) -> None:
    name = f"drishtiGS_{number}"
    bench.image(f"{ROOT}/Images/ALL/{name}.png", PIXELS)
    bench.image(f"{ROOT}/GT/{name}/SoftMap/{name}_ODsegSoftmap.png", soft_map(disc))
    bench.image(f"{ROOT}/GT/{name}/SoftMap/{name}_cupsegSoftmap.png", soft_map(cup))
    bench.text(f"{ROOT}/GT/{name}/AvgBoundary/{name}_ODAvgBoundary.txt", "3 4\n")


def read(bench, **kwargs):
    return bench.read("drishti-gs", "multilabel", "disc", "cup", **kwargs)


@pytest.fixture
def eyes(bench):
    for number in ("002", "004"):
        deliver(bench, number)
    return bench


def test_three_of_four_experts_decide_and_a_cup_is_disc_too(eyes):
    out = read(eyes)
    assert not out.problems
    assert list(out.items) == ["drishtiGS_002", "drishtiGS_004"]
    mask = out.masks["drishtiGS_002"]
    np.testing.assert_array_equal(mask & 1 > 0, agreed(14))
    np.testing.assert_array_equal(mask & 2 > 0, agreed(5))
    assert set(np.unique(mask)) == {0, 1, 3}


def test_test_images_without_maps_are_left_alone(eyes):
    eyes.image("Drishti-GS1_files/Test/Images/drishtiGS_001.png", PIXELS)
    out = read(eyes, source=eyes.zipped())
    assert not out.problems
    assert len(out.masks) == 2


def write(bench, kind: str, pixels: np.ndarray) -> None:
    name = "drishtiGS_002"
    bench.image(f"{ROOT}/GT/{name}/SoftMap/{name}_{kind}segSoftmap.png", pixels)


@pytest.mark.parametrize(
    ("kind", "pixels", "words"),
    [
        ("cup", soft_map(20), ["inside the optic disc", "outside"]),
        ("OD", soft_map(14) // 2, ["the values 0, 64, 128, 191 and 255, found 32"]),
        ("OD", np.minimum(soft_map(14), 128), ["no optic disc"]),
        ("OD", np.zeros((60, 70), np.uint8), ["all black"]),
        ("cup", np.zeros((60, 70), np.uint8), ["all black"]),
        ("cup", soft_map(5)[:, 1:], ["expected 70x60", "found 69x60"]),
        ("cup", PIXELS, ["expected a grey mask"]),
    ],
    ids=["outside", "levels", "no agreement", "no disc", "no cup", "another shape", "colours"],
)
def test_bad_maps_are_named(eyes, kind, pixels, words):
    write(eyes, kind, pixels)
    out = read(eyes)
    assert out.says(f"drishtiGS_002_{kind}segSoftmap.png", *words, image="drishtiGS_002")
    assert set(out.masks) == {"drishtiGS_004"}


def test_experts_may_disagree_about_the_cup(eyes):
    write(eyes, "cup", np.minimum(soft_map(5), 128))
    out = read(eyes)
    assert not out.problems
    assert set(np.unique(out.masks["drishtiGS_002"])) == {0, 1}


def test_what_is_missing_or_too_much_is_named(eyes):
    folder = eyes.root / ROOT / "GT/drishtiGS_002/SoftMap"
    (folder / "drishtiGS_002_cupsegSoftmap.png").unlink()
    eyes.image(f"{ROOT}/Images/GLAUCOMA/drishtiGS_004.png", PIXELS)
    eyes.image(f"{ROOT}/elsewhere.png", PIXELS)
    out = read(eyes)
    assert out.says("drishtiGS_002", "found no cupsegSoftmap", image="drishtiGS_002")
    assert out.says("drishtiGS_004 again", image="drishtiGS_004")
    assert out.says("elsewhere.png", "not in its place")


def test_nothing_is_said_to_be_nothing(bench):
    assert read(bench).says("no images")
