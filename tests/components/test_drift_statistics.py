"""Distances, relabelling by group, Holm, and what they come to, on numbers made for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from threadpoolctl import threadpool_limits

from components.drifting.compare import compare
from components.drifting.distances import jensen_shannon, kolmogorov_smirnov, quantile_bins
from components.drifting.permutation import Relabelling
from components.drifting.sample import Sample, sample_of, statistics_of
from components.drifting.unusual import most_unusual
from components.drifting.verdict import INSUFFICIENT, MODERATE, NONE, SEVERE, holm, severity, worst
from segtrail.errors import ConfigError
from segtrail.image_statistics import image_statistics, mask_statistics
from segtrail.params import load_params
from segtrail.settings.drift import Drift

NAMES = ["brightness", "contrast", "sharpness"]
OPTIONS = Drift(statistics=NAMES)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Small matrices: more threads only wait for each other."""
    with threadpool_limits(1):
        yield


def sample(values: np.ndarray, per_group: int = 1, slices: list[str] | None = None) -> Sample:
    """Returns a sample of `[N, 3]` values, so many neighbours a group."""
    n = len(values)
    return Sample(
        tuple(f"i{i}" for i in range(n)),
        tuple(slices or ["one"] * n),
        tuple(f"g{i // per_group}" for i in range(n)),
        dict(zip(NAMES, values.T, strict=True)),
    )


def unsliced(values: np.ndarray, per_group: int = 1) -> Sample:
    """Returns a sample whose slices nobody knows, so that `all` alone is compared."""
    return sample(values, per_group, [""] * len(values))


def fields(rng: np.random.Generator, groups: int, per_group: int) -> np.ndarray:
    """Returns values of images that are like their neighbours, `[groups * per_group, 3]`."""
    field = rng.normal(size=(groups, 1, 3)) * 10
    return (100 + field + rng.normal(size=(groups, per_group, 3))).reshape(-1, 3)


def overall(*samples: Sample, options: Drift = OPTIONS) -> str:
    return worst(found.severity for found in compare(*samples, options))


@given(
    st.lists(st.floats(-100, 100), min_size=3, max_size=60),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.integers(3, 12),
)
def test_bins_keep_the_order_and_say_how_many_they_are(baseline, values, bins):
    found, count = quantile_bins(np.array(baseline), np.array(values), bins)
    assert found.min() >= 0
    assert found.max() < count <= 2 * bins - 1
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_each_bin_has_its_share_of_the_baseline():
    values = np.random.default_rng(1).normal(size=1001)
    bins, count = quantile_bins(values, values, 10)
    shares = np.bincount(bins, minlength=count)[::2]
    assert shares.min() >= 99


def test_a_constant_is_one_bin_and_what_differs_is_in_others():
    bins, count = quantile_bins(np.full(50, 256.0), np.array([255.0, 256.0, 257.0]), 10)
    assert (list(bins), count) == ([0, 1, 2], 3)


def test_the_distance_is_0_of_the_same_1_of_nothing_shared_and_the_published_formula():
    p, q = np.array([3, 5, 2]), np.array([1, 1, 8])
    assert jensen_shannon(p, p * 7) == pytest.approx(0, abs=1e-7)
    assert jensen_shannon([1, 0], [0, 4]) == pytest.approx(1)
    a, b = p / p.sum(), q / q.sum()
    m = (a + b) / 2
    divergence = (stats.entropy(a, m, base=2) + stats.entropy(b, m, base=2)) / 2
    assert jensen_shannon(p, q) == pytest.approx(np.sqrt(divergence))


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_never_below_the_p_and_keeps_their_order(p):
    adjusted = holm(p)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert max(adjusted) <= 1
    by_p = [adjusted[i] for i in np.argsort(p, kind="stable")]
    assert by_p == sorted(by_p)
    assert min(adjusted) == pytest.approx(min(1, min(p) * len(p)))


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_relabelling_finds_the_p_of_independent_images_that_scipy_finds():
    rng = np.random.default_rng(4)
    old, new = rng.normal(size=80), rng.normal(0.35, size=40)
    _, p = kolmogorov_smirnov(old, new)
    names = [f"i{i}" for i in range(120)]
    relabelling = Relabelling(names[:80], names[80:], 20_000, [1])
    assert relabelling.independent
    found = relabelling.kolmogorov_smirnov_p(np.concatenate([old, new]))
    assert found == pytest.approx(p, rel=0.15)
    assert 0.005 < p < 0.1


