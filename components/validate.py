"""ExampleValidator: statistics of the manifest, a Great Expectations suite, and Data Docs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.validating import baseline as baselines
from components.validating.checking import Outcome, check
from components.validating.statistics import as_frame, as_tree, statistics
from components.validating.tables import is_well_formed, read_manifest
from segtrail.artifacts import Examples, ValidationResult
from segtrail.files import atomic_folder, sha256_file, write_json
from segtrail.params import load_dataset, load_recipe
from segtrail.progress import say
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def validate_examples(workspace: Workspace, name: str) -> ValidationResult:
    """Checks the manifest of a recipe's examples and keeps what was found.

    Writes `result.json`, `statistics.json` and `statistics.parquet` (for each split and slice),
    and Data Docs with pictures of the images that fail.

    Exits well also when expectations fail: DVC would delete the result of a failed stage, and
    people need it. The transform refuses examples that did not pass.

    Raises:
        ConfigError: The dataset's baseline is not one.
    """
    recipe = load_recipe(workspace, name)
    dataset = load_dataset(workspace, recipe.dataset)
    examples = Examples.of(workspace, name).require()
    path = baselines.path_of(workspace, recipe.dataset)
    baseline = baselines.read(path)
    manifest = read_manifest(examples.manifest, name)
    result = ValidationResult.of(workspace, name)
    with atomic_folder(result.root) as folder:
        out = ValidationResult(folder, name)
        if is_well_formed(manifest, dataset.classes):
            _write_statistics(manifest, folder)
        outcome = check(
            manifest,
            recipe.validation,
            dataset,
            baseline,
            docs=out.docs.parent,
            data=workspace.dataset(recipe.dataset),
        )
        compared = None
        if baseline is not None:
            compared = {
                "path": path.relative_to(workspace.root).as_posix(),
                "sha256": sha256_file(path),
                "images": baseline.images,
            }
        write_json(
            out.result,
            outcome.as_json()
            | {"baseline": compared, "examples_digest": sha256_file(examples.manifest)},
        )
    _tell(outcome, result, name)
    return result


def _write_statistics(manifest: pd.DataFrame, folder: Path) -> None:
    rows = statistics(manifest)
    write_json(folder / "statistics.json", as_tree(rows))
    as_frame(rows).to_parquet(folder / "statistics.parquet", index=False)


def _tell(outcome: Outcome, result: ValidationResult, name: str) -> None:
    verdict, compared = outcome.summary
    say(f"{'Valid' if outcome.passed else 'NOT VALID'}: {verdict}")
    say(compared)
    for kind, findings in (("error", outcome.errors), ("warning", outcome.warnings)):
        for finding in findings:
            say(f"  {kind}: {finding.check.name}: {finding.says}")
    if outcome.baseline is None:
        say(f"  segtrail data baseline --recipe {name}   makes one of these images")
    say(f"Data Docs: {result.docs}")
