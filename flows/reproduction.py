"""Makes a promoted version once more, from its commit: `segtrail audit --reproduce`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from flows import stages, telling, throwaway
from flows.repro import reproduce
from lineage import installed, reproduction
from lineage.evidence import Evidence, rest_on
from lineage.gather import REQUIREMENTS
from lineage.link import NotChecked
from segtrail.errors import SegtrailError, StageError
from segtrail.words import shortened
from segtrail.workspace import Workspace


def reproduced(e: Evidence, say: Callable[[str], None], keep: Path | None = None) -> str:
    """Returns what held when all stages of a version's recipe ran once more at its commit.

    They run in a clone that is thrown away: by the commit's own code, on the data that its
    `data.dvc` names, each computed anew. The workspace stays as it is.

    Args:
        e: What was recorded of the version.
        say: Gets a line at a time while it goes on.
        keep: A folder, empty or not there, to run in and to leave; by default a temporary one.

    Raises:
        LineageError: See `lineage.reproduction.compare`.
        NotChecked: It cannot be made again here; or see there.
        Warn: See there.
    """
    commit = rest_on(lambda: e.commit)
    for needed in (lambda: e.statement, lambda: e.stored_files, lambda: e.lock):
        rest_on(needed)  # before minutes of work
    with throwaway.clone(e.root, commit, f"reproduce-{e.recipe}-v{e.version}", keep) as folder:
        try:
            say(f"{e.recipe} v{e.version} once more, from commit {commit[:12]}, in {folder}")
            packages = installed.differences((folder / REQUIREMENTS).read_text(encoding="utf-8"))
            if packages:
                say(
                    f"other weights are to be expected: not as in {REQUIREMENTS} of the commit: "
                    f"{shortened(packages)}"
                )
            throwaway.bring_data(e, folder, say)
            _run(folder, e.recipe, say)
        except (SegtrailError, OSError) as error:
            why = error.message if isinstance(error, SegtrailError) else str(error)
            raise NotChecked(f"it cannot be made again here: {why}") from None
        return reproduction.compare(e, Workspace(folder, folder), packages)


def _run(folder: Path, recipe: str, say: Callable[[str], None]) -> None:
    """Runs every stage of the recipe.

    Raises:
        SegtrailError: One failed, or DVC cannot read the pipeline.
    """
    environment = throwaway.environment(folder)
    for stage in _stages(folder, recipe):
        name, started = stage.partition("@")[0], time.monotonic()

        def pass_on(line: str, name: str = name) -> None:
            if told := telling.said_by(name, line):
                say(told)

        did = reproduce(folder, stage, pass_on, anew=True, environment=environment)
        say(telling.ended(name, did, started))


def _stages(folder: Path, recipe: str) -> list[str]:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        # DVC names stages and files relative to the working directory.
        with contextlib.chdir(folder), Repo(".", config=throwaway.dvc_settings(folder)) as repo:
            return stages.in_order(repo, folder, recipe)
    except DvcException as error:
        raise StageError(f"DVC: {error}") from None
