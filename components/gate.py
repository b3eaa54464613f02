"""The gate: judges the candidate by the recipe's rules, and against the champion."""

from __future__ import annotations

from typing import Any

from components.gating import history
from components.gating.champion import champion_of, way_out
from components.gating.rules import apply_rules
from components.gating.verdict import overall
from components.scoring.stored import score_stored
from lineage import forced, ledger, turned_away
from lineage.verdicts import PASS
from segtrail.artifacts import Evaluation, Examples, Model, Verdict
from segtrail.errors import StageError
from segtrail.files import atomic_path, read_json, sha256_file, write_json
from segtrail.params import dump, load_recipe
from segtrail.progress import say
from segtrail.saved_model import digest
from segtrail.workspace import Workspace


def judge(workspace: Workspace, name: str) -> dict[str, Any]:
    """Writes and returns the verdict on the candidate.

    The champion is scored on the same test images as the candidate, through its own stored
    SavedModel; what was once scored is kept under `.segtrail/`.

    Raises:
        StageError: The evaluation is of another model than the candidate, or of other images.
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
    if metrics["examples_digest"] != sha256_file(Examples.of(workspace, name).require().manifest):
        raise StageError(
            f"{evaluation.metrics} is of other test images or masks than there are now",
            f"segtrail retrain --recipe {name}",
        )
    candidate = pd.read_parquet(evaluation.per_image)
    champion = champion_of(workspace, name)
    notes: list[str] = []
    scores = None
    if not recipe.gate.relative:
        notes.append("the recipe compares no candidate with the champion (gate.relative)")
    elif champion is None:
        notes.append("no champion yet: the first model is judged by the absolute rules alone")
    elif champion["model_digest"] == model_digest:
        notes.append(f"the candidate is the champion, v{champion['version']}: nothing to compare")
    else:
        version = champion["version"]
        model = workspace.models / name / str(version)
        kept, problem = score_stored(
            workspace, name, recipe, model, f"v{version}", champion["model_digest"]
        )
        if kept is not None:
            scores = kept.read()
        else:  # no pair of images: the relative rules say that they cannot tell
            notes.append(f"the champion {problem}: {way_out(name, version)}")
            scores = candidate.iloc[:0]
    rules = apply_rules(recipe.gate, candidate, scores)
    split = history.split_of(candidate)
    before = history.decided_before(workspace, recipe.dataset, split["digest"], model_digest)
    if before:
        notes.append(
            f"these {split['images']} test images have decided on {before} other "
            f"model{'' if before == 1 else 's'} before; the more, the less a pass means"
        )
    gate = dump(recipe.gate)
    entries = ledger.read(workspace.ledger(name))
    if champion is not None:
        if by := forced.of_version(entries, champion["version"]):
            notes.append(f"the champion v{champion['version']} was {forced.says(by)}")
        notes += history.changed_rules(workspace, name, champion["version"], gate)
    if word := turned_away.find(entries, model_digest):
        notes.append(f"{word.says()}; promote asks for --again")
    verdict: dict[str, Any] = {
        "recipe": name,
        "verdict": overall(rules),
        "model_digest": model_digest,
        "evaluation": evaluation.digests,
        "champion": champion,
        "gate": gate,
        "rules": [rule.to_json() for rule in rules],
        "notes": notes,
        "test_split": split,
        "test_split_decided_before": before,
    }
    verdict["forced"] = forced.find(entries, verdict) if verdict["verdict"] != PASS else None
    found = Verdict.of(workspace, name)
    found.champion.unlink(missing_ok=True)
    if scores is not None and len(scores):
        with atomic_path(found.champion) as temporary:
            scores.to_parquet(temporary, index=False)
    write_json(found.path, verdict)
    for rule in rules:
        say(rule.in_lines())
    for note in notes:
        say(f"note  {note}")
    say(f"verdict: {verdict['verdict']}")
    if any(limit is not None for limit in gate["limits"].values()):
        say(f"size, latency and memory: segtrail infra-validate --recipe {name} judges them")
    if verdict["forced"]:
        say(forced.says(verdict["forced"]))
    return verdict
