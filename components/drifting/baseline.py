"""The baseline: the training images of the champion, by the manifest it learnt from."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lineage.evidence import Evidence
from lineage.link import NotChecked
from segtrail.artifacts import TRAIN, Examples
from segtrail.errors import DataError, LineageError
from segtrail.workspace import Workspace
from serving import config

_NEEDED = ("image", "sha256", "mask_sha256", "slice", "group", "split")


@dataclass(frozen=True)
class Baseline:
    """What new images are compared with.

    Attributes:
        rows: The manifest's, one an image of any split.
        version: The champion's; None if nothing is promoted.
        commit: The git commit that it was promoted from, or None.
        says: What it is, in words.
    """

    rows: Sequence[dict[str, Any]]
    version: int | None
    commit: str | None
    says: str

    @property
    def training(self) -> list[dict[str, Any]]:
        """The rows of training images."""
        return [row for row in self.rows if row["split"] == TRAIN]

    @cached_property
    def contents(self) -> frozenset[tuple[str, str]]:
        """SHA-256 of image and mask of each row, whatever its split."""
        return frozenset((row["sha256"], row["mask_sha256"]) for row in self.rows)

    @cached_property
    def learnt_from(self) -> frozenset[str]:
        """SHA-256 of each training image as it landed."""
        return frozenset(row["sha256"] for row in self.training)

    @cached_property
    def delivered(self) -> frozenset[str]:
        """SHA-256 of the files that training images were delivered in, as far as is known."""
        return frozenset(str(row.get("delivered_sha256", "")) for row in self.training)


def find_baseline(workspace: Workspace, recipe: str) -> Baseline:
    """Returns the champion's baseline, out of DVC's cache as of the commit it came from.

    While nothing is promoted it is the recipe's present examples, and `says` so.

    Raises:
        LineageError: What the champion learnt from is not in DVC's cache, or was changed.
        MissingArtifactError: Nothing is promoted, and no examples were made yet.
        DataError: The manifest is not one.
    """
    version = config.champion(workspace.models_config, recipe)
    examples = Examples.of(workspace, recipe)
    if version is None:
        content = examples.require().manifest.read_bytes()
        says = f"training images of the present examples: no version of {recipe} is promoted"
        return Baseline(_rows(content, str(examples.manifest)), None, None, says)
    path = examples.manifest.relative_to(workspace.root).as_posix()
    evidence = Evidence(workspace, recipe, version)
    try:
        content, commit = evidence.output(path), evidence.commit
    except (LineageError, NotChecked) as e:
        why = e.message if isinstance(e, LineageError) else str(e)
        raise LineageError(
            f"{path} of the champion {recipe} v{version} cannot be had: {why}",
            f"dvc fetch --all-commits   (or see: segtrail audit {recipe})",
        ) from None
    return Baseline(
        _rows(content, path),
        version,
        commit,
        f"training images of the champion {recipe} v{version}",
    )


def _rows(content: bytes, name: str) -> list[dict[str, Any]]:
    import pandas as pd
    import pyarrow

    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except (pyarrow.ArrowException, OSError, ValueError) as e:
        raise DataError(f"{name}: not readable as Parquet: {e}") from None
    missing = [column for column in _NEEDED if column not in frame]
    if missing:
        raise DataError(f"{name}: expected the columns {', '.join(missing)}; they are not there")
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
