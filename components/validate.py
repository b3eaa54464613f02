"""ExampleValidator: a Great Expectations suite over the manifest, and its Data Docs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from segtrail.artifacts import SPLITS, Examples, ValidationResult
from segtrail.files import atomic_folder, read_json, sha256_file, write_json
from segtrail.params import load_recipe
from segtrail.progress import say
from segtrail.recipe import Validation
from segtrail.workspace import Workspace

SUITE = "examples"
_SHOWN = 10  # images named for each failed expectation


def validate_examples(workspace: Workspace, name: str) -> ValidationResult:
    """Checks the manifest of a recipe's examples and keeps what was found.

    Exits well also when expectations fail: DVC would delete the result of a failed stage, and
    people need it. The transform refuses examples that did not pass.
    """
    recipe = load_recipe(workspace, name)
    examples = Examples.of(workspace, name).require()
    result = ValidationResult.of(workspace, name)
    with atomic_folder(result.root) as folder:
        out = ValidationResult(folder, name)
        found = _check(examples.manifest, recipe.validation, out.docs.parent)
        write_json(out.result, found | {"examples_digest": sha256_file(examples.manifest)})
    found = read_json(result.result)
    if found["passed"]:
        say(f"{found['expectations']} expectations hold; Data Docs: {result.docs}")
    else:
        say(f"{len(found['failed'])} of {found['expectations']} expectations FAILED:")
        for item in found["failed"]:
            say(f"  {item['says']}")
        say(f"Data Docs: {result.docs}")
    return result


def expectations(options: Validation) -> list[Any]:
    """Returns what the manifest must hold; each expectation's notes say it in words."""
    from great_expectations import expectations as gxe

    def between(column: str, low: float | None, high: float | None, says: str) -> Any:
        return gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, notes=says
        )

    return [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=options.min_images, notes=f"at least {options.min_images} images"
        ),
        gxe.ExpectColumnValuesToBeUnique(column="image", notes="each image id once"),
        gxe.ExpectColumnValuesToMatchRegex(
            column="sha256", regex="^[0-9a-f]{64}$", notes="each image has its SHA-256"
        ),
        gxe.ExpectColumnDistinctValuesToEqualSet(
            column="split", value_set=list(SPLITS), notes="training, validation and test images"
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="same_size", value_set=[True], notes="each mask has the size of its image"
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="bits", value_set=[8, 16], notes="8 or 16 bits a channel"
        ),
        between("height", options.min_side, options.max_side, "height within limits"),
        between("width", options.min_side, options.max_side, "width within limits"),
        between("objects", 1, options.max_objects, "a plausible number of objects"),
        between("foreground", 0, options.max_foreground, "not all foreground"),
        between("contrast", 0.5, None, "no blank image"),
        gxe.ExpectColumnValuesToBeInSet(
            column="splits_of_group", value_set=[1], notes="images of one group are in one split"
        ),
        gxe.ExpectColumnValuesToNotBeNull(column="slice", notes="each image is in a slice"),
    ]


def _check(manifest_path: Path, options: Validation, docs: Path) -> dict[str, Any]:
    import great_expectations as gx
    import pandas as pd

    manifest = pd.read_parquet(manifest_path)
    manifest["splits_of_group"] = manifest.groupby("group")["split"].transform("nunique")
    with tempfile.TemporaryDirectory(prefix="segtrail-validate-") as temporary:
        context = gx.get_context(mode="file", project_root_dir=temporary)
        context.variables.progress_bars = {"globally": False}
        suite = context.suites.add(gx.ExpectationSuite(name=SUITE))
        for expectation in expectations(options):
            suite.add_expectation(expectation)
        batch = (
            context.data_sources.add_pandas("manifest")
            .add_dataframe_asset("images")
            .add_batch_definition_whole_dataframe("all")
        )
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name="examples", data=batch, suite=suite)
        )
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name="examples",
                validation_definitions=[definition],
                result_format={
                    "result_format": "COMPLETE",
                    "unexpected_index_column_names": ["image"],
                },
            )
        )
        outcome = checkpoint.run(batch_parameters={"dataframe": manifest})
        (validation,) = outcome.run_results.values()
        context.build_data_docs()
        site = next(Path(temporary).rglob("local_site"))
        shutil.copytree(site, docs)
    failed = [_failure(item) for item in validation.results if not item.success]
    return {
        "passed": bool(validation.success),
        "expectations": len(validation.results),
        "failed": failed,
    }


def _failure(item: Any) -> dict[str, Any]:
    config, result = item.expectation_config, item.result
    images = [entry["image"] for entry in result.get("unexpected_index_list") or []]
    values = result.get("partial_unexpected_list") or []
    says = str(config.notes)
    column = config.kwargs.get("column")
    if images:
        shown = ", ".join(
            f"{image} ({column} {value})"
            for image, value in zip(images[:_SHOWN], values, strict=False)
        )
        more = f" and {len(images) - _SHOWN} more" if len(images) > _SHOWN else ""
        says += f": {shown}{more}"
    elif "observed_value" in result:
        says += f": found {result['observed_value']}"
    return {"expectation": config.type, "column": column, "says": says, "images": images}
