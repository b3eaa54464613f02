"""The baseline of a dataset, `expectations/<dataset>.json`: what its images looked like.

It is inferred once from the examples, kept in git, and changed only by `segtrail data baseline`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.validating import tables
from segtrail.errors import ConfigError
from segtrail.files import root_digest
from segtrail.settings.base import Name
from segtrail.settings.dataset import Dataset, MaskKind
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "expectations"
COMPARED = (
    "height",
    "width",
    "brightness",
    "contrast",
    "saturation",
    "sharpness",
    "objects",
    "median_object",
)
_DIGITS = 6


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Range(_Strict):
    """Where a column's values lay."""

    min: float
    p5: float
    median: float
    p95: float
    max: float


class Slice(_Strict):
    """The images of one slice.

    Attributes:
        images: How many there were.
        bits: Bits a channel.
        channels: How many channels.
        ranges: By column.
    """

    images: Annotated[int, Field(ge=1)]
    bits: list[int]
    channels: list[int]
    ranges: dict[str, Range]


class Baseline(_Strict):
    """What the images of a dataset looked like, in every split.

    Attributes:
        format: Of this file.
        dataset: Its name in `params.yaml`.
        content_sha256: One digest over the images and masks that it was inferred from: see
            `segtrail.files.root_digest`.
        images: How many there were.
        masks: What a mask's values are.
        classes: The foreground classes.
        columns: The kind of values in each column of the manifest.
        slices: By name.
    """

    format: Literal[1] = 1
    dataset: Name
    content_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    images: Annotated[int, Field(ge=1)]
    masks: MaskKind
    classes: list[Name]
    columns: dict[str, str]
    slices: dict[Name, Slice]


def path_of(workspace: Workspace, dataset: str) -> Path:
    """Returns where a dataset's baseline is kept."""
    return workspace.root / FOLDER / f"{dataset}.json"


def read(path: Path) -> Baseline | None:
    """Returns a baseline, or None if there is none.

    Raises:
        ConfigError: The file is not a baseline.
    """
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as e:
        first = e.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{path}: not a baseline: {field}: {first['msg']}",
            f"git checkout {FOLDER}/{path.name}   (or delete it, and: segtrail data baseline)",
        ) from None


def to_json(baseline: Baseline) -> str:
    """Returns the content of a baseline's file, the same for the same baseline."""
    return json.dumps(baseline.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def infer(manifest: pd.DataFrame, name: str, dataset: Dataset) -> Baseline:
    """Returns the baseline of a manifest.

    Numbers are rounded to six digits, the ends of a range outwards, so that the images that it
    was made from lie inside.

    Args:
        manifest: One row an image, well formed: see `tables.is_well_formed`.
        name: The dataset's, in `params.yaml`.
        dataset: Says what the masks mean.
    """
    compared = [*COMPARED, *(f"foreground_{c}" for c in dataset.classes)]
    slices = {}
    for slice_, rows in manifest.groupby("slice"):
        slices[str(slice_)] = Slice(
            images=len(rows),
            bits=sorted(int(v) for v in rows["bits"].unique()),
            channels=sorted(int(v) for v in rows["channels"].unique()),
            ranges={column: range_of(rows[column]) for column in compared},
        )
    return Baseline(
        dataset=name,
        content_sha256=_content(manifest),
        images=len(manifest),
        masks=dataset.masks,
        classes=list(dataset.classes),
        columns=tables.kinds(manifest),
        slices=slices,
    )


def difference(was: Baseline | None, now: Baseline) -> list[tuple[str, str, str]]:
    """Returns `(field, was, is)` of each field that differs; `—` for one that is not there."""
    before = _flat(was.model_dump(mode="json")) if was else {}
    after = _flat(now.model_dump(mode="json"))
    fields = [*after, *(field for field in before if field not in after)]
    return [
        (field, before.get(field, "—"), after.get(field, "—"))
        for field in fields
        if before.get(field) != after.get(field)
    ]


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, dict) and set(value) == set(Range.model_fields):
        low, high = value["min"], value["max"]
        middle = f"5 % {value['p5']:g}, median {value['median']:g}, 95 % {value['p95']:g}"
        return {prefix: f"{low:g} to {high:g} ({middle})"}
    if isinstance(value, dict):
        out: dict[str, str] = {}
        for key, item in value.items():
            out |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
        return out
    return {prefix: ", ".join(map(str, value)) if isinstance(value, list) else str(value)}


def _content(manifest: pd.DataFrame) -> str:
    digests = {}
    for folder, column in (("images", "sha256"), ("masks", "mask_sha256")):
        for image, digest in zip(manifest["image"], manifest[column], strict=True):
            digests[f"{folder}/{image}.png"] = str(digest)
    return root_digest(digests)


def range_of(values: pd.Series[Any]) -> Range:
    """Returns where values lie; the ends hold all of them, but for the last bit."""
    low, p5, median, p95, high = values.astype("float64").quantile([0, 0.05, 0.5, 0.95, 1])
    return Range(
        min=_rounded(low, math.floor),
        p5=_rounded(p5, round),
        median=_rounded(median, round),
        p95=_rounded(p95, round),
        max=_rounded(high, math.ceil),
    )


def _rounded(value: float, how: Any) -> float:
    if value == 0:
        return 0.0
    places = _DIGITS - 1 - math.floor(math.log10(abs(value)))
    scaled = value * 10.0**places if places >= 0 else value / 10.0**-places
    nearest = round(scaled)
    whole = nearest if abs(scaled - nearest) < 1e-6 else how(scaled)  # 0.1 is not 0.100001
    return float(whole / 10.0**places) if places >= 0 else float(whole * 10.0**-places)
