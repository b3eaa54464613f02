"""The section `segtrail`: settings, ledgers, promotions and runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flows.doctor.findings import Finding, State, ok
from flows.doctor.here import Here
from lineage import ledger, ledger_check
from segtrail import git
from segtrail.errors import ConfigError, LineageError
from segtrail.lock import is_held
from segtrail.params import load_params

_PID = re.compile(r"pid (\d+)")


def settings(here: Here) -> Iterator[Finding]:
    """Tells whether `params.yaml` is valid."""
    path = here.workspace.params
    try:
        found = load_params(path)
    except ConfigError as e:
        yield Finding(State.BROKEN, e.message, e.hint or "segtrail status   (once it is corrected)")
        return
    yield ok(f"params.yaml: {len(found.datasets)} datasets, {len(found.recipes)} recipes")


def ledgers(here: Here) -> Iterator[Finding]:
    """Tells whether each ledger holds: its chain, its signatures, and that it goes on git's."""
    workspace = here.workspace
    for recipe in workspace.ledgers():
        path = workspace.ledger(recipe)
        name = path.relative_to(workspace.root).as_posix()
        if problems := ledger.verify(path):
            yield Finding(State.BROKEN, f"{name}: {problems[0]}", f"segtrail audit {recipe}")
            continue
        if not git.is_repository(workspace.root) or not git.run(
            workspace.root, "ls-files", "--", name
        ):
            continue  # the section of git tells it
        try:
            entries = ledger_check.check(workspace, recipe).entries
        except LineageError as e:
            yield Finding(State.BROKEN, f"{name}: {e.message}", f"segtrail audit {recipe}")
            continue
        yield ok(f"{name}: {len(entries)} lines, each holds")


def promotions(here: Here) -> Iterator[Finding]:
    """Tells a promotion or rollback that was begun and not ended."""
    workspace = here.workspace
    under_way = is_held(workspace.promotion_lock)
    for recipe in workspace.ledgers():
        intent = ledger.open_intent(ledger.read(workspace.ledger(recipe)))
        if intent is None:
            continue
        what = f"{recipe} v{intent.version}"
        if under_way:
            yield ok(f"the promotion of {what} is under way")
        else:
            yield Finding(
                State.BROKEN,
                f"the promotion of {what} was cut short; the ledger and what serves may differ",
                f"segtrail promote --recipe {recipe} --recover",
            )


def runs(here: Here) -> Iterator[Finding]:
    """Tells a run that is under way, or was killed, here and in the clones of workers."""
    root = here.workspace.root
    clones = sorted(here.workspace.workers.glob("*/.segtrail/flow.lock"))
    for lock in (here.workspace.scratch / "flow.lock", *clones):
        where = "here" if lock.parent.parent == root else f"in {lock.parent.parent}"
        try:
            pid = _PID.search(lock.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if is_held(lock):
            who = pid[0] if pid else "what it started goes on"
            yield ok(f"a run or an ingestion is under way {where} ({who})")
        elif pid:  # whoever ends by himself takes it out
            yield Finding(
                State.WARNING,
                f"the last run or ingestion {where} ({pid[0]}) was killed; what it finished stays",
                "segtrail status   (then the same command again: it goes on where it stopped)",
            )


CHECKS = (settings, ledgers, promotions, runs)
