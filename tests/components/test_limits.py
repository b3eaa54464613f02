"""The gate's limits: what they say of sizes and times, and how often they are wrong."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.gating.limits import apply_limits
from lineage.verdicts import FAIL, INSUFFICIENT, PASS
from segtrail.settings.gate import Gate


def gate(**limits: float) -> Gate:
    rules = {"absolute": [{"metric": "mean_iou", "min": 0.5}], "limits": limits}
    return Gate.model_validate(rules)


def test_without_limits_nothing_is_asked():
    assert apply_limits(gate(), 1e9, [1e9]) == []


@pytest.mark.parametrize(("size", "said"), [(9.9, PASS), (10.0, PASS), (10.1, FAIL)])
def test_a_size_is_judged_as_it_is(size, said):
    (verdict,) = apply_limits(gate(size_mb=10), size, [])
    assert (verdict.verdict, verdict.value, verdict.threshold) == (said, size, 10)
    assert verdict.says == f"the SavedModel has {size:.1f} MB: at most 10 is asked."


@pytest.mark.parametrize(
    ("memory", "said", "says"),
    [
        (800.0, PASS, "the server had up to 800 MB resident: at most 900 is asked."),
        (901.0, FAIL, "the server had up to 901 MB resident: at most 900 is asked."),
        (None, INSUFFICIENT, "this system does not tell"),
    ],
)
def test_a_memory_that_is_not_known_is_not_a_pass(memory, said, says):
    (verdict,) = apply_limits(gate(memory_mb=900), 1, [], memory)
    assert (verdict.verdict, verdict.value) == (said, memory)
    assert says in verdict.says


@pytest.mark.parametrize(
    ("times", "said", "says"),
    [
        ([80.0] * 30, PASS, "surely at most 100"),
        ([120.0] * 30, FAIL, "surely not at most 100"),
        ([80.0, 120.0] * 15, INSUFFICIENT, "to tell if it is at most 100"),
        ([80.0] * 5, INSUFFICIENT, "to tell if it is at most 100"),  # a coin falls so in 1 of 32
        ([80.0] * 29 + [9000.0], PASS, "surely at most 100"),  # one hiccup decides nothing
    ],
)
def test_a_latency_is_judged_by_the_median_of_all_requests(times, said, says):
    (verdict,) = apply_limits(gate(latency_ms=100), 1, times)
    assert (verdict.verdict, verdict.n) == (said, len(times))
    assert says in verdict.says


@pytest.mark.parametrize("n", [1, 5, 6, 10, 29, 30])
def test_a_median_just_at_the_limit_is_said_to_keep_or_break_it_as_seldom_as_asked(n):
    """Each of n requests falls on either side with chance 1/2: all cases are counted."""
    rates = dict.fromkeys((PASS, FAIL, INSUFFICIENT), 0.0)
    for below in range(n + 1):
        times = [1.0] * below + [3.0] * (n - below)
        (verdict,) = apply_limits(gate(latency_ms=2), 1, times)
        rates[verdict.verdict] += math.comb(n, below) / 2**n
    assert rates[PASS] <= 0.025
    assert rates[FAIL] <= 0.025
    assert (rates[PASS] > 0) == (n >= 6)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=40), st.floats(1, 1000))
def test_the_interval_says_what_the_verdict_says(times, limit):
    (verdict,) = apply_limits(gate(latency_ms=limit), 1, times)
    assert (verdict.interval is None) == (len(times) < 6)
    if verdict.interval is not None:
        low, high = verdict.interval
        assert low <= verdict.value <= high
        assert (verdict.verdict == PASS) == (high <= limit)
        assert (verdict.verdict == FAIL) == (low > limit)
