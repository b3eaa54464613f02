"""Makes one table of many: rows in the order of the images, whoever wrote them, and when.

So the tables do not depend on the runner, nor on where a run was killed and taken up again.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

_GROUP = 1 << 16  # rows of a row group


def merge(sources: Sequence[Path], owner: Mapping[str, int], schema: Any, to: Path) -> int:
    """Writes the rows that count, sorted by `image`, and returns how many they are.

    The tables are read side by side, each only while its images are due: of the parts of one run
    that is one at a time. A row group of each is in memory.

    Args:
        sources: Parquet files, each sorted by `image`, with at least the columns of `schema`.
        owner: For each image the source, by its place, whose rows count.
        schema: The columns to write.
        to: The file to write.
    """
    import pyarrow as pa
    from pyarrow import parquet

    firsts: dict[int, str] = {}
    for image, source in owner.items():
        firsts[source] = min(image, firsts.get(source, image))
    total, ready = 0, 0
    waiting: list[Any] = []
    with parquet.ParquetWriter(to, schema) as writer:
        for rows in _in_order(sources, firsts, owner, schema.names):
            total, ready = total + len(rows), ready + len(rows)
            waiting.append(rows)
            while ready >= _GROUP:  # groups of equal size, however the rows came
                table = pa.Table.from_batches(waiting, schema).combine_chunks()
                writer.write_table(table.slice(0, _GROUP))
                waiting, ready = table.slice(_GROUP).to_batches(), ready - _GROUP
        if ready:
            writer.write_table(pa.Table.from_batches(waiting, schema).combine_chunks())
    return total


def _in_order(
    sources: Sequence[Path],
    firsts: Mapping[int, str],
    owner: Mapping[str, int],
    columns: Sequence[str],
) -> Iterator[Any]:
    """Yields the rows of each image, the images sorted."""
    due = deque(sorted((first, source) for source, first in firsts.items()))
    opened: list[tuple[str, int, Any, Iterator[tuple[str, Any]]]] = []
    while due or opened:
        while due and (not opened or due[0][0] <= opened[0][0]):
            _, source = due.popleft()
            _go_on(opened, source, _slices(sources[source], source, owner, columns))
        if opened:
            _, source, rows, rest = heapq.heappop(opened)
            yield rows
            _go_on(opened, source, rest)


def _go_on(opened: list[Any], source: int, rest: Iterator[tuple[str, Any]]) -> None:
    if (item := next(rest, None)) is not None:
        heapq.heappush(opened, (item[0], source, item[1], rest))


def _slices(
    path: Path, source: int, owner: Mapping[str, int], columns: Iterable[str]
) -> Iterator[tuple[str, Any]]:
    """Yields `(image, its rows)`, of the images that this source owns."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(columns)):
            start = 0
            for image, rows in groupby(batch.column("image").to_pylist()):
                length = sum(1 for _ in rows)
                if owner.get(image) == source:
                    yield image, batch.slice(start, length)
                start += length
