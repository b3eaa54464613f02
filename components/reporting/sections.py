"""Sections that more than one page has."""

from __future__ import annotations

from typing import Any

from components.reporting import figures
from components.reporting.page import Plot, Section, shown


def against(title: str, both: Any, ours: str, theirs: str) -> Section:
    """Returns each image's metrics of two models against each other.

    Args:
        title: The heading.
        both: See `components.scoring.pairs`.
        ours: What the one model is called.
        theirs: What the other is called.
    """
    plots = [
        Plot(f"{metric} of both models", figures.scatter(both, metric, ours, theirs))
        for metric in shown(both)
    ]
    return Section(title, plots, f"Above the line {ours} is better, below it {theirs}.")
