"""Applies the gate's limits to what infra validation measured: size, time, memory."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from components.gating.verdict import RuleVerdict
from lineage.verdicts import FAIL, INSUFFICIENT, PASS
from model.uncertainty import tail_of
from segtrail.settings.base import ALL
from segtrail.settings.gate import Gate

KIND = "limit"


def apply_limits(
    gate: Gate, size_mb: float, requests_ms: Sequence[float], memory_mb: float | None = None
) -> list[RuleVerdict]:
    """Returns one verdict for each limit that the recipe sets.

    A latency is judged by the sign test (Conover, Practical Nonparametric Statistics, 3.4): each
    request is as likely above the median as below it, whatever the shape of the times.

    Args:
        gate: The rules.
        size_mb: Of the SavedModel, in 10^6 bytes.
        requests_ms: How long each request took.
        memory_mb: The server's peak resident memory, in 10^6 bytes; None where it is not known.
    """
    verdicts = []
    if (limit := gate.limits.size_mb) is not None:
        says = f"the SavedModel has {size_mb:.1f} MB"
        verdicts.append(_value("size_mb", limit, size_mb, says, gate.confidence))
    if gate.limits.latency_ms is not None:
        verdicts.append(_latency(gate.limits.latency_ms, requests_ms, gate.confidence))
    if (limit := gate.limits.memory_mb) is not None:
        says = "this system does not tell the server's peak memory"
        if memory_mb is not None:
            says = f"the server had up to {memory_mb:.0f} MB resident"
        verdicts.append(_value("memory_mb", limit, memory_mb, says, gate.confidence))
    return verdicts


def _value(
    metric: str, limit: float, value: float | None, says: str, confidence: float
) -> RuleVerdict:
    said = INSUFFICIENT
    if value is not None:
        said = PASS if value <= limit else FAIL
    return RuleVerdict(
        rule=f"{metric} <= {limit:g}", kind=KIND, metric=metric, slice=ALL, judged="value",
        value=value, threshold=limit, interval=None, confidence=confidence,
        n=int(value is not None), groups=int(value is not None), p_fail=None, p_adjusted=None,
        verdict=said, decides=True, says=f"{says}: at most {limit:g} is asked.",
    )  # fmt: skip


def _latency(limit: float, requests: Sequence[float], confidence: float) -> RuleVerdict:
    from scipy.stats import binom

    times, n, tail = sorted(requests), len(requests), tail_of(confidence)
    below = sum(time <= limit for time in times)
    p_fail = float(binom.cdf(below, n, 0.5))
    asked = f"at most {limit:g}"
    if binom.sf(below - 1, n, 0.5) <= tail:
        said, reason = PASS, f"surely {asked}"
    elif p_fail <= tail:
        said, reason = FAIL, f"surely not {asked}"
    else:
        said, reason = INSUFFICIENT, f"too few requests, or too uneven, to tell if it is {asked}"
    interval, ends = _interval(times, tail), "no interval"
    if interval:
        ends = f"{confidence:.0%} interval {interval[0]:.0f} to {interval[1]:.0f}"
    median = statistics.median(times)
    return RuleVerdict(
        rule=f"latency_ms <= {limit:g}, the median of a request", kind=KIND, metric="latency_ms",
        slice=ALL, judged="bound", value=median, threshold=limit, interval=interval,
        confidence=confidence, n=n, groups=n, p_fail=p_fail, p_adjusted=None, verdict=said,
        decides=True,
        says=f"one image takes {median:.0f} ms, the median of {n} requests ({ends}): {reason}.",
    )  # fmt: skip


def _interval(times: Sequence[float], tail: float) -> tuple[float, float] | None:
    """Returns the order statistics that the median lies between; None: too few for any."""
    from scipy.stats import binom

    outside = int(binom.ppf(tail, len(times), 0.5))
    outside -= bool(binom.cdf(outside, len(times), 0.5) > tail)
    return (times[outside], times[-1 - outside]) if outside >= 0 else None
