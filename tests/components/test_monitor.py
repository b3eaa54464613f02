"""When drift starts a retraining."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.monitor import BUDGET_DAYS, decide, monitor
from segtrail.monitoring import Monitoring
from segtrail.settings.operations import Operations

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SEVERITIES = ("none", "moderate", "severe", "insufficient evidence")


def asked(at: datetime, data: str = "old") -> dict:
    return {"at": at.isoformat(), "retrain": True, "data_commit": data}


@pytest.mark.parametrize(
    ("severity", "on_drift", "starts"),
    [
        ("severe", "severe", True), ("moderate", "severe", False), ("moderate", "moderate", True),
        ("none", "moderate", False), ("severe", "never", False),
        ("insufficient evidence", "moderate", False),
    ],
)  # fmt: skip
def test_the_severity_decides(severity, on_drift, starts):
    found, says = decide(Operations(on_drift=on_drift), severity, "new", [], NOW)
    assert found is starts
    assert ("asked for" in says) is starts


def test_the_same_data_is_not_learned_from_twice():
    before = [asked(NOW - timedelta(days=9))]
    found, says = decide(Operations(), "severe", "old", before, NOW)
    assert not found
    assert "label images like these" in says
    assert decide(Operations(), "severe", "new", before, NOW)[0]


def test_a_cool_down_says_until_when():
    before = [asked(NOW - timedelta(hours=5))]
    found, says = decide(Operations(cool_down=6), "severe", "new", before, NOW)
    assert not found
    assert "2026-03-01T01:00" in says


@given(
    st.lists(st.tuples(st.floats(0.1, 48), st.sampled_from(SEVERITIES)), max_size=60),
    st.floats(0, 100),
    st.integers(0, 5),
)
def test_it_cannot_loop(looks, cool_down, budget):
    """However often it is asked, and new data or not, cool-down and budget hold."""
    options = Operations(cool_down=cool_down, budget=budget)
    at, before = NOW, []
    for number, (hours, severity) in enumerate(looks):
        at += timedelta(hours=hours)
        found, _ = decide(options, severity, f"data {number}", before, at)
        before.append({"at": at.isoformat(), "retrain": found, "data_commit": f"data {number}"})
    times = [datetime.fromisoformat(d["at"]) for d in before if d["retrain"]]
    for one, two in pairwise(times):
        assert two - one >= timedelta(hours=cool_down)
    for at in times:
        assert sum(at - timedelta(days=BUDGET_DAYS) < t <= at for t in times) <= budget


def test_decisions_are_kept(promoted):
    drift = {"severity": "severe", "says": "severe drift in all", "baseline": {"champion": 1}}
    first, second = (monitor(promoted, "demo", drift, NOW + timedelta(n)) for n in (0, 2))
    assert (first["retrain"], second["retrain"]) == (True, False)
    kept = Monitoring.of(promoted, "demo")
    assert kept.decisions() == [first, second]
    assert len(first["data_commit"]) == 40
