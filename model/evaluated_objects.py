"""The table of all predicted objects of an evaluation, written image by image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from model.components import components, predicted_objects
from model.evaluation import Answer
from model.object_table import match_table, object_table
from segtrail.settings.objects import Objects
from segtrail.task import Task


class ObjectWriter:
    """Writes a Parquet file with a row a predicted object; used by `with`.

    Columns: `image`, `slice`, `class`, those of `object_table` and of `match_table`, and
    `confidence`, the mean served probability in the object, 0 to 1.
    Without instances, the objects are each class's connected components, true and predicted, or
    what a watershed tells apart of the predicted: of cells between membranes these are the
    cells, of a picture of one thing its parts, whose areas and shapes are what is asked for (cup
    to disc, nucleus to cytoplasm). What is smaller than `objects.min_size` is left out, except
    of true instances.

    One image's objects are in memory at a time.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def write(
        self, answer: Answer, image: npt.NDArray[np.integer], task: Task, objects: Objects
    ) -> None:
        """Adds the objects of one answer.

        Args:
            answer: Its masks.
            image: The decoded image.
            task: What the masks' values mean.
            objects: The size below which a component is none.
        """
        import pandas as pd

        tables = []
        labelled = _labelled(answer, task, objects)
        for plane, (name, true, predicted) in enumerate(labelled):
            table = object_table(predicted, image).merge(
                match_table(true, predicted), on="label", validate="one_to_one"
            )
            table.insert(0, "image", answer.example.image)
            table.insert(1, "slice", answer.example.slice)
            table.insert(2, "class", name)
            table["confidence"] = mean_probabilities(answer.probability[..., plane], predicted)[
                table["label"]
            ]
            tables.append(table)
        self._append(pd.concat(tables))

    def _append(self, table: Any) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if self._writer is None:
            texts = [pa.field(name, pa.string()) for name in ("image", "slice", "class")]
            numbers = pa.Schema.from_pandas(table.iloc[:, len(texts) :], preserve_index=False)
            schema = pa.schema([*texts, *numbers]).remove_metadata()
            self._writer = parquet.ParquetWriter(self._path, schema)
        self._writer.write_table(
            pa.Table.from_pandas(table, schema=self._writer.schema, preserve_index=False)
        )

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def mean_probabilities(
    probability: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint16]
) -> npt.NDArray[np.float64]:
    """Returns the mean probability of each id, 0 to 1; 0 of ids that are not there.

    Args:
        probability: uint8 `[H, W]`, 255 is certain.
        labels: uint16 `[H, W]`, ids, 0 background.
    """
    sums = np.bincount(labels.ravel(), weights=probability.ravel())
    return np.asarray(sums / np.maximum(np.bincount(labels.ravel()), 1) / 255)


def _labelled(
    answer: Answer, task: Task, objects: Objects
) -> list[tuple[str, npt.NDArray[np.uint16], npt.NDArray[np.uint16]]]:
    """Returns each class with its true and its predicted objects."""
    if answer.labels is not None:
        return [(task.classes[0], answer.true, answer.labels)]
    true, said = task.true_planes(answer.true), task.answered_planes(answer.mask)
    return [
        (
            name,
            components(true[..., k], objects.min_size),
            predicted_objects(said[..., k], answer.basins, objects.min_size),
        )
        for k, name in enumerate(task.classes)
    ]
