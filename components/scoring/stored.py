"""Scores and predictions of a stored model on the present test images, kept for the next time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.scoring import FOLDER, answers
from lineage import provenance
from model.evaluation import score, segments
from model.examples import read_examples
from segtrail.artifacts import TEST, Examples
from segtrail.code import code_digest
from segtrail.errors import LineageError, ServingError
from segtrail.files import atomic_folder, sha256_bytes, sha256_file
from segtrail.params import dump
from segtrail.progress import track
from segtrail.quiet import import_quietly
from segtrail.recipe import Recipe
from segtrail.task import load_task
from segtrail.workspace import Workspace


@dataclass(frozen=True)
class Scored:
    """What a model answered to the test images.

    Attributes:
        per_image: Parquet, a row an image: see `model.evaluation.score`.
        folder: Has what was answered: see `components.scoring.answers`.
    """

    per_image: Path
    folder: Path

    def read(self) -> Any:
        """Returns the scores as a data frame."""
        import pandas as pd

        return pd.read_parquet(self.per_image)


def score_stored(
    workspace: Workspace, name: str, recipe: Recipe, model: Path, called: str, digest: str
) -> tuple[Scored | None, str]:
    """Returns a stored model's scores, or None and why there are none.

    They are kept under `.segtrail/` and made anew when the test images, the code or what counts as
    an object changed: that is what the recipe says now, for all models.

    Args:
        workspace: Whose test images it is asked.
        name: The recipe.
        recipe: Its settings now.
        model: The SavedModel's folder.
        called: What to call it: `v3`.
        digest: Of the SavedModel.
    """
    examples = Examples.of(workspace, name).require()
    facts = (
        digest,
        sha256_file(examples.manifest),
        code_digest(),
        recipe.objects.model_dump_json(),
        str(load_task(workspace, name)),
    )
    key = sha256_bytes(" ".join(facts).encode())[:16]
    root = workspace.scratch / FOLDER / name / key
    kept = Scored(root / "per_image.parquet", root)
    if not kept.per_image.exists():
        problem = _score(workspace, name, recipe, model, called, root)
        if problem:
            return None, problem
    return kept, ""


def _score(
    workspace: Workspace, name: str, recipe: Recipe, stored: Path, called: str, root: Path
) -> str:
    """Writes the scores of a model, or returns why it has none."""
    if problem := _learnt_otherwise(recipe, stored, called):
        return problem
    import pandas as pd

    from segtrail.session import SessionModel

    errors = import_quietly("tensorflow").errors

    task = load_task(workspace, name)
    wanted = list(read_examples(Examples.of(workspace, name).records(TEST)))
    try:
        model = SessionModel(stored)
        theirs = segments(model)
        if theirs != (task.masks, task.classes):
            return (
                f"{called} segments {theirs[0]} of {', '.join(theirs[1])}, the recipe "
                f"{task.masks} of {', '.join(task.classes)}"
            )
        rows = []
        with atomic_folder(root) as folder:
            scored = score(model, wanted, task, recipe.objects)
            for answer in track(scored, f"scoring {called}", len(wanted)):
                rows.append(answer.row)
                answers.keep(folder, answer)
            pd.DataFrame(rows).to_parquet(folder / "per_image.parquet", index=False)
    except (ServingError, errors.OpError, KeyError) as e:
        return f"{called} does not answer: {str(e).splitlines()[0][:300]}"
    return ""


def _learnt_otherwise(recipe: Recipe, stored: Path, called: str) -> str:
    """Returns how the model's classes were made up otherwise, by its provenance; or nothing."""
    try:
        built = provenance.load(stored / provenance.IN_MODEL)["predicate"]["buildDefinition"]
    except LineageError:
        return ""  # the model itself says what its classes are called
    theirs, ours = built["externalParameters"]["params"]["classes"], dump(recipe)["classes"]
    if theirs == ours:
        return ""
    return f"{called} learnt the classes {_classes(theirs)}, the recipe has {_classes(ours)}"


def _classes(classes: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{name} ({' + '.join(of)})" for name, of in classes.items())
