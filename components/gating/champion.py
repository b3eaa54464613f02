"""The champion: which model serves, and its scores on the present test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model.evaluation import score, segments
from model.examples import read_examples
from segtrail.artifacts import TEST, Examples
from segtrail.code import code_digest
from segtrail.errors import LineageError, ServingError
from segtrail.files import atomic_path, sha256_bytes
from segtrail.progress import track
from segtrail.recipe import Recipe
from segtrail.saved_model import digest
from segtrail.task import load_task
from segtrail.workspace import Workspace
from serving.config import champion as champion_version

_SOMETHING_ELSE = (
    "give the new model a recipe of its own, or take gate.relative out of the recipe for the one "
    "promotion that replaces the champion"
)
_BROKEN = (
    "`segtrail audit {name}` tells what became of it, and `segtrail rollback VERSION --recipe "
    "{name}` goes back to one that works"
)


def champion_of(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """Returns version and digest of the model that serves, or None.

    Raises:
        LineageError: The champion that the serving configuration names is not in the store.
    """
    version = champion_version(workspace.models_config, name)
    if version is None:
        return None
    folder = workspace.models / name / str(version)
    if not folder.is_dir():
        raise LineageError(
            f"{workspace.models_config} says that v{version} of {name} serves, but {folder} is "
            "not there",
            "segtrail promote --recover",
        )
    return {"version": version, "model_digest": digest(folder)}


def champion_scores(
    workspace: Workspace,
    name: str,
    recipe: Recipe,
    champion: dict[str, Any],
    examples_digest: str,
) -> tuple[Any, str]:
    """Returns the champion's per-image scores, or None and why there are none, with a way out.

    They are kept under `.segtrail/` and made anew when the test images, the code or what counts as
    an object changed: that is what the recipe says now, for both models.
    """
    import pandas as pd

    counted = recipe.objects.model_dump_json()
    facts = f"{champion['model_digest']} {examples_digest} {code_digest()} {counted}"
    key = sha256_bytes(facts.encode())[:16]
    kept: Path = workspace.scratch / "champion-scores" / name / f"{key}.parquet"
    if not kept.exists():
        rows, problem = _scored(workspace, name, recipe, champion["version"])
        if problem:
            return None, problem
        with atomic_path(kept) as temporary:
            pd.DataFrame(rows).to_parquet(temporary, index=False)
    return pd.read_parquet(kept), ""


def _scored(
    workspace: Workspace, name: str, recipe: Recipe, version: int
) -> tuple[list[dict[str, Any]], str]:
    from tensorflow.errors import OpError

    from segtrail.session import SessionModel

    task = load_task(workspace, name)
    wanted = list(read_examples(Examples.of(workspace, name).require().records(TEST)))
    folder = workspace.models / name / str(version)
    try:
        model = SessionModel(folder)
        theirs = segments(model)
        if theirs == (task.masks, task.classes):
            answers = score(model, wanted, task, recipe.objects)
            what = f"scoring the champion, v{version}"
            return [answer.row for answer in track(answers, what, len(wanted))], ""
    except (ServingError, OpError, KeyError) as e:
        said = str(e).splitlines()[0][:300]
        return [], f"the champion v{version} does not answer: {said}: {_BROKEN.format(name=name)}"
    return [], (
        f"the champion v{version} segments {theirs[0]} of {', '.join(theirs[1])}, the candidate "
        f"{task.masks} of {', '.join(task.classes)}, so that they cannot be compared: "
        f"{_SOMETHING_ELSE}"
    )
