"""Whether a mean is on the right side of a limit, and what to say about it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from components.gating.verdict import RuleVerdict
from lineage.verdicts import FAIL, INSUFFICIENT, PASS
from model.summary import within
from model.uncertainty import FEWEST, Evidence, Level, tail_of
from segtrail.settings.base import ALL
from segtrail.settings.gate import AbsoluteRule, RelativeRule


class Question:
    """What one rule asks of one slice.

    Args:
        rule: Which rule.
        of: The slice.
        confidence: Of the interval.
        limit: What the mean is compared with.
        less: Whether the mean should be below the limit.
        evidence: What the scores say; None: there are too few images.
        groups: The group of each image.
        counts: Whether too little evidence keeps the candidate from passing.

    Attributes:
        p_fail: The p-value of the mean being on the right side; None unless a bound is judged.
    """

    def __init__(
        self,
        rule: AbsoluteRule | RelativeRule,
        of: str,
        confidence: float,
        limit: float,
        less: bool,
        evidence: Evidence | None,
        groups: Sequence[str],
        counts: bool,
    ) -> None:
        self.rule, self.slice = rule, of
        self._confidence, self._limit, self._less = confidence, limit, less
        self._evidence = evidence
        self._n, self._groups = len(groups), len(set(groups))
        self._counts = counts
        self.p_fail: float | None = None
        if evidence is not None and rule.judged == "bound":
            self.p_fail = evidence.p_above(limit) if less else evidence.p_below(limit)

    def verdict(self, p_adjusted: float | None) -> RuleVerdict:
        """Returns the answer.

        Args:
            p_adjusted: `p_fail` for all slices together; None: `p_fail` itself decides.
        """
        rule, evidence = self.rule, self._evidence
        said, says = INSUFFICIENT, self._too_few()
        interval = None
        if evidence is not None:
            interval = self._interval(evidence)
            said, reason = self._judged(evidence, p_adjusted)
            says = f"{self._measured(evidence, interval)}: {reason}."
        return RuleVerdict(
            rule=self._asked(),
            kind="absolute" if isinstance(rule, AbsoluteRule) else "relative",
            metric=rule.metric,
            slice=self.slice,
            judged=rule.judged,
            value=None if evidence is None else evidence.mean,
            threshold=self._limit,
            interval=interval,
            confidence=self._confidence,
            n=self._n,
            groups=self._groups,
            p_fail=self.p_fail,
            p_adjusted=p_adjusted,
            verdict=said,
            decides=evidence is not None or self._counts,
            says=says,
        )

    def _judged(self, evidence: Evidence, p_adjusted: float | None) -> tuple[str, str]:
        """Returns the verdict, and why."""
        asked, tail = self._limit_in_words(), tail_of(self._confidence)
        if self.rule.judged == "value":
            right = evidence.mean <= self._limit if self._less else evidence.mean >= self._limit
            return PASS if right else FAIL, f"{asked} is asked"
        assert self.p_fail is not None
        p_pass = (evidence.p_below if self._less else evidence.p_above)(self._limit)
        if p_pass <= tail:
            return PASS, f"surely {asked}"
        if (self.p_fail if p_adjusted is None else p_adjusted) <= tail:
            return FAIL, f"surely not {asked}"
        if self.p_fail <= tail:
            return INSUFFICIENT, (
                f"not {asked}, if nothing else were asked about slices; among all that is, one "
                f"such may come by chance (p = {p_adjusted:.3f} by Holm, above {tail:.3g})"
            )
        if self._groups < FEWEST:
            return INSUFFICIENT, (
                f"an interval takes {FEWEST} groups of images or more, whatever min_images says; "
                f"{self._groups} cannot tell if it is {asked}"
            )
        return INSUFFICIENT, f"too few images, or too different ones, to tell if it is {asked}"

    def _interval(self, evidence: Evidence) -> tuple[float, float] | None:
        low, high = evidence.interval(self._confidence)
        if isinstance(evidence, Level):
            ends = within(self.rule.metric, low, high)
            return (ends[0], ends[1]) if ends else None
        return (low, high) if math.isfinite(low) and math.isfinite(high) else None

    def _asked(self) -> str:
        rule, where = self.rule, _on(self.slice)
        sure = " for sure" if rule.judged == "bound" and isinstance(rule, AbsoluteRule) else ""
        if isinstance(rule, AbsoluteRule):
            return f"{rule.metric} {'<=' if self._less else '>='} {self._limit:g}{where}{sure}"
        side = "above" if self._less else "below"
        by = " on the test images" if rule.judged == "value" else ""
        return f"{rule.metric}{where} not {side} the champion's by more than {rule.margin:g}{by}"

    def _limit_in_words(self) -> str:
        if isinstance(self.rule, AbsoluteRule):
            return f"{'at most' if self._less else 'at least'} {self._limit:g}"
        return f"within the margin of {self.rule.margin:g}"

    def _measured(self, evidence: Evidence, interval: tuple[float, float] | None) -> str:
        rule, sign, digits = self.rule, "", 3
        if isinstance(rule, RelativeRule):
            sign, digits = "+", 4
        number = f"{{:{sign}.{digits}f}}".format
        what = f"{rule.metric}{_on(self.slice)}"
        what += " changes by" if isinstance(rule, RelativeRule) else " is"
        against = " against the champion on the same" if isinstance(rule, RelativeRule) else " over"
        ends = "no interval"
        if interval is not None:
            ends = f"{self._confidence:.0%} interval {number(interval[0])} to {number(interval[1])}"
        return f"{what} {number(evidence.mean)}{against} {self._images()} ({ends})"

    def _images(self) -> str:
        groups = f" in {_several(self._groups, 'group')}" if self._groups < self._n else ""
        return _several(self._n, "test image") + groups

    def _too_few(self) -> str:
        both = " with scores of both models" if isinstance(self.rule, RelativeRule) else ""
        counts = "" if self._counts else " This does not decide."
        of = "groups" if self.rule.judged == "bound" and self._groups < self._n else "images"
        return (
            f"only {self._images()}{_on(self.slice)}{both}; the rule asks for at least "
            f"{self.rule.least} {of}.{counts}"
        )


def _several(n: int, of: str) -> str:
    return f"{n} {of}{'' if n == 1 else 's'}"


def _on(name: str) -> str:
    return "" if name == ALL else f" on {name}"
