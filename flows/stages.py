"""A recipe's stages as DVC knows them: their order, and which of them changed.

Also a script, so that a flow can ask without importing DVC:
`python -m flows.stages --recipe NAME` prints the plan as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import process
from flows.step_fault import BUSY_S, BusyError, patiently
from lineage.dvc_files import EMPTY_FOLDER
from segtrail.errors import ConfigError, SegtrailError, StageError, WorkspaceError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from dvc.repo import Repo

DATA = "data.dvc"
_KINDS: dict[str, type[SegtrailError]] = {
    kind.__name__: kind for kind in (BusyError, ConfigError, WorkspaceError)
}


@dataclass(frozen=True)
class Plan:
    """What a run of a recipe will do.

    Args:
        stages: Names without the recipe, in the order in which they run.
        changed: Those that DVC says would run, each with what changed.
    """

    stages: list[str]
    changed: dict[str, list[str]]


def plan(root: Path, recipe: str) -> Plan:
    """Asks DVC for the stages of a recipe.

    Raises:
        ConfigError: `dvc.yaml` has no stage for the recipe.
        WorkspaceError: `data/` is not what `data.dvc` says.
        StageError: DVC cannot read the pipeline.
        BusyError: Another DVC command holds the workspace.
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    try:
        # DVC names stages and files relative to the working directory.
        with contextlib.chdir(root), Repo(".") as repo:
            names = in_order(repo, root, recipe)
            targets = [*names, DATA] if (root / DATA).exists() else names
            status: dict[str, Any] = repo.status(targets=targets)
    except LockError as e:
        raise BusyError(f"DVC: {e}") from None
    except DvcException as e:
        raise StageError(f"DVC: {e}") from None
    _check_data(root, status.pop(DATA, []))
    return Plan(
        [name.partition("@")[0] for name in names],
        {name.partition("@")[0]: _words(status[name]) for name in names if name in status},
    )


def in_order(repo: Repo, root: Path, recipe: str) -> list[str]:
    """Returns the stages of a recipe, `<stage>@<recipe>`, each after those it depends on.

    Raises:
        ConfigError: `dvc.yaml` has none for the recipe.
    """
    import networkx as nx

    graph = repo.index.graph
    ours = [s for s in graph if s.addressing.endswith(f"@{recipe}")]
    if not ours:
        raise ConfigError(f"{root / 'dvc.yaml'}: no stage for the recipe {recipe!r}")
    rank = {stage: i for i, stage in enumerate(ours)}
    order = nx.lexicographical_topological_sort(
        graph.subgraph(ours).reverse(), key=rank.__getitem__
    )
    return [stage.addressing for stage in order]


def ask(
    root: Path,
    recipe: str,
    on_line: Callable[[str], None],
    keep_open: Sequence[int] = (),
    busy_s: float = BUSY_S,
) -> Plan:
    """Returns `plan(root, recipe)` from a process of its own.

    Args:
        root: The workspace.
        recipe: One of its recipes.
        on_line: Is told when another DVC command is waited for.
        keep_open: See `flows.process.run`.
        busy_s: How long to wait then.

    Raises:
        SegtrailError: See `plan`.
    """
    command = [sys.executable, "-m", "flows.stages", "--recipe", recipe]

    def attempt() -> Plan:
        done = process.run(command, root, lambda line: None, keep_open)
        try:
            answer = json.loads(done.out[-1])
        except (IndexError, ValueError):
            last = "\n  ".join(done.err[-5:])
            raise StageError(f"DVC could not be asked about {recipe}:\n  {last}") from None
        if "error" in answer:
            kind = _KINDS.get(answer["error"], StageError)
            raise kind(answer["message"], answer["hint"])
        return Plan(**answer)

    return patiently(attempt, on_line, busy_s)


def _check_data(root: Path, status: list[Any]) -> None:
    for entry in status:
        outs = entry.get("changed outs", {}) if isinstance(entry, dict) else {}
        for how in outs.values():
            if not (root / "data").exists():
                if EMPTY_FOLDER in (root / DATA).read_text(encoding="utf-8"):
                    raise WorkspaceError(
                        f"{root / 'data'}: nothing was ingested yet",
                        "segtrail ingest SOURCE --dataset NAME",
                    )
                raise WorkspaceError(
                    f"{root / 'data'}: not there; {DATA} says what belongs there",
                    f"dvc checkout {DATA}   (with a DVC remote: dvc pull {DATA})",
                )
            if how == "not in cache":
                continue
            raise WorkspaceError(
                f"{root / 'data'}: {how} since it was delivered; a model trained on it could not "
                f"be traced to {DATA}",
                "segtrail ingest SOURCE --dataset NAME, or to undo the change: dvc checkout "
                f"{DATA}",
            )


def _words(status: list[Any]) -> list[str]:
    """Returns the paths and params that changed, from DVC's nested status of one stage."""
    out: list[str] = []
    for entry in status:
        if not isinstance(entry, dict):
            out.append(str(entry))
            continue
        for changes in entry.values():
            for path, how in changes.items():
                out.extend(how if isinstance(how, dict) else [path])
    return out


def main(arguments: list[str] | None = None) -> int:
    """Prints the plan of a recipe, or the error that stopped it, as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True)
    recipe = parser.parse_args(arguments).recipe
    try:
        answer = asdict(plan(Workspace.find().root, recipe))
    except SegtrailError as e:
        answer = {"error": type(e).__name__, "message": e.message, "hint": e.hint}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
