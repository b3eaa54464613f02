"""What the champion answers: on new images, and on the test images that it was judged by.

Images may drift in ways that no statistic of theirs shows; the answers then often do. The baseline
is the champion's own evaluation, so that a model that always draws too much does not alarm.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from components.drifting.arrivals import Arrivals
from components.drifting.sample import Sample, sample_of
from lineage.evidence import Evidence
from lineage.link import NotChecked
from segtrail.artifacts import Evaluation
from segtrail.errors import LineageError, SegtrailError
from segtrail.images import decode_image, encode_png
from segtrail.progress import track
from segtrail.session import SessionModel
from segtrail.task import Task
from segtrail.workspace import Workspace

STATISTICS = ("predicted_foreground", "predicted_objects")
MOST = 300  # new images that are asked about
_OUTPUTS = ("mask_png", "count")


def baseline(
    workspace: Workspace, recipe: str, version: int, names: Mapping[str, str]
) -> Sample | None:
    """Returns what the champion answered for its test images; None if that is not here.

    Args:
        workspace: Whose champion.
        recipe: Its name.
        version: The champion's.
        names: What people call the slices.
    """
    import pandas as pd

    evidence = Evidence(workspace, recipe, version)
    folder = Evaluation.of(workspace, recipe).root.relative_to(workspace.root).as_posix()
    try:
        table = pd.read_parquet(io.BytesIO(evidence.output(f"{folder}/per_image.parquet")))
        rows = []
        for row in table.to_dict("records"):
            png = evidence.output(f"{folder}/predictions/{row['image']}.png")
            mask = decode_image(png, str(row["image"]))
            rows.append(
                {key: row[key] for key in ("image", "slice", "group")}
                | _statistics(mask, row.get("count_predicted"))
            )
    except (LineageError, NotChecked, KeyError):
        return None
    return sample_of(rows, _known(rows), names)


def answers(
    workspace: Workspace,
    recipe: str,
    version: int,
    arrivals: Arrivals,
    names: Mapping[str, str],
    task: Task,
    seed: int,
) -> Sample:
    """Asks the champion about new images, at most `MOST` of them, drawn by chance.

    Args:
        workspace: Whose champion.
        recipe: Its name.
        version: The champion's.
        arrivals: The new images.
        names: What people call the slices.
        task: The recipe's.
        seed: Of the draw.

    Raises:
        ServingError: The model cannot be loaded.
    """
    rows = arrivals.rows
    if len(rows) > MOST:
        drawn = np.random.default_rng([seed, len(rows)]).choice(len(rows), MOST, replace=False)
        rows = [rows[i] for i in sorted(drawn)]
    model = SessionModel(workspace.models / recipe / str(version))
    try:
        answered = [*_ask(model, rows, arrivals, task)]
    finally:
        model.close()
    return sample_of(answered, _known(answered), names)


def _ask(
    model: SessionModel, rows: Sequence[Mapping[str, Any]], arrivals: Arrivals, task: Task
) -> Iterator[dict[str, Any]]:
    outputs = _OUTPUTS if task.has_objects else _OUTPUTS[:1]
    for row in track(rows, "asking the champion", total=len(rows)):
        try:
            png = encode_png(arrivals.pixels(row["image"]))
        except (SegtrailError, OSError):  # gone since it was looked at
            continue
        found = model.run("serving_default", {"image_bytes": [png]}, outputs)
        mask = decode_image(found["mask_png"][0], row["image"])
        count = found["count"][0] if "count" in found else None
        yield {key: row[key] for key in ("image", "slice", "group")} | _statistics(mask, count)


def _statistics(mask: Any, count: Any) -> dict[str, float]:
    foreground, objects = STATISTICS
    found = {foreground: float(np.count_nonzero(mask)) / mask.size}
    return found if count is None else found | {objects: float(count)}


def _known(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in STATISTICS if rows and all(name in row for row in rows)]
