"""What differs between two models on the same images."""

from __future__ import annotations

import math
from typing import Any

from components.reporting.page import is_detail, says
from components.scoring.pairs import OTHER, of_other
from model.summary import CONFIDENCE, RESAMPLES, SEED, metrics_in, slices, values
from model.uncertainty import FEWEST, Change, tail_of
from segtrail.settings.metrics import kind_of

BETTER, WORSE, EITHER = "better", "worse", "not told apart"
OTHER_SIDE, TOO_FEW = "differs", "too few groups"  # of a bias, where more is not better
_MARKS = {BETTER: "pass", WORSE: "fail"}


def table(both: Any) -> list[dict[str, Any]]:
    """Returns a row a metric and slice: both means, the change with its interval, and a verdict.

    Args:
        both: See `components.scoring.pairs`.
    """
    rows = []
    parts = slices(both)
    for metric in metrics_in(both[[c for c in both if not c.endswith(OTHER)]]):
        for name, part in parts.items():
            ours, theirs = values(part, metric), values(of_other(part), metric)
            found = Change(ours - theirs, list(part["group"]), RESAMPLES, SEED)
            interval = found.interval(CONFIDENCE)
            verdict = _verdict(found, metric)
            rows.append(
                {
                    "metric": metric,
                    "says": says(metric),
                    "detail": is_detail(metric),
                    "slice": name,
                    "n": len(part),
                    "ours": float(ours.mean()),
                    "theirs": float(theirs.mean()),
                    "change": found.mean,
                    "interval": interval if all(map(math.isfinite, interval)) else None,
                    "verdict": verdict,
                    "mark": _MARKS.get(verdict, "insufficient"),
                }
            )
    return rows


def _verdict(found: Change, metric: str) -> str:
    better, tail = kind_of(metric).better, tail_of(CONFIDENCE)
    if found.groups < FEWEST:
        return TOO_FEW
    above, below = found.p_above(0.0) <= tail, found.p_below(0.0) <= tail
    if not (above or below):
        return EITHER
    if better == "neither":
        return OTHER_SIDE
    return BETTER if above == (better == "more") else WORSE
