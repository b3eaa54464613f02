"""Baseline and new distributions of a statistic, side by side."""

from __future__ import annotations

import io

import numpy as np

from components.drifting.compare import Finding
from components.drifting.sample import Values
from components.drifting.words import name_of

_BASELINE, _NEW = "#4477aa", "#ee6677"  # told apart in any colour vision (Tol, bright)
_BINS = 30


def plot(finding: Finding, title: str, baseline: Values, new: Values) -> bytes:
    """Draws histograms, and the distribution functions that Kolmogorov-Smirnov compares.

    Args:
        finding: Which statistic, and how it was judged.
        title: The slice.
        baseline: Its values in training, `[N]`.
        new: Its values in the new images, `[M]`.

    Returns:
        A PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.5), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    low = min(float(baseline.min()), float(new.min()))
    high = max(float(baseline.max()), float(new.max()))
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    for values, colour, label in (
        (baseline, _BASELINE, f"training ({len(baseline)})"),
        (new, _NEW, f"new ({len(new)})"),
    ):
        shares = np.full(len(values), 1 / len(values))
        left.hist(values, edges, weights=shares, histtype="stepfilled", alpha=0.35, color=colour)
        left.hist(values, edges, weights=shares, histtype="step", color=colour)
        right.ecdf(values, color=colour, label=label)
    left.set_ylabel("share of images")
    right.set_ylabel("share up to here")
    right.legend(loc="lower right", fontsize=7)
    for axes in (left, right):
        axes.set_xlabel(name_of(finding.statistic))
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{name_of(finding.statistic)}, {title}: {finding.severity}", fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def plot_shares(title: str, baseline: dict[str, float], new: dict[str, float]) -> bytes:
    """Draws the share of each slice in training and in the new images; returns a PNG file."""
    from matplotlib.figure import Figure

    names = sorted({*baseline, *new})
    figure = Figure(figsize=(7.2, 0.9 + 0.4 * len(names)), dpi=110, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))
    for shift, shares, colour, label in (
        (-0.2, baseline, _BASELINE, "training"),
        (0.2, new, _NEW, "new"),
    ):
        values = [shares.get(name, 0.0) for name in names]
        axes.barh(places + shift, values, height=0.38, color=colour, label=label)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlabel("share of images")
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
