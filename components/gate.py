"""The gate: judges the candidate by the recipe's rules, and against the champion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.gating.rules import apply_rules, overall, to_json
from model.evaluation import score, segments
from model.examples import read_examples
from segtrail.artifacts import TEST, Evaluation, Examples, Model, Verdict
from segtrail.code import code_digest
from segtrail.errors import LineageError, StageError
from segtrail.files import atomic_path, read_json, sha256_bytes, write_json
from segtrail.params import dump, load_recipe
from segtrail.progress import say, track
from segtrail.recipe import Recipe
from segtrail.saved_model import digest
from segtrail.task import load_task
from segtrail.workspace import Workspace
from serving.config import champion as champion_version

_SIGNS = {"pass": "pass", "fail": "FAIL", "insufficient evidence": "????"}


def judge(workspace: Workspace, name: str) -> dict[str, Any]:
    """Writes and returns the verdict on the candidate.

    The champion is scored on the same test images as the candidate, through its own stored
    SavedModel; what was once scored is kept under `.segtrail/`.

    Raises:
        StageError: The evaluation is of another model than the candidate.
        LineageError: The champion that the serving configuration names is not in the store.
    """
    import pandas as pd

    recipe = load_recipe(workspace, name)
    evaluation = Evaluation.of(workspace, name).require()
    model_digest = digest(Model.of(workspace, name).require().root)
    metrics = read_json(evaluation.metrics)
    if metrics["model_digest"] != model_digest:
        raise StageError(
            f"{evaluation.metrics} is of model {metrics['model_digest'][:12]}, "
            f"the candidate is {model_digest[:12]}",
            f"segtrail retrain --recipe {name}",
        )
    candidate = pd.read_parquet(evaluation.per_image)
    champion = _champion(workspace, name)
    scores = None
    if champion is not None and champion["model_digest"] == model_digest:
        scores = candidate
    elif champion is not None:
        scores = _champion_scores(workspace, name, recipe, champion, metrics["examples_digest"])
        if scores is None:  # no pair of images: the relative rules say that they cannot tell
            scores = candidate.iloc[:0]
    rules = apply_rules(recipe.gate, candidate, scores)
    verdict = {
        "recipe": name,
        "verdict": overall(rules),
        "model_digest": model_digest,
        "champion": champion,
        "gate": dump(recipe.gate),
        "rules": [to_json(rule) for rule in rules],
    }
    write_json(Verdict.of(workspace, name).path, verdict)
    for rule in rules:
        say(f"{_SIGNS[rule.verdict]}  {rule.rule}\n      {rule.says}")
    if champion is None and recipe.gate.relative:
        say("      no champion yet: the first model is judged by the absolute rules alone")
    say(f"verdict: {verdict['verdict']}")
    return verdict


def _champion(workspace: Workspace, name: str) -> dict[str, Any] | None:
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


def _champion_scores(
    workspace: Workspace,
    name: str,
    recipe: Recipe,
    champion: dict[str, Any],
    examples_digest: str,
) -> Any:
    """Returns the champion's per-image scores on the present test images.

    What counts as an object is what the recipe says now, for both models. None stands for a
    champion that segments something else, which cannot be compared.
    """
    import pandas as pd

    task = load_task(workspace, name)
    counted = recipe.objects.model_dump_json()
    facts = f"{champion['model_digest']} {examples_digest} {code_digest()} {counted}"
    key = sha256_bytes(facts.encode())[:16]
    kept: Path = workspace.scratch / "champion-scores" / name / f"{key}.parquet"
    if not kept.exists():
        from segtrail.session import SessionModel

        examples = Examples.of(workspace, name).require()
        wanted = list(read_examples(examples.records(TEST)))
        model = SessionModel(workspace.models / name / str(champion["version"]))
        if (theirs := segments(model)) != (task.masks, task.classes):
            say(
                f"      the champion v{champion['version']} segments {theirs[0]} of "
                f"{', '.join(theirs[1])}, the candidate {task.masks} of "
                f"{', '.join(task.classes)}: they cannot be compared"
            )
            return None
        what = f"scoring the champion, v{champion['version']}"
        answers = score(model, wanted, task, recipe.objects)
        rows = [answer.row for answer in track(answers, what, len(wanted))]
        with atomic_path(kept) as temporary:
            pd.DataFrame(rows).to_parquet(temporary, index=False)
    return pd.read_parquet(kept)