def test_relabelling_moves_whole_groups():
    # Two of four groups are new: six ways, and just two of them are as far apart as found.
    values = np.repeat([1.0, 2.0, 3.0, 4.0], 25)
    groups = np.repeat(["a", "b", "c", "d"], 25).tolist()
    relabelling = Relabelling(groups[:50], groups[50:], 6000, [1])
    assert (relabelling.groups, relabelling.new_groups, relabelling.ways) == (4, 2, 6)
    assert relabelling.kolmogorov_smirnov_p(values) == pytest.approx(1 / 3, abs=0.03)
    bins = np.repeat([0, 0, 1, 1], 25)
    assert relabelling.distance_p(bins, 2, 1.0) == pytest.approx(1 / 3, abs=0.03)


def test_a_group_of_the_same_name_on_both_sides_is_two():
    assert Relabelling(["a", "a"], ["a"], 999, [1]).groups == 2


def test_fresh_draws_of_dependent_images_alarm_at_most_as_often_as_promised():
    """200 draws made anew. Counting images instead of groups alarms in most of them."""
    alarms = naive = often = 0
    lenient = OPTIONS.model_copy(update={"false_alarms": 0.2, "moderate": 0.01})
    for draw in range(200):
        rng = np.random.default_rng([11, draw])
        old, new = fields(rng, 40, 6), fields(rng, 12, 6)
        (found,) = compare(unsliced(old, 6), unsliced(new, 6), OPTIONS)
        alarms += found.severity != NONE
        if draw < 100:
            often += overall(unsliced(old, 6), unsliced(new, 6), options=lenient) != NONE
            naive += overall(unsliced(old), unsliced(new)) != NONE
    assert alarms <= 10
    assert naive >= 30  # of 100
    assert 8 <= often <= 32  # of 100: where 1 in 5 is allowed it is used, give or take 3 sigma


def test_dependent_images_that_did_drift_are_caught():
    caught = 0
    for draw in range(20):
        rng = np.random.default_rng([12, draw])
        caught += (
            overall(sample(fields(rng, 40, 6), 6), sample(fields(rng, 12, 6) + 20, 6)) == SEVERE
        )
    assert caught == 20


@pytest.mark.parametrize("n", [20, 30, 60])
def test_few_images_do_not_alarm_by_the_noise_of_their_histogram(n):
    distances, effects, alarms = [], [], 0
    for draw in range(40):
        rng = np.random.default_rng([13, n, draw])
        findings = compare(
            sample(rng.normal(100, 10, (200, 3))), sample(rng.normal(100, 10, (n, 3))), OPTIONS
        )[0].findings
        alarms += any(f.severity != NONE for f in findings)
        distances += [f.js for f in findings]
        effects += [f.effect for f in findings]
    assert alarms <= 4  # of 40, where 2 are expected at most
    assert np.median(distances) > 0.15  # the plain distance would look like drift
    assert np.mean(effects) < 0.1


def test_a_tiny_shift_in_many_images_is_significant_but_no_alarm():
    rng = np.random.default_rng(14)
    old, new = rng.normal(100, 10, (4000, 3)), rng.normal(102, 10, (4000, 3))
    (found, *_) = compare(sample(old), sample(new), OPTIONS)
    assert found.severity == NONE
    assert all(f.adjusted_p < 0.01 for f in found.findings)
    assert all(f.effect < OPTIONS.moderate for f in found.findings)


