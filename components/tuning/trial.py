"""One trial, in a process of its own: trains on the transformed tiles and scores on validation.

    python -m components.tuning.trial SPEC.json

Another training in the same process would neither give the same weights nor give back its
memory. Standard output is one JSON object a line: `{"epoch": …, "step": …}` after each
validation, which waits for `go` or `stop` on standard input; then `{"history": …}` or
`{"error": …}`. All other output goes to standard error. When the other side is gone, it ends.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from segtrail.files import read_json

GO, STOP = "go", "stop"


class _GivenUp(Exception):
    """The other side has seen enough."""


def main(spec_path: str) -> None:
    """Trains what a spec says: see `components.tuning.processes.run_trial`."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(answers,), daemon=True).start()
    history: list[dict[str, float]] = []

    def tell(values: Mapping[str, float], step: int) -> None:
        history.append({"step": float(step)} | dict(values))
        _write(out, {"epoch": dict(values), "step": step})
        if answers.get() == STOP:
            raise _GivenUp

    from segtrail.errors import ConfigError, StageError

    try:
        _train(read_json(Path(spec_path)), tell)
    except _GivenUp:
        pass
    except (ConfigError, StageError) as e:
        _write(out, {"error": type(e).__name__, "message": e.message, "hint": e.hint})
        return
    _write(out, {"history": history})


def _train(spec: dict[str, Any], tell: Any) -> None:
    from components.training.session import prepare
    from model.training import fit
    from segtrail.artifacts import TransformGraph
    from segtrail.recipe import Recipe
    from segtrail.task import Task

    recipe = Recipe.model_validate(spec["recipe"])
    task = Task(spec["masks"], tuple(spec["classes"]), tuple(map(tuple, spec["numbers"])))
    session = prepare(recipe, task, TransformGraph(Path(spec["transform"]), spec["name"]))
    fit(
        session.network, session.batches, session.validation, recipe.training, task,
        session.plan, None, tell,
    )  # fmt: skip


def _write(out: IO[str], message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _listen(answers: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        answers.put(line.strip())
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
