"""From distances and p values to a severity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from segtrail.settings.drift import Drift

Severity = Literal["none", "moderate", "severe", "insufficient evidence"]
NONE: Final = "none"
MODERATE: Final = "moderate"
SEVERE: Final = "severe"
INSUFFICIENT: Final = "insufficient evidence"
_RANK: Mapping[Severity, int] = {INSUFFICIENT: 0, NONE: 1, MODERATE: 2, SEVERE: 3}


def holm(p: Sequence[float]) -> list[float]:
    """Returns p values adjusted for how many there are.

    Calling those at most alpha significant has a chance of at most alpha of calling any that
    is not, however they depend on each other (Holm, Scandinavian Journal of Statistics 6, 1979).
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, least = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, p[i] * (len(p) - rank)))
        adjusted[i] = least
    return adjusted


def severity(adjusted_p: float, effect: float, options: Drift) -> Severity:
    """Returns how bad it is: significant, and large enough to matter.

    Args:
        adjusted_p: See `holm`.
        effect: Jensen-Shannon distance, less what chance gives.
        options: The recipe's thresholds.
    """
    if adjusted_p > options.false_alarms or effect < options.moderate:
        return NONE
    return SEVERE if effect >= options.severe else MODERATE


def worst(severities: Iterable[Severity]) -> Severity:
    """Returns the worst; `insufficient evidence` only if there is nothing else."""
    return max(severities, key=_RANK.__getitem__, default=INSUFFICIENT)
