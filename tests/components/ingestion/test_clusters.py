"""Dark or bright, grey or colour; and strata within a slice."""

from __future__ import annotations

import json

import numpy as np
import pytest

from components.ingestion import clusters
from components.ingestion.clusters import assign, fit, modality
from segtrail.errors import DataError
from segtrail.files import sha256_bytes
from segtrail.split_ledger import Row


def field(ground, object_, shape=(60, 60), dtype=np.uint8):
    """An image of `ground` with a fifth of it `object_`."""
    image = np.empty((*shape, *np.shape(ground)), dtype)
    image[...] = ground
    image[: shape[0] // 5] = object_
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (field(8, 200), "dark-grey"),
        (field(44, 255), "dark-grey"),  # the brightest dark ground of the real set
        (field(226, 70), "bright-grey"),
        (field((235, 215, 230), (90, 50, 130)), "bright-colour"),
        (field((120, 100, 160), (60, 30, 140)), "bright-colour"),  # purple on purple
        (field((0, 0, 6), (20, 40, 230)), "dark-colour"),  # DAPI in blue
        (field(0, 0), "dark-grey"),
        (field(255, 255), "bright-grey"),
    ],
)
def test_known_looks(image, expected):
    assert modality(image) == expected


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("ground", "expected"), [(8, "dark-grey"), (226, "bright-grey")])
def test_grey_stays_grey_in_rgb_and_under_jpeg_noise(channels, ground, expected):
    grey = np.repeat(field(ground, 120)[..., None], channels, axis=2)
    assert modality(grey) == expected
    noise = np.random.default_rng(1).integers(0, 4 if ground > 99 else 2, (60, 60, 3))
    grey[..., :3] += noise.astype(np.uint8) if ground > 99 else np.uint8(0)
    assert modality(grey) == expected


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_16_bit_images_are_judged_by_the_bits_in_use(bits):
    top = (1 << bits) - 1
    assert modality(field(top // 50, top, dtype=np.uint16)) == "dark-grey"
    assert modality(field(top, top // 4, dtype=np.uint16)) == "bright-grey"


def test_alpha_is_not_looked_at():
    image = field((200, 200, 200, 0), (60, 60, 60, 255))
    assert modality(image) == "bright-grey"


def arrivals(levels, slice_="fluorescence", name="i", seed=1):
    """Images with a brightness around each of some levels."""
    rng = np.random.default_rng(seed)
    return [
        (
            Row(f"{name}{n:03d}", sha256_bytes(f"{name}{n}".encode()), "m", slice=slice_),
            {
                "minimum": rng.normal(level / 10, 0.5),
                "maximum": rng.normal(level * 2, 3),
                "brightness": rng.normal(level, 2),
                "contrast": rng.normal(level / 3, 1),
            },
        )
        for n, level in enumerate(levels)
    ]


def test_two_exposures_are_two_strata_and_one_is_one():
    strata, names = assign({}, arrivals([20, 80] * 30), 1)
    assert len(strata["fluorescence"].centres) == 2
    by_level = {0: set(), 1: set()}
    for n, image in enumerate(sorted(names)):
        by_level[n % 2].add(names[image])
    assert by_level == {0: {"fluorescence-1"}, 1: {"fluorescence-2"}}
    strata, names = assign({}, arrivals([50] * 60), 1)
    assert set(names.values()) == {"fluorescence"}


def test_few_images_and_flat_statistics_are_one_stratum():
    strata, names = assign({}, arrivals([20, 80] * 9), 1)
    assert (strata, set(names.values())) == ({}, {"fluorescence"})
    same = dict.fromkeys(clusters.STATISTICS, 7.0)
    assert len(fit([same] * 50, 1).centres) == 1


def test_copies_do_not_make_a_stratum():
    """One image delivered under forty names is one image."""
    copies = [(Row(f"c{n}", "same", "m", slice="s"), arrivals([20])[0][1]) for n in range(40)]
    strata, names = assign({}, copies, 1)
    assert (strata, set(names.values())) == ({}, {"s"})


def test_strata_are_fitted_once_and_later_images_go_to_the_nearest():
    strata, _ = assign({}, arrivals([20, 80] * 30), 1)
    later, names = assign(strata, arrivals([25, 75, 300], name="later"), 1)
    assert later == strata
    assert [names[image][-2:] for image in sorted(names)] == ["-1", "-2", "-2"]
    new, names = assign(strata, arrivals([5, 200] * 20, "stained"), 1)
    assert new["fluorescence"] == strata["fluorescence"]
    assert set(names.values()) == {"stained-1", "stained-2"}


def test_neither_order_nor_names_matter_to_strata():
    mine = arrivals([20, 80, 140] * 20)
    strata, names = assign({}, mine, 1)
    renamed = [(Row(f"z{n}", r.sha256, "m", slice=r.slice), s) for n, (r, s) in enumerate(mine)]
    again, others = assign({}, renamed[::-1], 1)
    assert again == strata
    assert [others[f"z{n}"] for n in range(len(mine))] == [names[r.image] for r, _ in mine]


def test_strata_read_as_written(tmp_path):
    strata, _ = assign({}, arrivals([20, 80] * 30), 1)
    path = tmp_path / "clusters.json"
    assert clusters.read(path) == {}
    path.write_text(clusters.to_json(strata))
    assert clusters.read(path) == strata


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.update(scale=[1, 1, 0, 1]),
        lambda one: one.update(centres=[]),
        lambda one: one.update(centres=[[1, 2]]),
        lambda one: one.update(mean=[1, 2, 3, "x"]),
        lambda one: one.pop("mean"),
        lambda one: one.update(mean=[1, 2, 3, float("nan")]),
    ],
)
def test_a_file_that_is_none(change, tmp_path):
    strata, _ = assign({}, arrivals([20, 80] * 30), 1)
    content = json.loads(clusters.to_json(strata))
    change(content["slices"]["fluorescence"])
    path = tmp_path / "clusters.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"clusters\.json: not a file of strata"):
        clusters.read(path)
