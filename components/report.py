"""The report on the candidate that the gate judged: one HTML file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from components.reporting import figures, gallery, models, served
from components.reporting.page import Plot, Section, metric_rows, render, shown
from components.reporting.sections import against
from components.scoring import answers
from components.scoring.pairs import pair
from lineage import forced, ledger, report_record, verdicts
from model.examples import read_examples
from segtrail.artifacts import TEST, Evaluation, Examples, TrainingRun, Verdict
from segtrail.errors import StageError
from segtrail.files import read_json, write_text
from segtrail.params import load_recipe
from segtrail.progress import say
from segtrail.settings.base import ALL
from segtrail.task import Task, load_task
from segtrail.workspace import Workspace


def write_report(workspace: Workspace, name: str) -> Path:
    """Writes `report.html` beside the verdict, and returns its path.

    Raises:
        MissingArtifactError: The candidate is not evaluated or not judged.
        StageError: The verdict is on another model than the evaluation.
    """
    import pandas as pd

    verdict_files = Verdict.of(workspace, name).require()
    evaluation = Evaluation.of(workspace, name).require()
    verdict, metrics = verdicts.read(workspace, name), read_json(evaluation.metrics)
    if verdict["model_digest"] != metrics["model_digest"]:
        raise StageError(
            f"the verdict is on the model {verdict['model_digest'][:12]}, the evaluation of "
            f"{metrics['model_digest'][:12]}",
            f"segtrail gate --recipe {name}",
        )
    if not evaluation.levels.exists():
        raise StageError(
            f"{evaluation.levels}: not there; the evaluation is of an earlier segtrail",
            f"segtrail evaluate --recipe {name}",
        )
    per_image = pd.read_parquet(evaluation.per_image)
    run = read_json(TrainingRun.of(workspace, name).require().run)
    task = load_task(workspace, name)
    slices, rows = metric_rows(metrics)
    html = render(
        "report",
        title=f"{name}: candidate {verdict['model_digest'][:12]}",
        verdict=verdict["verdict"],
        forced=forced.says(verdict["forced"]) if verdict["forced"] else "",
        facts=_facts(verdict) + _canary(workspace, name),
        models=_models(workspace, name, verdict),
        notes=verdict["notes"],
        rules=verdict["rules"],
        served=served.found(workspace, name, verdict["model_digest"]),
        slices=slices,
        metrics=rows,
        plots=_plots(workspace, name, task, per_image, verdict_files, evaluation),
        classes=task.classes,
        legend=gallery.legend(task),
        gallery=_gallery(workspace, name, task, per_image, evaluation),
    )
    write_text(verdict_files.report, html)
    say(f"report: {verdict_files.report}")
    _keep(workspace, run["mlflow_run_id"], verdict_files.report)
    return verdict_files.report


def _keep(workspace: Workspace, run_id: str, path: Path) -> None:
    """Puts the report into MLflow; without MLflow it is a file all the same."""
    try:
        report_record.keep(workspace, run_id, path)
    except Exception as e:  # whatever MLflow, its store or the network raise
        says = f"{type(e).__name__}: {e}".splitlines()[0][:200]
        say(f"the report could not be logged to MLflow: {says}")


def _facts(verdict: dict[str, Any]) -> str:
    champion, split = verdict["champion"], verdict["test_split"]
    against = "no champion yet" if champion is None else f"champion v{champion['version']}"
    return f"{against}; {split['images']} test images ({split['digest'][:12]})"


def _models(workspace: Workspace, name: str, verdict: dict[str, Any]) -> list[list[str]]:
    """Returns what is known of the candidate and the champion that it was compared with."""
    digests, champion = {models.CANDIDATE: verdict["model_digest"]}, verdict["champion"]
    if champion is not None:
        digests[f"v{champion['version']}"] = champion["model_digest"]
    return models.table(workspace, name, digests)


def _canary(workspace: Workspace, name: str) -> str:
    """Returns what to add where a canary is out."""
    out = ledger.canary(ledger.read(workspace.ledger(name)))
    return f"; v{out.version} is out as a canary since {out.at}" if out else ""


def _plots(
    workspace: Workspace,
    name: str,
    task: Task,
    per_image: Any,
    verdict: Verdict,
    evaluation: Evaluation,
) -> list[Section]:
    import numpy as np
    import pandas as pd

    threshold = load_recipe(workspace, name).objects.threshold
    sections = [
        Section(
            "Each image, by slice",
            [
                Plot(f"{metric} by slice", figures.distributions(per_image, metric))
                for metric in shown(per_image)
            ],
        )
    ]
    if verdict.champion.exists():
        both = pair(per_image, pd.read_parquet(verdict.champion))
        title = "Candidate against champion"
        sections.append(against(title, both, "candidate", "champion"))
    counts = np.asarray(read_json(evaluation.levels)[ALL], np.int64)
    sections.append(
        Section(
            "Probabilities",
            [
                Plot(
                    "IoU against the threshold",
                    figures.thresholds(counts, task.classes, threshold),
                ),
                Plot("calibration", figures.reliability(counts)),
            ],
        )
    )
    history = _history(TrainingRun.of(workspace, name).root / "history.csv")
    sections.append(Section("Training", [Plot("learning curves", figures.learning(history))]))
    return sections


def _history(path: Path) -> dict[str, list[float]]:
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    return {key: [float(row[key]) for row in rows] for key in rows[0]} if rows else {"step": []}


def _gallery(
    workspace: Workspace, name: str, task: Task, per_image: Any, evaluation: Evaluation
) -> dict[str, list[gallery.Card]]:
    chosen = gallery.choose(per_image)
    wanted = {image for images in chosen.values() for image in images}
    rows = {row["image"]: row for row in per_image.to_dict("records")}
    cards = {
        example.image: gallery.card(
            example,
            answers.said(evaluation.root, example.image, task),
            rows[example.image],
            task,
        )
        for example in read_examples(Examples.of(workspace, name).require().records(TEST))
        if example.image in wanted
    }
    return {title: [cards[image] for image in images] for title, images in chosen.items()}
