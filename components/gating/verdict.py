"""What a rule says, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lineage.verdicts import FAIL, INSUFFICIENT, PASS, worst

_SIGNS = {PASS: "pass", FAIL: "FAIL", INSUFFICIENT: "????"}


@dataclass(frozen=True)
class RuleVerdict:
    """What one rule says, and the numbers it rests on.

    Attributes:
        rule: In words.
        kind: `absolute`, `relative` or `limit`.
        metric: What was judged.
        slice: On which images.
        judged: `value` or `bound`.
        value: The mean over the images; of a relative rule, of the differences, the candidate's
            less the champion's; of a limit, what was measured.
        threshold: What the value or the bound is compared with.
        interval: Of the value; None where it is not bounded.
        confidence: Of the interval.
        n: Images; of a latency, requests.
        groups: Pieces of evidence, since images of one group are one.
        p_fail: How likely such numbers are unless the rule fails; None where no bound is judged.
        p_adjusted: The same, for all slices together; None where nothing is adjusted.
        verdict: `pass`, `fail` or `insufficient evidence`.
        decides: Whether the verdict counts.
        says: One sentence for people.
    """

    rule: str
    kind: str
    metric: str
    slice: str
    judged: str
    value: float | None
    threshold: float
    interval: tuple[float, float] | None
    confidence: float
    n: int
    groups: int
    p_fail: float | None
    p_adjusted: float | None
    verdict: str
    decides: bool
    says: str

    def in_lines(self) -> str:
        """Returns it for a terminal."""
        return f"{_SIGNS[self.verdict]}  {self.rule}\n      {self.says}"

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return asdict(self) | {"interval": self.interval and list(self.interval)}


def overall(verdicts: Sequence[RuleVerdict]) -> str:
    """Returns the worst that rules which decide say; where none does, there is no evidence."""
    return worst(verdict.verdict for verdict in verdicts if verdict.decides)
