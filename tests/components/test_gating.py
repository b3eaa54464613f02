"""The gate's rules."""

import json

import numpy as np
import pandas as pd
import pytest

from components.gating.rules import apply_rules
from components.gating.verdict import overall
from lineage.verdicts import FAIL, INSUFFICIENT, PASS
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


def test_images_of_few_groups_cannot_tell_two_models_apart():
    rules = gate(
        relative=[
            {"metric": "mean_iou", "margin": 0.01},
            {"metric": "mean_iou", "margin": 0.01, "judged": "value"},
        ]
    )
    blocks = [f"slices-{i // 3}" for i in range(9)]
    found = apply_rules(rules, scores([0.8] * 9, groups=blocks), scores([0.7] * 9, groups=blocks))
    assert [rule.verdict for rule in found] == [PASS, INSUFFICIENT, PASS]
    assert "only 9 test images in 3 groups with scores of both models" in found[1].says
    assert found[1].interval is None
    assert "on the test images" in found[2].rule
    json.dumps([rule.to_json() for rule in found], allow_nan=False)


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
    assert overall([]) == INSUFFICIENT


@pytest.mark.parametrize(
    ("rule", "expected", "says"),
    [
        ({"min": 0.5, "judged": "bound"}, PASS, "surely at least 0.5"),
        ({"min": 0.62, "judged": "bound"}, INSUFFICIENT, "to tell if it is at least 0.62"),
        ({"min": 0.8, "judged": "bound"}, FAIL, "surely not at least 0.8"),
        ({"min": 0.5, "judged": "bound", "min_images": 41}, INSUFFICIENT, "at least 41"),
        ({"min": 0.5, "judged": "value", "min_images": 40}, PASS, "at least 0.5 is asked"),
    ],
)
def test_an_absolute_rule_may_ask_for_the_bound_of_the_interval(rule, expected, says):
    iou = np.random.default_rng(1).normal(0.62, 0.1, 40).clip(0, 1)
    (found,) = apply_rules(gate([{"metric": "mean_iou"} | rule]), scores(iou), None)
    assert found.verdict == expected
    assert says in found.says


def test_a_bound_of_few_images_is_no_evidence_unless_the_rule_says_so():
    few = scores(np.random.default_rng(1).uniform(0.7, 0.9, 24))
    asked = {"metric": "mean_iou", "min": 0.5, "judged": "bound"}
    assert verdict(gate([asked]), few) == [INSUFFICIENT]
    assert verdict(gate([asked | {"min_images": 20}]), few) == [PASS]


@pytest.mark.parametrize(("change", "expected"), [(-1, PASS), (0.02, PASS), (4, FAIL)])
def test_of_errors_less_is_better(change, expected):
    theirs = scores([0.7] * 20)
    ours = theirs.assign(count_predicted=theirs["count_predicted"] + change)
    rules = gate(relative=[{"metric": "count_error", "margin": 0.5}])
    found = apply_rules(rules, ours, theirs)[1]
    assert found.verdict == expected
    assert found.rule == "count_error not above the champion's by more than 0.5"
    assert found.value == pytest.approx(change)


def of_slices(n, each, offset):
    """Returns candidate and champion of n slices, the candidate better by each one's offset."""
    generator = np.random.default_rng(7)
    theirs, ours = [], []
    for k in range(n):
        base = generator.uniform(0.6, 0.9, each)
        names = {key: [f"{k}-{i}" for i in range(each)] for key in ("image", "group")}
        theirs.append(scores(base, f"s{k}").assign(**names))
        ours.append(
            scores(base + offset[k] + generator.normal(0, 0.02, each), f"s{k}").assign(**names)
        )
    return pd.concat(ours), pd.concat(theirs)


def test_each_slice_is_judged_and_a_worse_one_stops_what_is_better_on_the_whole():
    ours, theirs = of_slices(4, 30, [0.1, 0.1, 0.1, -0.08])
    rules = gate(relative=[{"margin": 0.01}, {"slice": "each", "margin": 0.02}])
    found = apply_rules(rules, ours, theirs)[1:]
    assert [(rule.slice, rule.verdict) for rule in found] == [
        ("all", PASS), ("s0", PASS), ("s1", PASS), ("s2", PASS), ("s3", FAIL),
    ]  # fmt: skip
    assert overall(found) == FAIL
    assert found[0].p_adjusted is None
    assert found[4].p_adjusted >= found[4].p_fail


def test_holm_asks_more_of_a_failure_among_many_slices_and_nothing_of_passes():
    offsets = [0.0] * 9 + [-0.0295]
    ours, theirs = of_slices(10, 20, offsets)
    rule = {"slice": "each", "margin": 0.02}
    alone = apply_rules(gate(relative=[rule | {"slice": "s9"}]), ours, theirs)[1]
    assert alone.verdict == FAIL
    by = {}
    for correction in ("holm", "none"):
        settings = gate(relative=[rule]).model_dump() | {"correction": correction}
        by[correction] = apply_rules(Gate.model_validate(settings), ours, theirs)
    assert by["none"][10].verdict == FAIL
    assert by["holm"][10].verdict == INSUFFICIENT
    assert "by Holm" in by["holm"][10].says
    assert [r.verdict for r in by["holm"][1:10]] == [r.verdict for r in by["none"][1:10]]


@pytest.mark.parametrize(("too_few", "expected"), [("block", INSUFFICIENT), ("report", PASS)])
def test_a_small_slice_may_be_reported_without_deciding(too_few, expected):
    per_image = pd.concat([scores([0.8] * 9, "large"), scores([0.1] * 2, "small")])
    rule = {"metric": "mean_iou", "slice": "each", "min": 0.5, "too_few": too_few}
    found = apply_rules(gate([rule]), per_image, None)
    assert [(r.slice, r.verdict) for r in found] == [("large", PASS), ("small", INSUFFICIENT)]
    assert overall(found) == expected
    assert ("This does not decide." in found[1].says) == (too_few == "report")


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"metric": "mean_iou", "min": 1.1}, "between 0 and 1"),
        ({"metric": "count_error", "max": -1}, "0 or more"),
        ({"metric": "mean_iou", "min": 0.1, "max": 0.9}, "one of min and max"),
        ({"metric": "mean_iou", "min": 0.1, "judged": "mean"}, "'value' or 'bound'"),
    ],
)
def test_rules_out_of_reach_are_refused(rule, says):
    with pytest.raises(ValueError, match=says):
        gate([rule])
    with pytest.raises(ValueError, match="nothing would be refused"):
        gate(relative=[{"margin": 1.5}])


def test_a_class_may_be_called_as_the_other_model_is():
    iou = np.random.default_rng(2).uniform(0.5, 0.9, 20)
    rules = gate(relative=[{"metric": "iou_other", "margin": 0.01}])
    theirs, ours = (scores(iou).assign(iou_other=value) for value in (iou, iou - 0.1))
    assert verdict(rules, ours, theirs) == [PASS, FAIL]


def test_a_champion_that_could_not_be_compared_with_blocks_whatever_is_only_reported():
    rules = gate(relative=[{"metric": "mean_iou", "slice": "each", "too_few": "report"}])
    candidate = scores([0.7] * 9)
    found = apply_rules(rules, candidate, candidate.iloc[:0])
    assert overall(found) == INSUFFICIENT
    assert "This does not decide." not in found[-1].says
    assert overall(apply_rules(rules, candidate, candidate)) == PASS


def test_too_few_images_of_all_kinds_cannot_be_waved_through():
    with pytest.raises(ValueError, match="too_few: report is for slices"):
        gate([{"metric": "mean_iou", "min": 0.5, "too_few": "report"}])
