"""The metrics of an evaluation beside those of the same version made once more."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lineage.evidence import Evidence
from segtrail.artifacts import Evaluation
from segtrail.errors import SegtrailError
from segtrail.files import read_json
from segtrail.settings.base import ALL, EACH
from segtrail.workspace import Workspace

_SAME = 1e-3  # of a metric of the same weights, which no run moves further


@dataclass(frozen=True)
class Row:
    """One metric of one slice: as recorded, with its 95 % interval, and as reproduced."""

    metric: str
    slice: str
    recorded: float
    interval: Sequence[float] | None
    reproduced: float | None

    @property
    def name(self) -> str:
        return f"{self.metric} of {self.slice}"

    @property
    def is_same(self) -> bool:
        if self.reproduced is None:
            return False
        return math.isclose(self.recorded, self.reproduced, rel_tol=_SAME, abs_tol=_SAME)

    @property
    def is_within(self) -> bool | None:
        """Whether the reproduced value lies in the recorded interval; None if one is not there."""
        if self.interval is None or self.reproduced is None:
            return True if self.is_same else None
        return self.interval[0] <= self.reproduced <= self.interval[1]


def rows(e: Evidence, made: Workspace) -> list[Row]:
    """Returns mean IoU and the metrics that the gate's rules ask about, recorded and reproduced.

    There are none if the recorded evaluation cannot be read from DVC's cache.
    """
    try:
        item = e.byproduct("evaluation/metrics.json")
        recorded = json.loads(e.output(item["annotations"]["path"]))
    except SegtrailError:
        return []
    found = read_json(Evaluation.of(made, e.recipe).require().metrics)["slices"]
    ends = recorded.get("intervals", {})
    return [
        Row(metric, part, value, ends.get(part, {}).get(metric), found.get(part, {}).get(metric))
        for part, values in recorded["slices"].items()
        for metric, value in values.items()
        if _is_asked(e.params["gate"], metric, part)
    ]


def table(found: Sequence[Row]) -> list[str]:
    """Returns the lines of a table of the metrics."""
    if not found:
        return ["the recorded evaluation cannot be read, so that metrics are not compared"]
    cells = [("metric", "recorded", "reproduced", "difference", "interval")]
    for row in found:
        interval = "none" if row.interval is None else "{:.4f} to {:.4f}".format(*row.interval)
        again = ("none", "")
        if row.reproduced is not None:
            again = (f"{row.reproduced:.4f}", f"{row.reproduced - row.recorded:+.4g}")
        cells.append((row.name, f"{row.recorded:.4f}", *again, interval))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in cells
    ]


def _is_asked(gate: Mapping[str, Any], metric: str, part: str) -> bool:
    if (metric, part) == ("mean_iou", ALL):
        return True
    return any(
        rule["metric"] == metric
        and (rule["slice"] == part or (rule["slice"] == EACH and part != ALL))
        for rule in [*gate["absolute"], *gate["relative"]]
    )
