"""Applies the gate's rules to per-image scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from components.gating.bootstrap import mean_interval
from model.evaluation import values
from segtrail.settings.base import ALL
from segtrail.settings.gate import AbsoluteRule, Gate, RelativeRule

PASS, FAIL, INSUFFICIENT = "pass", "fail", "insufficient evidence"


@dataclass(frozen=True)
class RuleVerdict:
    """What one rule says, and the numbers it rests on."""

    rule: str
    metric: str
    slice: str
    value: float | None
    threshold: float
    interval: tuple[float, float] | None
    n: int
    verdict: str
    says: str


def apply_rules(gate: Gate, candidate: Any, champion: Any | None) -> list[RuleVerdict]:
    """Returns one verdict for each rule; relative ones only when there is a champion.

    Args:
        gate: The rules.
        candidate: Data frame of per-image scores: see `model.evaluation.score`.
        champion: The same of the champion on the same images, or None.
    """
    found = [_absolute(rule, gate, candidate) for rule in gate.absolute]
    if champion is not None:
        found += [_relative(rule, gate, candidate, champion) for rule in gate.relative]
    return found


def overall(verdicts: list[RuleVerdict]) -> str:
    """Returns `fail` if any rule fails, else `insufficient evidence` if any says so."""
    said = {verdict.verdict for verdict in verdicts}
    return next((v for v in (FAIL, INSUFFICIENT) if v in said), PASS)


def to_json(verdict: RuleVerdict) -> dict[str, Any]:
    """Returns a verdict as plain JSON values."""
    return asdict(verdict) | {"interval": verdict.interval and list(verdict.interval)}


def _of_slice(per_image: Any, name: str) -> Any:
    return per_image if name == ALL else per_image[per_image["slice"] == name]


def _absolute(rule: AbsoluteRule, gate: Gate, candidate: Any) -> RuleVerdict:
    rows = _of_slice(candidate, rule.slice)
    sign, threshold = (">=", rule.min) if rule.min is not None else ("<=", rule.max)
    assert threshold is not None
    text = f"{rule.metric} {sign} {threshold:g}" + _on(rule.slice)
    if len(rows) < rule.min_images:
        return _too_few(text, rule, threshold, len(rows))
    scores = values(rows, rule.metric)
    value = float(scores.mean())
    interval = mean_interval(scores, list(rows["group"]), 0.95, gate.resamples, gate.seed)
    good = value >= threshold if sign == ">=" else value <= threshold
    says = (
        f"{rule.metric}{_on(rule.slice)} is {value:.3f} over {len(rows)} images "
        f"(95 % interval {interval[0]:.3f} to {interval[1]:.3f}); "
        f"{'at least' if sign == '>=' else 'at most'} {threshold:g} is asked."
    )
    return RuleVerdict(
        text, rule.metric, rule.slice, value, threshold, interval, len(rows),
        PASS if good else FAIL, says,
    )  # fmt: skip


def _relative(rule: RelativeRule, gate: Gate, candidate: Any, champion: Any) -> RuleVerdict:
    text = f"{rule.metric} not below the champion's by more than {rule.margin:g}" + _on(rule.slice)
    # the same bytes, too: an image may have been replaced since the champion was scored
    both = candidate.merge(
        champion, on=["image", "sha256"], suffixes=("", "_champion"), validate="one_to_one"
    )
    both = _of_slice(both, rule.slice)
    if len(both) < rule.min_images:
        return _too_few(text, rule, -rule.margin, len(both), " with scores of both models")
    theirs = both[[c for c in both if c.endswith("_champion")]]
    theirs = theirs.rename(columns=lambda c: c.removesuffix("_champion"))
    difference = values(both, rule.metric) - values(theirs, rule.metric)
    if both["group"].nunique() < 2 and difference.any():
        says = f"all {len(both)} test images are of one group: that is one piece of evidence."
        return RuleVerdict(
            text, rule.metric, rule.slice, None, -rule.margin, None, len(both), INSUFFICIENT, says
        )
    value = float(difference.mean())
    low, high = interval = mean_interval(
        difference, list(both["group"]), rule.confidence, gate.resamples, gate.seed
    )
    verdict = PASS if low > -rule.margin else FAIL if high < -rule.margin else INSUFFICIENT
    meaning = {
        PASS: "it is not worse by more than the margin",
        FAIL: "it is worse by more than the margin",
        INSUFFICIENT: "the images are too few, or differ too much, to tell",
    }[verdict]
    says = (
        f"{rule.metric}{_on(rule.slice)} changes by {value:+.4f} against the champion on the same "
        f"{len(both)} images ({rule.confidence:.0%} interval {low:+.4f} to {high:+.4f}, "
        f"margin {rule.margin:g}): {meaning}."
    )
    return RuleVerdict(
        text, rule.metric, rule.slice, value, -rule.margin, interval, len(both), verdict, says
    )


def _too_few(
    text: str, rule: AbsoluteRule | RelativeRule, threshold: float, n: int, of: str = ""
) -> RuleVerdict:
    asked = f"the rule asks for at least {rule.min_images}."
    says = f"only {n} test images{_on(rule.slice)}{of}; {asked}"
    return RuleVerdict(text, rule.metric, rule.slice, None, threshold, None, n, INSUFFICIENT, says)


def _on(name: str) -> str:
    return "" if name == ALL else f" on {name}"
