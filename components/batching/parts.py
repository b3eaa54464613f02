"""A part: the rows of one chunk, written whole or not at all, by whatever worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.batching.chunks import Digests
from components.batching.measuring import image_schema, object_schema
from components.batching.output import Part
from components.batching.segmenting import Bad, Done, Kept
from segtrail.files import atomic_path
from segtrail.task import Task

_PROBLEM, _DIGESTS = "problem", ["sha256", "mask_sha256", "labels_sha256"]


class Row(NamedTuple):
    """What a table says of an image: its digests; or, of a bad one, what is wrong."""

    image: str
    digests: Digests | None
    problem: str | None


def write(part: Part, found: Iterable[Done | Bad | Kept], task: Task) -> None:
    """Writes the rows of a chunk; of what was kept there are none. The images' file comes last.

    A worker that does a chunk again writes the same.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    rows: list[dict[str, Any]] = []
    objects = []
    for each in found:
        if isinstance(each, Done):
            rows.append(each.row)
            if len(each.objects):
                objects.append(each.objects)
        elif isinstance(each, Bad):
            rows.append({"image": each.name, "sha256": each.sha256, _PROBLEM: each.problem})
    schema = image_schema(task).append(pa.field(_PROBLEM, pa.string()))
    measured = object_schema().empty_table()
    if objects:
        measured = pa.Table.from_pandas(pd.concat(objects), measured.schema, preserve_index=False)
    with atomic_path(part.objects) as aside:
        parquet.write_table(measured.replace_schema_metadata(), aside)
    with atomic_path(part.images) as aside:
        parquet.write_table(pa.Table.from_pylist(rows, schema), aside)


def read_rows(table: Path) -> Iterator[Row]:
    """Yields what a part, or `images.parquet`, says of each image."""
    from pyarrow import parquet

    file = parquet.ParquetFile(table)
    has_bad = _PROBLEM in file.schema_arrow.names
    columns = ["image", *_DIGESTS, *([_PROBLEM] if has_bad else [])]
    for batch in file.iter_batches(columns=columns):
        values: Sequence[list[Any]] = [batch.column(name).to_pylist() for name in columns]
        for name, image, mask, labels, *problem in zip(*values, strict=True):
            if problem and problem[0] is not None:
                yield Row(name, None, problem[0])
            else:
                yield Row(name, Digests(image, mask, labels), None)
