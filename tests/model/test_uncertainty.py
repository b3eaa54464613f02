"""Intervals and p-values of means over images in groups."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from model.uncertainty import Change, Level, holm, level_intervals, tail_of

SOME = st.lists(st.floats(-1, 1), min_size=7, max_size=25)


def apart(n):
    return [str(i) for i in range(n)]


def simulated(kind, draw, truth, n, trials, seed, resamples=999):
    """Returns how often the interval lies below, and above, the truth."""
    generator = np.random.default_rng(seed)
    below = above = 0
    for trial in range(trials):
        low, high = kind(draw(generator, n), apart(n), resamples, trial).interval(0.9)
        below, above = below + (high < truth), above + (low > truth)
    return below, above


def test_equally_good_models_are_told_apart_as_often_as_the_level_says():
    """Each side 5 % of 1,500: within 4 standard errors, whatever the tails and however few."""

    def heavy(generator, n):
        return generator.standard_t(2, n)

    for n in (6, 12, 30):
        for count in simulated(Change, heavy, 0, n, 1500, n):
            assert 41 < count < 109 or (n == 6 and 20 < count < 75)  # 1/32 or 2/64 at six


def test_a_level_with_a_long_tail_is_held_as_often_as_the_confidence_says():
    def skewed(generator, n):
        return generator.beta(6, 1.2, n)

    below, above = simulated(Level, skewed, 6 / 7.2, 30, 1500, 0)
    # 5 % each, a little more above; the percentile bootstrap gives 11 % there
    assert 41 < below < 125
    assert 41 < above < 125


@given(SOME, st.sampled_from([Change, Level]), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_the_interval_is_what_the_p_values_do_not_reject(values, kind, confidence):
    found = kind(np.asarray(values), apart(len(values)), 499, 3)
    low, high = found.interval(confidence)
    tail, step = tail_of(confidence), 1e-6
    assert low <= high
    assert found.p_above(low - step) <= tail or low == -np.inf
    assert found.p_below(high + step) <= tail or high == np.inf
    if high - low > 4 * step:
        assert found.p_above(max(low, -9) + step) > tail
        assert found.p_below(min(high, 9) - step) > tail


@given(SOME)
@settings(max_examples=30, deadline=None)
def test_better_and_worse_mirror_each_other(values):
    there = Change(np.asarray(values), apart(len(values)), 499, 3)
    back = Change(-np.asarray(values), apart(len(values)), 499, 3)
    assert there.p_below(0.01) == pytest.approx(back.p_above(-0.01))


def test_few_groups_are_tried_in_every_way():
    values = np.random.default_rng(5).normal(0.3, 1, 9)
    found = Change(values, apart(9), 1000, 1)
    flipped = [np.mean(values * signs) for signs in itertools.product((1, -1), repeat=9)]
    expected = np.mean(np.asarray(flipped) >= values.mean() - 1e-12)
    assert found.p_above(0) == pytest.approx(expected)
    assert found.p_above(0) == Change(values, apart(9), 5000, 2).p_above(0)


def test_many_groups_agree_with_scipys_test():
    values = np.random.default_rng(5).normal(0.2, 1, 60)
    theirs = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", alternative="greater",
        n_resamples=20_000, rng=1,
    )  # fmt: skip
    found = Change(values, apart(60), 20_000, 1).p_above(0)
    assert found == pytest.approx(theirs.pvalue, abs=0.01)


def test_levels_agree_with_the_t_interval_where_that_is_right():
    values = np.random.default_rng(5).normal(0.5, 0.1, 80)
    low, high = Level(values, apart(80), 20_000, 1).interval(0.95)
    expected = stats.t.interval(0.95, 79, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected, abs=0.002)


def test_five_pieces_of_evidence_are_too_few_for_a_change():
    assert Change(np.full(5, 0.3), apart(5), 10_000, 1).interval(0.95) == (-np.inf, np.inf)
    assert Change(np.full(6, 0.3), apart(6), 10_000, 1).interval(0.95) == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize("kind", [Change, Level])
def test_images_of_one_group_are_one_piece_of_evidence(kind):
    values = np.repeat(np.random.default_rng(1).uniform(0.2, 0.8, 10), 8)
    low, high = kind(values, apart(80), 2000, 1).interval(0.9)
    groups = [str(i // 8) for i in range(80)]
    wide = kind(values, groups, 2000, 1).interval(0.9)
    assert wide[1] - wide[0] > 2 * (high - low)
    once = kind(values[::8], apart(10), 2000, 1).interval(0.9)
    assert wide == pytest.approx(once)
    assert kind(values, ["one"] * 80, 2000, 1).interval(0.9) == (-np.inf, np.inf)


@pytest.mark.parametrize("kind", [Change, Level])
def test_groups_count_by_their_images_and_names_do_not_matter(kind):
    values = np.random.default_rng(1).uniform(0.2, 0.8, 30)
    groups = [f"g{i % 11}" for i in range(30)]
    found = kind(values, groups, 2000, 1)
    assert found.mean == pytest.approx(values.mean())
    assert found.groups == 11
    low, high = found.interval(0.9)
    assert low < values.mean() < high
    assert found.interval(0.9) == kind(values, groups, 2000, 1).interval(0.9)


def test_what_never_varies_has_an_interval_of_no_width():
    low, high = Level(np.full(9, 0.7), apart(9), 1000, 1).interval(0.95)
    assert (low, high) == pytest.approx((0.7, 0.7))
    assert Level(np.full(9, 0.7), apart(9), 1000, 1).p_below(0.6) > 0.9
    assert Level(np.full(9, 0.7), apart(9), 1000, 1).p_above(0.6) < 0.01


def test_all_scores_together_have_the_intervals_of_each():
    values = np.random.default_rng(1).uniform(0.2, 0.8, (40, 5))
    values[:, 3] = 1.0
    groups = [f"g{i % 17}" for i in range(40)]
    together = level_intervals(values, groups, 0.95, 2000, 1)
    for k in range(5):
        each = Level(values[:, k], groups, 2000, 1).interval(0.95)
        assert tuple(together[k]) == pytest.approx(each, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_its_steps_reject(p_values):
    adjusted, level = holm(p_values), 0.05
    rejected, order = set(), np.argsort(p_values, kind="stable")
    for rank, place in enumerate(order):  # Holm's procedure as it is usually told
        if p_values[place] * (len(p_values) - rank) > level:
            break
        rejected.add(int(place))
    assert {k for k, p in enumerate(adjusted) if p <= level} == rejected
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
