"""The gate's rules and their statistics."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.gating.bootstrap import mean_interval
from components.gating.rules import FAIL, INSUFFICIENT, PASS, apply_rules, overall
from segtrail.settings.gate import Gate


def scores(iou, slice_name="fluorescence", groups=None):
    n = len(iou)
    return pd.DataFrame(
        {
            "image": [f"image-{i}" for i in range(n)],
            "sha256": [f"{i // 2:064x}" for i in range(n)],  # duplicates are allowed
            "slice": slice_name,
            "group": groups or [f"g{i}" for i in range(n)],
            "iou": iou,
            "dice": iou,
            "ap_50": iou,
            "count_true": 10,
            "count_predicted": 12,
        }
    )


def gate(absolute=None, relative=None):
    rules = {"absolute": absolute or [{"metric": "mean_iou", "min": 0.5}]}
    return Gate.model_validate(rules | {"relative": relative or [], "resamples": 2000})


def verdict(rules, candidate, champion=None):
    return [found.verdict for found in apply_rules(rules, candidate, champion)]


def test_the_interval_holds_the_true_mean_as_often_as_it_says():
    generator = np.random.default_rng(4)
    truth, held = 0.5, 0
    for trial in range(300):
        values = generator.beta(5, 5, 40)
        low, high = mean_interval(values, [str(i) for i in range(40)], 0.9, 1000, trial)
        held += low <= truth <= high
    # 300 trials at 0.9: 4 standard errors are 0.07; the percentile interval is a little narrow
    assert 0.82 < held / 300 < 0.97


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
@settings(max_examples=30)
def test_the_interval_is_repeatable_and_within_the_values(values, seed):
    array, groups = np.asarray(values), [str(i) for i in range(len(values))]
    low, high = mean_interval(array, groups, 0.95, 1000, seed)
    assert (low, high) == mean_interval(array, groups, 0.95, 1000, seed)
    assert array.min() - 1e-9 <= low <= high <= array.max() + 1e-9


def test_images_of_one_group_are_one_piece_of_evidence():
    values = np.repeat([0.2, 0.8, 0.5, 0.6], 10)
    apart = mean_interval(values, [str(i) for i in range(40)], 0.95, 2000, 1)
    together = mean_interval(values, [str(i // 10) for i in range(40)], 0.95, 2000, 1)
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"metric": "mean_iou", "min": 0.6}, PASS),
        ({"metric": "mean_iou", "min": 0.61}, FAIL),
        ({"metric": "count_error", "max": 2}, PASS),
        ({"metric": "count_error", "max": 1.9}, FAIL),
        ({"metric": "mean_iou", "slice": "stained", "min": 0.1}, INSUFFICIENT),
    ],
)
def test_absolute_rules(rule, expected):
    assert verdict(gate([rule]), scores([0.6] * 8)) == [expected]


def test_relative_rules_say_pass_fail_or_that_it_cannot_be_told():
    generator = np.random.default_rng(0)
    theirs = generator.uniform(0.6, 0.9, 60)
    rules = gate(relative=[{"metric": "mean_iou", "margin": 0.01}])
    same = verdict(rules, scores(theirs + 0.001), scores(theirs))
    worse = verdict(rules, scores(theirs - 0.05), scores(theirs))
    noisy = verdict(rules, scores(theirs + generator.normal(0, 0.3, 60)), scores(theirs))
    assert (same[1], worse[1], noisy[1]) == (PASS, FAIL, INSUFFICIENT)


def test_relative_rules_pair_the_same_images_whatever_their_order():
    theirs = scores(np.linspace(0.5, 0.9, 20))
    ours = theirs.sample(frac=1, random_state=1)
    rules = gate(relative=[{"metric": "mean_iou", "margin": 0.001}])
    (_, relative) = apply_rules(rules, ours, theirs)
    assert relative.value == 0
    assert relative.verdict == PASS
    assert relative.n == 20


def test_images_of_one_group_alone_cannot_tell_two_models_apart():
    rules = gate(relative=[{"metric": "mean_iou", "margin": 0.01}])
    block = ["slices-000-003"] * 9
    found = apply_rules(rules, scores([0.8] * 9, groups=block), scores([0.7] * 9, groups=block))
    assert [rule.verdict for rule in found] == [PASS, INSUFFICIENT]
    assert "all 9 test images are of one group" in found[1].says


def test_without_a_champion_only_absolute_rules_apply():
    rules = gate(relative=[{"metric": "mean_iou"}])
    assert verdict(rules, scores([0.7] * 9)) == [PASS]


def test_overall_is_the_worst_that_was_said():
    rules = gate(
        [{"metric": "mean_iou", "min": 0.9}, {"metric": "mean_iou", "slice": "x", "min": 0}]
    )
    found = apply_rules(rules, scores([0.7] * 9), None)
    assert overall(found) == FAIL
    assert overall(found[1:]) == INSUFFICIENT
    assert overall([]) == PASS
