"""The tables that expectations are about: images, splits and schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from segtrail.artifacts import SPLITS, TEST, TRAIN, VALIDATION
from segtrail.errors import DataError
from segtrail.settings.base import ALL
from segtrail.settings.dataset import Dataset, Splits

if TYPE_CHECKING:
    import pandas as pd

    from components.validating.baseline import Baseline

ABSENT = "not there"
TEXT, WHOLE, NUMBER, TRUTH, OTHER = "text", "whole number", "number", "true or false", "other"

_TEXT_COLUMNS = (
    "image",
    "sha256",
    "mask_sha256",
    "delivered_sha256",
    "delivery",
    "slice",
    "group",
    "cluster",
    "split",
)
_WHOLE_COLUMNS = (
    "height",
    "width",
    "channels",
    "bits",
    "objects",
    "smallest_object",
    "largest_object",
    "border_objects",
    "highest_value",
)
_NUMBER_COLUMNS = (
    "minimum",
    "maximum",
    "median",
    "brightness",
    "contrast",
    "saturation",
    "sharpness",
    "foreground",
    "median_object",
)
_COUNT_FROM = 4  # objects, below which their part at the border says little


def read_manifest(path: Path, recipe: str) -> pd.DataFrame:
    """Returns a manifest of examples.

    Raises:
        DataError: The file is damaged.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as e:  # what pyarrow raises is one of these
        raise DataError(
            f"{path}: not readable as Parquet: {e}",
            f"make it again: segtrail examples --recipe {recipe}",
        ) from None


def required_columns(classes: Sequence[str]) -> dict[str, str]:
    """Returns the columns that a manifest must have, and the kind of values in each."""
    return {
        **dict.fromkeys(_TEXT_COLUMNS, TEXT),
        "same_size": TRUTH,
        **dict.fromkeys(_WHOLE_COLUMNS, WHOLE),
        **dict.fromkeys(_NUMBER_COLUMNS, NUMBER),
        **{f"foreground_{name}": NUMBER for name in classes},
    }


def kinds(manifest: pd.DataFrame) -> dict[str, str]:
    """Returns the kind of values in each column, whatever pandas calls its type."""
    from pandas.api import types

    def kind(values: pd.Series[Any]) -> str:
        if types.is_bool_dtype(values):
            return TRUTH
        if types.is_integer_dtype(values):
            return WHOLE
        if types.is_float_dtype(values):
            return NUMBER
        return TEXT if types.is_string_dtype(values) else OTHER

    return {str(name): kind(manifest[name]) for name in manifest.columns}


def is_well_formed(manifest: pd.DataFrame, classes: Sequence[str]) -> bool:
    """Whether the other tables can be made: all required columns are there, of the right kind."""
    found = kinds(manifest)
    return all(found.get(name) == kind for name, kind in required_columns(classes).items())


def schema_table(
    manifest: pd.DataFrame, dataset: Dataset, baseline: Baseline | None
) -> pd.DataFrame:
    """Returns what is expected and what was found of the manifest as a whole.

    Returns:
        `item`, `part`, `expected`, `found`: a row for each required column (part `column`), for
        the baseline (`baseline`), for what its masks mean (`masks`) and for each further column
        that it knows (`baseline-column`).
    """
    import pandas as pd

    found = kinds(manifest)
    required = required_columns(dataset.classes)
    rows = [(name, "column", kind, found.get(name, ABSENT)) for name, kind in required.items()]
    there = "there"
    rows.append(("baseline", "baseline", there, ABSENT if baseline is None else there))
    if baseline is not None:
        rows.append(("masks", "masks", baseline.masks, dataset.masks))
        rows.append(("classes", "masks", ", ".join(baseline.classes), ", ".join(dataset.classes)))
        rows += [
            (name, "baseline-column", kind, found.get(name, ABSENT))
            for name, kind in baseline.columns.items()
            if name not in required
        ]
    return pd.DataFrame(rows, columns=["item", "part", "expected", "found"], dtype="str")


