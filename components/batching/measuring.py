"""What a row of the tables holds: sizes and shares of an image, and each of its objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from model.components import predicted_objects
from model.evaluated_objects import mean_probabilities
from model.object_table import COLUMNS, object_table
from model.watershed import basins
from segtrail.settings.objects import Objects
from segtrail.task import Task
from serving.prediction import Prediction


def measure(
    answer: Prediction, image: npt.NDArray[np.integer[Any]], task: Task, objects: Objects
) -> tuple[dict[str, Any], Any]:
    """Measures one answer.

    Args:
        answer: With mask, probabilities and, where there are objects, labels.
        image: The decoded image.
        task: What the mask tells.
        objects: The size below which a component is none, and whether a watershed parts them.

    Returns:
        `height`, `width`, `count` of objects, and of each class `share_<class>`, the share of
        pixels in the mask, and `probability_<class>`, the mean over all pixels, both 0 to 1; and
        a data frame of the objects: `class`, the columns of `model.object_table`, `confidence`.
        Without instances the objects are those that evaluation measures: see
        `model.evaluated_objects`.
    """
    import pandas as pd

    planes, probability = task.answered_planes(answer.mask), answer.probabilities
    found = None
    if objects.watershed and not task.has_objects:
        found = basins(probability[..., 0], objects.watershed)
    row: dict[str, Any] = {"height": planes.shape[0], "width": planes.shape[1]}
    tables = []
    for k, name in enumerate(task.classes):
        if task.has_objects:
            labels = answer.labels
        else:
            labels = predicted_objects(planes[..., k], found, objects.min_size)
        table = object_table(labels, image)
        table.insert(0, "class", name)
        means = mean_probabilities(probability[..., k], labels)
        table["confidence"] = means[table["label"]]
        tables.append(table)
        row[f"share_{name}"] = float(planes[..., k].mean())
        row[f"probability_{name}"] = float(probability[..., k].mean()) / 255
    every = pd.concat(tables)
    return row | {"count": len(every)}, every


def image_schema(task: Task) -> Any:
    """Returns the Arrow schema of `images.parquet`."""
    import pyarrow as pa

    whole, text, part = pa.int64(), pa.string(), pa.float64()
    of_classes = [
        (f"{what}_{name}", part) for name in task.classes for what in ("share", "probability")
    ]
    return pa.schema(
        [
            ("image", text), ("sha256", text), ("height", whole), ("width", whole),
            ("count", whole), *of_classes, ("version", whole), ("mask_sha256", text),
            ("labels_sha256", text),
        ]
    )  # fmt: skip


def object_schema() -> Any:
    """Returns the Arrow schema of `objects.parquet`."""
    import pyarrow as pa

    kinds = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
    measures = [(name, kinds[kind]) for name, kind in COLUMNS.items()]
    text = pa.string()
    return pa.schema([("image", text), ("class", text), *measures, ("confidence", pa.float64())])