def test_the_effect_grows_with_the_shift_and_the_severity_with_the_effect():
    rng = np.random.default_rng(15)
    old, new = rng.normal(100, 10, (400, 3)), rng.normal(100, 10, (200, 3))
    found = [
        compare(sample(old), sample(new + shift), OPTIONS)[0] for shift in (0.0, 7.0, 14.0, 40.0)
    ]
    effects = [f.findings[0].effect for f in found]
    assert effects == sorted(effects)
    assert [f.severity for f in found] == [NONE, MODERATE, SEVERE, SEVERE]


def test_too_few_images_or_groups_are_insufficient_evidence():
    rng = np.random.default_rng(16)
    old = sample(rng.normal(100, 10, (200, 3)), 10)
    assert overall(old, sample(rng.normal(500, 1, (19, 3)))) == INSUFFICIENT
    (found, *_) = compare(old, sample(rng.normal(500, 1, (40, 3)), 40), OPTIONS)
    assert found.severity == INSUFFICIENT
    assert "too few to tell" in found.says
    assert overall(old, sample(rng.normal(500, 1, (60, 3)), 10)) == SEVERE


def test_a_slice_is_judged_apart_and_the_mix_of_slices_too():
    rng = np.random.default_rng(17)
    old = sample(rng.normal(100, 10, (300, 3)), slices=["a"] * 240 + ["b"] * 60)
    values = rng.normal(100, 10, (150, 3))
    values[120:] += 60
    drifted = sample(values, slices=["a"] * 120 + ["b"] * 30)
    by_slice = {f.slice: f.severity for f in compare(old, drifted, OPTIONS)}
    assert by_slice["a"] == NONE
    assert by_slice["b"] == SEVERE
    mixed = sample(rng.normal(100, 10, (150, 3)), slices=["a"] * 30 + ["b"] * 120)
    found = {f.slice: f for f in compare(old, mixed, OPTIONS)}
    assert [f.statistic for f in found["all"].findings if f.severity != NONE] == ["slice"]
    assert found["a"].severity == found["b"].severity == NONE


def test_a_slice_that_the_champion_never_saw_shows_in_the_mix():
    rng = np.random.default_rng(18)
    old = sample(rng.normal(100, 10, (300, 3)))
    new = sample(rng.normal(100, 10, (60, 3)), slices=["one"] * 30 + ["other"] * 30)
    found = {f.slice: f for f in compare(old, new, OPTIONS)}
    assert found["all"].findings[0].statistic == "slice"
    assert found["all"].severity == SEVERE
    assert found["other"].severity == INSUFFICIENT
    assert "learnt from too few such images" in found["other"].says


def test_unknown_slices_leave_all():
    rng = np.random.default_rng(19)
    new = sample(rng.normal(100, 10, (60, 3)), slices=[""] * 60)
    found = compare(sample(rng.normal(100, 10, (90, 3))), new, OPTIONS)
    assert [f.slice for f in found] == ["all"]
    assert "slice" not in {f.statistic for f in found[0].findings}


def test_the_same_images_give_the_same_result_in_any_order():
    rng = np.random.default_rng(20)
    old = sample(rng.normal(100, 10, (120, 3)), 3)
    new = sample(rng.normal(104, 10, (60, 3)), 3)
    assert compare(old, new, OPTIONS) == compare(old, new, OPTIONS)
    order = rng.permutation(60)
    first, second = compare(old, new, OPTIONS)[0], compare(old, new.take(order), OPTIONS)[0]
    assert first.findings == second.findings


def test_what_a_statistic_cannot_resolve_is_no_drift():
    rows = [{"image": str(i), "slice": "x", "group": "", "red": 1 / 3} for i in range(60)]
    stored_as_rgb = [row | {"red": 0.33333334} for row in rows]
    found = compare(sample_of(rows, ["red"]), sample_of(stored_as_rgb, ["red"]), OPTIONS)
    assert [(f.severity, f.findings) for f in found] == [(NONE, ()), (NONE, ())]
    assert all(f.says.endswith("each statistic has one value in all of them") for f in found)


