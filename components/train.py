"""Trainer: a network on the transformed tiles, tracked in MLflow, exported as a SavedModel."""

from __future__ import annotations

import shutil
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from components.training.identity import training_identity
from components.training.live import LiveSamples
from components.training.record import write_record
from components.training.samples import emergence
from components.training.session import Session, prepare
from lineage.data_version import DataVersion
from lineage.training_run import TrainingRunRecord, environment
from model.checkpoints import Checkpoints
from model.examples import read_examples
from model.export import export
from model.hardware.strategy import agree, leave
from model.training import fit, kept_epoch
from model.verify import verify_in_fresh_process
from segtrail.artifacts import VALIDATION, Examples, Model, TrainingRun, TransformGraph
from segtrail.code import code_digest
from segtrail.files import atomic_folder
from segtrail.lock import alone
from segtrail.made_with import require_tiles
from segtrail.params import dump, load_recipe
from segtrail.progress import say
from segtrail.saved_model import digest
from segtrail.task import Task, load_task
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from model.emergence import Emergence
    from segtrail.recipe import Recipe


def train(workspace: Workspace, name: str, resume: bool = True) -> Model:
    """Trains the recipe's network and writes the candidate and the record of its training.

    With `training.deterministic` the same inputs give the same weights, hash for hash, on the
    same kind of machine; without a break, the same SavedModel byte for byte. The state is saved
    at the end of each epoch; a training that was killed goes on from there if nothing that it
    depends on has changed since.

    Args:
        workspace: Where `transform` has run.
        name: The recipe.
        resume: False begins anew.

    Raises:
        StageError: Training broke down, or the SavedModel does not load in a fresh process.
    """
    recipe, task = load_recipe(workspace, name), load_task(workspace, name)
    transform = require_tiles(TransformGraph.of(workspace, name), recipe, task)
    candidate, options = Model.of(workspace, name), recipe.training
    data = DataVersion.recorded(Examples.of(workspace, name).require().data_version)

    session = prepare(recipe, task, transform)
    network, plan = session.network, session.plan
    for reason in plan.reasons:
        say(reason)
    facts: dict[str, Any] = {
        "recipe": dump(recipe),
        "code_digest": code_digest(),
        "environment": environment() | {"hardware": plan.summary},
        "seed": options.seed,
        "steps": options.steps,
        "parameters": network.count_params(),
        "data_version": {"dvc_md5": data.dvc_md5, "sha256_root": data.sha256_root},
    }
    identity = training_identity(
        recipe, task, transform, facts["code_digest"], facts["environment"]
    )
    kept = workspace.scratch / "checkpoints" / name
    checkpoints = Checkpoints(kept / identity[:16], writes=plan.chief)
    busy = f"recipe {name} is being trained by another process"
    with alone(kept.with_suffix(".lock"), busy) if plan.chief else nullcontext():
        if not resume:
            checkpoints.remove()
        found = checkpoints.newest()
        if not found and any(kept.glob("*/")):
            say("an unfinished training with other settings, data or code is passed over")
        facts["resumed"] = found is not None
        at = f"epoch {found.epoch if found else 0} of {identity[:16]}"
        agree(session.strategy, at, "what they train, or resume")
        say(
            f"training {recipe.network.name} of {network.count_params():,} parameters "
            f"for {options.steps} steps: {plan.summary}"
        )
        run_fit = partial(
            fit, network, session.batches, session.validation, options, task, plan, checkpoints
        )
        if not plan.chief:
            run_fit(lambda *_: None)
            leave(session.strategy)  # the chief exports meanwhile
            return candidate
        with TrainingRunRecord(
            workspace, name, dump(recipe), data,
            {"segtrail.recipe": name, "segtrail.code_digest": facts["code_digest"]},
            found.notes["mlflow_run_id"] if found else None,
        ) as run:  # fmt: skip
            samples = emergence(transform.tiles(VALIDATION), session.graph, recipe, task)
            live = LiveSamples(samples, options, run.picture)
            history = run_fit(run.metrics, {"mlflow_run_id": run.run_id}, [samples], [live])
            _write(workspace, name, recipe, task, session, facts, history, samples, run)
        shutil.rmtree(kept, ignore_errors=True)
    leave(session.strategy)
    say(f"candidate {facts['model_digest'][:12]} in {candidate.root}; MLflow run {run.run_id}")
    return candidate


def _write(
    workspace: Workspace,
    name: str,
    recipe: Recipe,
    task: Task,
    session: Session,
    facts: dict[str, Any],
    history: list[dict[str, float]],
    samples: Emergence,
    run: TrainingRunRecord,
) -> None:
    """Writes the SavedModel and the record of its training, neither if one cannot be made."""
    network = session.served_network()
    validation = Examples.of(workspace, name).records(VALIDATION)
    sample = next(read_examples(validation)).image_bytes
    kept = kept_epoch(history, recipe.training)
    with (
        atomic_folder(TrainingRun.of(workspace, name).root) as record_folder,
        atomic_folder(Model.of(workspace, name).root) as model_folder,
    ):
        # no run id: a random number would make equal models differ
        answers = {"recipe": name, "data_version": facts["data_version"]["dvc_md5"]}
        export(network, session.graph, recipe, task, answers, model_folder, sample)
        verify_in_fresh_process(model_folder, sample)
        facts |= {
            "steps_done": int(history[-1]["step"]),
            "kept_step": int(kept["step"]),
            "cpu_seconds": round(time.process_time(), 1),  # of this process
            "validation": {k: v for k, v in kept.items() if k.startswith("val_")},
            "model_digest": digest(model_folder),
            "mlflow_run_id": run.run_id,
            "mlflow_experiment": run.experiment_id,
        }
        for path in write_record(record_folder, facts, history, samples, network):
            run.file(path)