def images_table(manifest: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Returns the manifest, numbered from 0, with what takes a look at several columns or rows.

    Returns:
        The manifest and `missing_values`; `smallest` object, if there is any; `border_share`, 0
        where there are fewer than four objects; `largest_share` of the image;
        `visible_contrast`, of 16 bits relative to the bits in use;
        `splits_of_group`, `splits_of_content`; `mask_content`, the digest of a mask that holds
        objects; `image_twin`, `mask_twin`: the id of another image with the same content.
    """
    table = manifest.reset_index(drop=True).copy()
    table["missing_values"] = table[list(required_columns(classes))].isna().sum(axis=1)
    table["smallest"] = table["smallest_object"].astype(float).where(table["objects"] > 0)
    few = table["objects"] < _COUNT_FROM
    table["border_share"] = (
        (table["border_objects"] / table["objects"].clip(lower=1)).astype(float).mask(few, 0.0)
    )
    pixels = (table["height"] * table["width"]).clip(lower=1)
    table["largest_share"] = (table["largest_object"] / pixels).astype(float)
    table["visible_contrast"] = table["contrast"] * _stretch(table)
    for column, key in (("splits_of_group", "group"), ("splits_of_content", "sha256")):
        table[column] = table.groupby(key, dropna=False)["split"].transform("nunique")
    table["mask_content"] = table["mask_sha256"].where(table["objects"] > 0)
    table["image_twin"] = _twins(table, "sha256")
    table["mask_twin"] = _twins(table, "mask_content")
    return table


def _stretch(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Returns by how much grey levels grow when 16 bits become 8: see `segtrail.grey.eight_bit`.

    Cameras of 10 to 14 bits store their values in 16: by full scale they look blank.
    """
    deep = (table["bits"] == 16).to_numpy()
    highest = np.where(deep, (table["maximum"] * 257).round().to_numpy(), 1.0)
    in_use = np.frexp(highest)[1]
    return np.where(deep, 257.0 / 2.0 ** np.maximum(in_use - 8, 0), 1.0)


def _twins(table: pd.DataFrame, key: str) -> pd.Series[Any]:
    """Returns, for each row that shares `key` with another, the id of one such other."""
    import pandas as pd

    twins = pd.Series(None, index=table.index, dtype="str")
    alike = table[table[key].notna() & table.duplicated(key, keep=False)]
    if len(alike):
        ids = alike.groupby(key)["image"]
        first, second = ids.transform("first"), ids.transform(lambda images: images.iloc[1])
        twins[alike.index] = first.where(first != alike["image"], second)
    return twins


def splits_table(
    manifest: pd.DataFrame, splits: Splits, classes: Sequence[str], slices: Iterable[str] = ()
) -> pd.DataFrame:
    """Returns how many images of each slice and class each split has.

    Args:
        manifest: One row an image.
        splits: The wanted shares.
        classes: The dataset's.
        slices: Those that there should be, beside those that there are.

    Returns:
        A row a split and each of: all images (part `all`), a slice (`slice`), a class
        (`class`): `key`, `split`, `part`, `name`, `images`, `share` of that part's images,
        `wanted`, and `off`: by how much the share differs from the wanted one, less what one
        group more or less would change, because groups are never cut; 0 without images.
    """
    import pandas as pd

    wanted = {
        TRAIN: 1 - splits.validation - splits.test,
        VALIDATION: splits.validation,
        TEST: splits.test,
    }
    parts: list[tuple[str, str, Any]] = [("all", ALL, manifest)]
    names = sorted({*slices, *map(str, manifest["slice"].dropna())})
    parts += [("slice", name, manifest[manifest["slice"] == name]) for name in names]
    parts += [("class", name, manifest[manifest[f"foreground_{name}"] > 0]) for name in classes]
    rows = []
    for part, name, images in parts:
        counts: Mapping[Any, int] = images["split"].value_counts().to_dict()
        total = max(len(images), 1)
        group = int(images["group"].value_counts().max()) if len(images) else 0
        for split in SPLITS:
            share = counts.get(split, 0) / total
            off = max(abs(share - wanted[split]) - group / total, 0.0) if len(images) else 0.0
            rows.append(
                {
                    "key": split if part == "all" else f"{split}, {name}",
                    "split": split,
                    "part": part,
                    "name": name,
                    "images": counts.get(split, 0),
                    "share": share,
                    "wanted": wanted[split],
                    "off": off if share > wanted[split] else -off,
                }
            )
    return pd.DataFrame(rows)
