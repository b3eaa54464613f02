"""Metrics of slices from the scores of images."""

import numpy as np
import pandas as pd
import pytest

from model.summary import coco, intervals, metrics_in, summarise, values, within


@pytest.fixture
def per_image():
    generator = np.random.default_rng(1)
    n = 40
    return pd.DataFrame(
        {
            "image": [f"i{k}" for k in range(n)],
            "slice": ["a"] * 30 + ["b"] * 10,
            "group": [f"g{k // 2 if k < 30 else k}" for k in range(n)],
            "iou": generator.uniform(0.5, 1, n),
            "iou_cell": generator.uniform(0.5, 1, n),
            "hausdorff_95": generator.uniform(0, 9, n),
            "dice_foreground": 1.0,
            "count_true": generator.integers(5, 9, n),
            "count_predicted": generator.integers(5, 9, n),
            "count_canny": 7,
            "cup_to_disc_true": 0.4,
        }
    )


def test_metrics_are_those_whose_scores_are_there(per_image):
    assert set(metrics_in(per_image)) == {
        "mean_iou", "mean_hausdorff_95", "dice_foreground", "count_error", "count_error_canny",
        "count_bias", "iou_cell",
    }  # fmt: skip


def test_counts_are_compared_as_errors_and_as_bias(per_image):
    off = per_image["count_predicted"] - per_image["count_true"]
    got = summarise(per_image)
    assert got["all"]["count_bias"] == pytest.approx(off.mean())
    assert got["all"]["count_error"] == pytest.approx(off.abs().mean())
    assert got["b"]["count_error"] == pytest.approx(off[30:].abs().mean())
    assert (got["all"]["n"], got["a"]["n"], got["b"]["n"]) == (40, 30, 10)
    np.testing.assert_array_equal(values(per_image, "mean_iou"), per_image["iou"])


def test_each_metric_of_each_slice_has_an_interval(per_image):
    found, got = intervals(per_image), summarise(per_image)
    for part in ("all", "a", "b"):
        for metric, (low, high) in found[part].items():
            assert low - 1e-9 <= got[part][metric] <= high + 1e-9
    wide, narrow = (np.diff(found[part]["mean_iou"])[0] for part in ("b", "all"))
    assert wide > 1.3 * narrow
    alone = intervals(per_image.assign(group="one"))
    assert set(alone["all"].values()) == {None}


def test_intervals_end_where_metrics_do():
    assert within("mean_iou", 0.9, 1.04) == [0.9, 1.0]
    assert within("count_error", -0.5, 7) == [0.0, 7.0]
    assert within("count_bias", -0.5, 7) == [-0.5, 7.0]
    assert within("count_error", -np.inf, np.inf) is None
    assert within("mean_iou", -np.inf, np.inf) is None


def objects_of(images, per, found):
    """Returns true objects that are found with an IoU of 0.9, and as many false ones."""
    rows = [
        {
            "image": image, "true_label": k, "iou": 0.9 if k < found else 0.2,
            "confidence": 1 - k / (2 * per),
        }
        for image in images
        for k in range(per)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_cocos_precision_is_of_all_objects_of_a_slice(per_image):
    images = per_image.assign(count_true=4)
    objects = objects_of(images["image"], 6, 4)
    found, ends = coco(images, objects)
    assert found["coco_ap_50"] == found["coco_ap_85"] == 1  # the sure ones are the right ones
    assert found["coco_ap_95"] == 0
    assert ends["coco_ap_50"] == [1, 1]
    half = coco(images[:20], objects[objects["image"].isin(images["image"][:20])])
    assert coco(images[:20], objects) == half  # objects of other images do not count
    assert set(coco(images.assign(group="one"), objects)[1].values()) == {None}


def test_cocos_intervals_are_of_groups(per_image):
    generator = np.random.default_rng(3)
    objects = objects_of(per_image["image"], 6, 4)
    objects["confidence"] = generator.random(len(objects))
    objects["iou"] = np.where(generator.random(len(objects)) < 0.6, 0.9, 0.2)
    low, high = coco(per_image, objects)[1]["coco_ap_50"]
    assert low < coco(per_image, objects)[0]["coco_ap_50"] < high
    groups = per_image.assign(group=[f"g{k // 6}" for k in range(40)])
    objects["iou"] = np.where(objects["image"].isin([f"i{k}" for k in range(12)]), 0.1, 0.9)
    few = coco(groups, objects)[1]["coco_ap_50"]
    assert np.diff(few)[0] > high - low
