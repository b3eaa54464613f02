"""Which metrics a recipe has, and which way they are good."""

import pytest

from segtrail.settings.metrics import KINDS, OF_A_CLASS, kind_of, metrics_of

OF_ALL = [name for name, kind in KINDS.items() if not kind.needs.says]


def extra(masks, classes):
    """Returns the metrics that not every recipe has."""
    found = metrics_of(masks, classes)
    assert found[: len(OF_ALL)] == OF_ALL
    of_classes = [f"{prefix}{name}" for name in classes for prefix in OF_A_CLASS]
    assert found[len(found) - len(of_classes) :] == of_classes
    return set(found[len(OF_ALL) : len(found) - len(of_classes)])


COUNTS = {"count_error", "count_error_canny", "count_bias"}


def test_metrics_are_those_of_the_task():
    objects = {*(f"ap_{t}" for t in range(50, 100, 5)), "ap", "f1", "sq", "pq", "merged", "split"}
    assert extra("instances", ["n"]) == objects | COUNTS
    assert extra("classes", ["c"]) == COUNTS | {"rand_f", "vi_split", "vi_merged"}
    assert extra("multilabel", ["a"]) == set()
    assert extra("multilabel", ["a", "b"]) == {"dice_foreground"}
    assert extra("multilabel", ["disc", "cup"]) == {"dice_foreground", "cup_to_disc_error"}
    assert extra("classes", ["a", "b"]) == {"dice_foreground"}


@pytest.mark.parametrize(
    ("metric", "better", "highest"),
    [
        ("mean_iou", "more", 1),
        ("surface_dice_cup", "more", 1),
        ("hausdorff_95_cup", "less", float("inf")),
        ("merged", "less", 1),
        ("count_bias", "neither", float("inf")),
    ],
)
def test_each_metric_has_a_direction_and_an_end(metric, better, highest):
    assert (kind_of(metric).better, kind_of(metric).highest) == (better, highest)


def test_no_metric_is_called_like_one_of_a_class():
    assert not [
        (name, prefix)
        for name in KINDS
        for prefix in OF_A_CLASS
        if name.startswith(prefix) and name != "dice_foreground"
    ]
    with pytest.raises(KeyError):
        kind_of("iuo_cell")
