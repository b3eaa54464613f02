"""Statistics of the manifest's columns, for each split and slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segtrail.artifacts import SPLITS
from segtrail.settings.base import ALL

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
COUNTED = ("split", "slice", "cluster", "delivery", "bits", "channels", "same_size")
_NOT_NUMBERS = ("bits", "channels")  # numbers that name a kind


def statistics(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the statistics of each column, over all images and for each split and slice.

    Args:
        manifest: One row an image; `split` and `slice` among its columns.

    Returns:
        One dictionary a column and cell, in a fixed order. All have `split` and `slice` (`all`
        stands for any), `column`, `value`, `n` and `missing`. Of a column of numbers: `mean`,
        `std` (of the population), `min`, `p5`, `p25`, `p50`, `p75`, `p95`, `max`, with `value`
        None. Of a column of kinds: one for each `value`, as text, and `n` images that have it.
    """
    from pandas.api import types

    numbers = [
        name
        for name in manifest.columns
        if types.is_numeric_dtype(manifest[name])
        and not types.is_bool_dtype(manifest[name])
        and name not in _NOT_NUMBERS
    ]
    counted = [name for name in COUNTED if name in manifest.columns]
    out = []
    for split, slice_, cell in _cells(manifest):
        where = {"split": split, "slice": slice_}
        out += [where | row for row in _of_numbers(cell, numbers)]
        for name in counted:
            missing = int(cell[name].isna().sum())
            counts = cell[name].astype("str").where(cell[name].notna()).value_counts()
            out += [
                where | {"column": name, "value": str(value), "n": int(n), "missing": missing}
                for value, n in sorted(counts.items(), key=lambda item: str(item[0]))
            ]
    return out


def as_tree(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns statistics as `{split: {slice: {column: numbers, or {value: n}}}}`."""
    tree: dict[str, Any] = {}
    for row in rows:
        cell = tree.setdefault(row["split"], {}).setdefault(row["slice"], {})
        if row["value"] is None:
            cell[row["column"]] = {
                key: row[key] for key in ("n", "missing", "mean", "std", "min", *QUANTILES, "max")
            }
        else:
            cell.setdefault(row["column"], {})[row["value"]] = row["n"]
    return tree


def as_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Returns statistics as a table, the same columns whatever is in it."""
    import pandas as pd

    text = ("split", "slice", "column", "value")
    whole = ("n", "missing")
    real = ("mean", "std", "min", *QUANTILES, "max")
    frame = pd.DataFrame(rows, columns=[*text, *whole, *real])
    return frame.astype(
        dict.fromkeys(text, "str") | dict.fromkeys(whole, "int64") | dict.fromkeys(real, "float64")
    )


def _cells(manifest: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    slices = sorted(str(name) for name in manifest["slice"].dropna().unique())
    for split in (ALL, *SPLITS):
        of_split = manifest if split == ALL else manifest[manifest["split"] == split]
        for slice_ in (ALL, *slices):
            cell = of_split if slice_ == ALL else of_split[of_split["slice"] == slice_]
            if len(cell):
                yield split, slice_, cell


def _of_numbers(cell: pd.DataFrame, names: list[str]) -> Iterator[dict[str, Any]]:
    values = cell[names].astype("float64")
    quantiles = values.quantile([0.0, *QUANTILES.values(), 1.0])
    mean, std, missing = values.mean(), values.std(ddof=0), values.isna().sum()
    for name in names:
        absent = int(missing[name])
        row: dict[str, Any] = {
            "column": str(name), "value": None, "n": len(cell) - absent, "missing": absent
        }  # fmt: skip
        found = [mean[name], std[name], *quantiles[name]]
        keys = ("mean", "std", "min", *QUANTILES, "max")
        yield row | {
            key: float(value) if value == value else None  # not a number: all are missing
            for key, value in zip(keys, found, strict=True)
        }
