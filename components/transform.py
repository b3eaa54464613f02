"""Transform: Beam learns the transform graph over all training images and cuts the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.transforming import pipeline
from components.transforming.ordering import settle
from components.transforming.runners import IN_PROCESS, beam_options
from components.transforming.staging import staging
from segtrail.artifacts import (
    STRATUM,
    TRAIN,
    VALIDATION,
    Examples,
    TransformGraph,
    ValidationResult,
)
from segtrail.errors import StageError
from segtrail.files import atomic_folder, read_json, write_json
from segtrail.made_with import MADE_WITH, tile_settings
from segtrail.params import load_recipe
from segtrail.progress import say
from segtrail.task import load_task
from segtrail.workspace import Workspace

_RARE = 5  # images of a size, below which it is no stratum of its own
_SPLITS = (TRAIN, VALIDATION)


def transform(
    workspace: Workspace,
    name: str,
    runner: str = IN_PROCESS,
    runner_options: Sequence[str] = (),
    staging_folder: str | None = None,
) -> TransformGraph:
    """Analyses the training images and cuts the tiles of training and validation images.

    What is written does not depend on the runner: the same tiles, in the same order.

    Args:
        workspace: Where `validate` has passed.
        name: The recipe.
        runner: A Beam runner, by name.
        runner_options: More Beam pipeline options, each `key=value` or a bare `key`.
        staging_folder: A folder or URL that this process and all workers read and write; by
            default workers must see the workspace.

    Raises:
        StageError: The examples did not pass validation, or the runner failed.
        ConfigError: Beam does not know the runner, or one of its options.
    """
    recipe, task = load_recipe(workspace, name), load_task(workspace, name)
    examples = Examples.of(workspace, name).require()
    _refuse_invalid(ValidationResult.of(workspace, name).require())
    options = beam_options(runner, runner_options)
    slices = _slices(examples, recipe.preprocessing.strata)
    result = TransformGraph.of(workspace, name)
    with atomic_folder(result.root) as folder:
        out = TransformGraph(folder, name)
        with staging(staging_folder, out, examples, _SPLITS) as shared:
            shards = pipeline.run(
                shared.records, recipe.preprocessing, task, shared.folder, options
            )
            shared.fetch_graph(out)
            tiles = {
                split: dict(settle(shards[split], slices[split], folder / "tiles" / split))
                for split in _SPLITS
            }
        summary = {
            "training_images": len(slices[TRAIN]),
            "tiles": tiles,
            MADE_WITH: tile_settings(recipe, task),
        }
        write_json(out.statistics, summary)
    counts = ", ".join(f"{sum(n.values())} {split}" for split, n in tiles.items())
    say(f"transform graph over {summary['training_images']} images; tiles: {counts}")
    return result


def _refuse_invalid(validation: ValidationResult) -> None:
    result = read_json(validation.result)
    if not result["passed"]:
        failed = "; ".join(item["says"] for item in result["failed"][:5])
        raise StageError(
            f"validation failed, nothing is learnt from these examples: {failed}",
            f"see {validation.docs}, mend the data, ingest it again",
        )


def strata(images: Any) -> Any:
    """Returns the stratum of each image: its slice and size; of rare sizes together, the slice.

    Args:
        images: A data frame with `slice`, `height` and `width`.
    """
    size = images["height"].astype(str) + "x" + images["width"].astype(str)
    names = images["slice"] + STRATUM + size
    often = names.map(names.value_counts()) >= _RARE
    return names.where(often, images["slice"])


def _slices(examples: Examples, kind: str) -> dict[str, dict[str, str]]:
    """Returns the slice or stratum of each image, by split, in the order of the examples."""
    import pandas as pd

    columns = ["image", "split", "slice", "height", "width"]
    manifest: Any = pd.read_parquet(examples.manifest, columns=columns)
    slices = {}
    for split in _SPLITS:
        rows = manifest[manifest["split"] == split]
        parts = strata(rows) if kind == "size" and split == TRAIN else rows["slice"]
        slices[split] = dict(zip(rows["image"], parts, strict=True))
        if not slices[split]:
            raise StageError(
                f"no {split} images: nothing can be learnt",
                f"look at the split of {examples.manifest}; ingest more images",
            )
    return slices
