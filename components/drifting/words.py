"""What was found, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_WORDS = {
    "median": "median grey level",
    "red": "red part of the colour",
    "blue": "blue part of the colour",
    "foreground": "foreground share",
    "objects": "number of objects",
    "median_object": "object size",
    "slice": "mix of slices",
    "predicted_foreground": "answered foreground share",
    "predicted_objects": "answered number of objects",
}


def name_of(statistic: str) -> str:
    """Returns what people call a statistic."""
    if statistic.startswith("foreground_"):
        return f"share of {statistic.removeprefix('foreground_')}"
    return _WORDS.get(statistic, statistic)


def number(value: float | None) -> str:
    """Returns a number short enough for a table."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def probability(p: float) -> str:
    """Returns `p < 0.001` or `p = 0.02`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def finding_says(finding: Any, slice_name: str, among: str) -> str:
    """Returns a `Finding` in a sentence; `among` says where the baseline is from."""
    where = "all images" if slice_name == "all" else slice_name
    apart = (
        f"Jensen-Shannon distance {finding.js:.2f} where chance gives {finding.expected_js:.2f}, "
        + (f"KS {finding.ks:.2f}, " if finding.ks is not None else "")
        + f"{probability(finding.adjusted_p)} after Holm"
    )
    text = f"{name_of(finding.statistic)} of {where}"
    if finding.median is not None:
        text += f": median {number(finding.median)}, {among} {number(finding.baseline_median)}"
    return f"{text}: {apart}: {finding.severity}"


def slice_says(
    name: str, images: int, baseline: int, findings: Sequence[Any], severity: str, why: str,
    among: str,
) -> str:  # fmt: skip
    """Returns what was found in a slice in a sentence; `among`: see `finding_says`."""
    where = "all images" if name == "all" else name
    if not findings:
        return f"{where}: {severity}: {images} new images, {baseline} {among}; {why}"
    drifted = [name_of(f.statistic) for f in findings if f.severity != "none"]
    text = ", ".join(drifted) if drifted else f"nothing of {len(findings)} statistics"
    return f"{where}: {severity}: {text} drifted ({images} new images, {baseline} {among})"
