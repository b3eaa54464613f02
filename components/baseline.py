"""Makes and updates a dataset's baseline, `expectations/<dataset>.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from components.validating import baseline as baselines
from components.validating.tables import is_well_formed, read_manifest, required_columns
from segtrail.artifacts import Examples, ValidationResult
from segtrail.errors import DataError, StageError
from segtrail.files import read_json, sha256_file, write_text
from segtrail.params import load_dataset, load_recipe
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Proposal:
    """A baseline that is not written yet.

    Attributes:
        path: Where it would be kept.
        was: The one that is there now.
        now: The one that the examples give.
        changes: `(field, was, is)` of each field that differs.
    """

    path: Path
    was: baselines.Baseline | None
    now: baselines.Baseline
    changes: list[tuple[str, str, str]]

    def write(self) -> None:
        """Puts the new baseline in the place of the old one, atomically."""
        write_text(self.path, baselines.to_json(self.now))


def propose_baseline(workspace: Workspace, name: str) -> Proposal:
    """Infers the baseline of a recipe's dataset from its examples; writes nothing.

    Raises:
        MissingArtifactError: The examples were not made.
        DataError: The manifest lacks columns or values.
        StageError: Validation found errors in these very examples.
        ConfigError: The baseline that is there is not one.
    """
    recipe = load_recipe(workspace, name)
    dataset = load_dataset(workspace, recipe.dataset)
    examples = Examples.of(workspace, name).require()
    manifest = read_manifest(examples.manifest, name)
    again = f"segtrail examples --recipe {name}"
    if not len(manifest) or not is_well_formed(manifest, dataset.classes):
        raise DataError(
            f"{examples.manifest}: expected images, and the columns "
            f"{', '.join(required_columns(dataset.classes))}",
            again,
        )
    if bool(manifest[list(required_columns(dataset.classes))].isna().any(axis=None)):
        raise DataError(f"{examples.manifest}: values are missing", again)
    _refuse_invalid(workspace, name, sha256_file(examples.manifest))
    path = baselines.path_of(workspace, recipe.dataset)
    try:
        now = baselines.infer(manifest, recipe.dataset, dataset)
    except ValidationError as e:
        first = e.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"{examples.manifest}: {field}: {first['msg']}", again) from None
    was = baselines.read(path)
    return Proposal(path, was, now, baselines.difference(was, now))


def _refuse_invalid(workspace: Workspace, name: str, digest: str) -> None:
    """A baseline of images that are known to be wrong would let the next ones pass."""
    result = ValidationResult.of(workspace, name)
    if not result.exists:
        return
    found = read_json(result.result)
    if found.get("examples_digest") == digest and not found.get("passed"):
        failed = "; ".join(item["says"] for item in found.get("failed", [])[:3])
        raise StageError(
            f"validation found errors in these examples, which make no baseline: {failed}",
            f"mend the data, or change `validation` of {name} in params.yaml; then "
            f"segtrail validate --recipe {name}",
        )
