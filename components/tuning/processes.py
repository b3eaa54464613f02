"""The other side of `components.tuning.trial`: starts it, hears it, says go or stop."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.tuning.trial import GO, STOP
from model.training import kept_epoch
from segtrail.artifacts import TransformGraph
from segtrail.code import ROOT
from segtrail.files import write_json
from segtrail.params import dump
from segtrail.recipe import Recipe
from segtrail.secrets import without_secrets
from segtrail.task import Task
from segtrail.workspace import Workspace

SCORE = "val_iou"
_LAST_LINES = 15
OnEpoch = Callable[[Mapping[str, float], int], bool]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        history: The metrics of each epoch, with its `step`.
        stopped: Whether it was given up by the caller.
        refused: Why training could not go on, such as a loss that is not a number; None if it
            could.
        crashed: The last lines of its log, if the process died.
    """

    history: list[dict[str, float]]
    stopped: bool = False
    refused: str | None = None
    crashed: str | None = None


def run_trial(
    workspace: Workspace, name: str, recipe: Recipe, task: Task, log: Path, on_epoch: OnEpoch
) -> Outcome:
    """Trains a recipe in a process of its own; the process ends with this call, come what may.

    Args:
        workspace: Where `transform` has run for the recipe called `name`.
        name: Whose tiles are trained on.
        recipe: What to train.
        task: What is learnt.
        log: Where the process' messages go; the spec lies beside it.
        on_epoch: Called with the metrics and the step of each validation; False gives up.
    """
    spec = log.with_suffix(".json")
    write_json(
        spec,
        {
            "name": name,
            "recipe": dump(recipe),
            "masks": task.masks,
            "classes": task.classes,
            "numbers": task.numbers,
            "transform": str(TransformGraph.of(workspace, name).root),
        },
    )
    # this very code, whatever lies in the working directory; no cluster but this machine
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = without_secrets(os.environ) | {"PYTHONPATH": os.pathsep.join(paths)}
    environment.pop("TF_CONFIG", None)
    history: list[dict[str, float]] = []
    stopped, said = False, None
    with open(log, "wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "components.tuning.trial", str(spec)],
            cwd=workspace.root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=err, text=True, encoding="utf-8",
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = json.loads(line)
                if "epoch" not in said:
                    continue
                history.append({"step": float(said["step"])} | said["epoch"])
                stopped = not on_epoch(said["epoch"], said["step"])
                process.stdin.write(f"{STOP if stopped else GO}\n")
                process.stdin.flush()
            code = process.wait()
        except BrokenPipeError:  # it died while it was listened to
            code = process.wait() or 1
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            _close(process.stdin)
    if said and "error" in said:
        return Outcome(history, refused=said["message"])
    if code or not said or "history" not in said:
        return Outcome(history, crashed=f"exit code {code}\n{_tail(log)}")
    return Outcome(history, stopped)


def score(history: list[dict[str, float]], recipe: Recipe) -> float:
    """Returns the mean IoU of the validation tiles at the epoch whose weights would be kept."""
    return kept_epoch(history, recipe.training)[SCORE]


def _close(stream: Any) -> None:
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])
