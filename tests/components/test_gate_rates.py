"""How often the gate errs, on real scores; benchmarks/gates.py writes it into docs/gates.md."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def gates():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import gates

        yield gates
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def differences(gates):
    scores = gates.scores()
    return scores["mean_iou_1600_steps"] - scores["mean_iou_2400_steps"]


SAMPLES = 3000
ALLOWED = 1e-4  # so seldom a right gate fails one of these tests; the seeds are fixed besides


@pytest.mark.parametrize("n", [6, 10, 25, 100])
def test_equally_good_models_are_called_worse_or_better_at_the_level_set(gates, differences, n):
    for rate in gates.told_apart(differences, n, SAMPLES, 999):
        count = round(rate * SAMPLES)
        assert stats.binomtest(count, SAMPLES, 0.025, alternative="greater").pvalue > ALLOWED
        # nor is it never: a gate that says nothing would pass the above; at six it is 1/64 or so
        least = 1 / 64 if n == 6 else 0.025
        assert stats.binomtest(count, SAMPLES, least, alternative="less").pvalue > ALLOWED


def test_with_five_images_nothing_is_told_since_a_coin_could_have_said_it(gates, differences):
    assert gates.told_apart(differences, 5, 200, 999) == (0, 0)


def test_the_same_count_convicts_the_percentile_bootstrap(gates, differences):
    """That this test can fail: the method that most tools use is outside of what is allowed."""
    rates = gates.told_apart_by_percentiles(differences, 25, SAMPLES, 999)
    count = round(sum(rates) * SAMPLES)
    assert stats.binomtest(count, SAMPLES, 0.05, alternative="greater").pvalue < ALLOWED


def test_worse_models_are_told_more_often_the_worse_and_the_more_images(gates, differences):
    found = np.asarray(
        [[gates.power(differences, n, by, 400, 999)[0] for by in (0.01, 0.05)] for n in (25, 100)]
    )
    assert (np.diff(found, axis=0) > 0).all()
    assert (np.diff(found, axis=1) > 0).all()
    assert found[1, 1] > 0.95