def test_statistics_that_only_one_side_has_are_no_evidence():
    rng = np.random.default_rng(22)
    old = sample(rng.normal(100, 10, (60, 3)), slices=["a"] * 30 + ["b"] * 30)
    rows = [{"image": str(i), "slice": "ab"[i % 2], "group": "", "red": 0.4} for i in range(60)]
    found = compare(old, sample_of(rows, ["red"]), OPTIONS)
    assert {f.severity for f in found} == {INSUFFICIENT}
    assert all(f.says.endswith("no statistic is known of both") for f in found)


def test_a_statistic_that_a_manifest_lacks_is_left_out():
    rows = [{"image": "a", "slice": "", "group": "", "red": 0.5}]
    assert set(sample_of(rows, ["red", "skewness"]).values) == {"red"}
    assert sample_of(rows, ["red"]).groups == ("a",)


def test_masks_bring_their_statistics_one_foreground_a_class():
    options = Drift(statistics=["brightness", "foreground", "objects"])
    assert statistics_of(options, ["disc", "cup"], masks=False) == ["brightness"]
    assert statistics_of(options, ["nucleus"], masks=True) == [
        "brightness",
        "foreground",
        "objects",
    ]
    assert statistics_of(options, ["disc", "cup"], masks=True)[3:] == [
        "foreground_disc",
        "foreground_cup",
    ]


def test_every_statistic_of_the_recipe_is_measured():
    pixels, mask = np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), np.uint16)
    measured = image_statistics(pixels) | mask_statistics(mask, "instances", ["nucleus"])
    assert set(Drift().statistics) <= set(measured)


def test_the_most_unusual_images_are_those_furthest_out():
    rng = np.random.default_rng(21)
    old = sample(rng.normal(100, 10, (200, 3)))
    values = rng.normal(100, 3, (50, 3))
    values[7, 1], values[31, 2] = 260.0, -40.0
    found = most_unusual(old, sample(values), 3, 20)
    assert [(u.image, u.statistic) for u in found[:2]] == [("i7", "contrast"), ("i31", "sharpness")]
    assert "as high" in found[0].says
    assert "as low" in found[1].says
    assert found[0].share == 0


def test_severity_needs_both_certainty_and_size():
    alpha = OPTIONS.false_alarms
    assert severity(alpha, OPTIONS.severe, OPTIONS) == SEVERE
    assert severity(alpha, OPTIONS.severe - 0.01, OPTIONS) == MODERATE
    assert severity(alpha, OPTIONS.moderate - 0.01, OPTIONS) == NONE
    assert severity(alpha + 0.01, 0.9, OPTIONS) == NONE
    assert worst([NONE, INSUFFICIENT]) == NONE
    assert worst([INSUFFICIENT]) == INSUFFICIENT


def test_thresholds_out_of_order_and_unknown_statistics_are_refused(tmp_path):
    params = """
datasets:
  d: {adapter: dsb2018, masks: instances, classes: [nucleus], slices: {}, splits: {}}
recipes:
  r:
    dataset: d
    classes: [nucleus]
    preprocessing: {}
    network: {}
    training: {steps: 1}
    objects: {}
    validation: {}
    gate: {absolute: [{metric: mean_iou, min: 0.5}]}
    serving: {}
    drift: DRIFT
"""
    path = tmp_path / "params.yaml"
    path.write_text(params.replace("DRIFT", "{moderate: 0.5, severe: 0.3}"))
    with pytest.raises(ConfigError, match=r"moderate \(0.5\) must not be above severe \(0.3\)"):
        load_params(path)
    path.write_text(params.replace("DRIFT", "{statistics: [brightnes]}"))
    with pytest.raises(ConfigError, match="got 'brightnes'; input should be 'brightness'"):
        load_params(path)
    path.write_text(params.replace("DRIFT", "{}"))
    assert load_params(path).recipes["r"].drift == Drift()
