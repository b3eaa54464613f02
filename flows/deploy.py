"""Registers the flows of a recipe with a Prefect server, for workers to run.

| deployment | runs | when |
| --- | --- | --- |
| `retrain/<recipe>` | `flows.retrain` | `operations.retrain`; data that landed; drift |
| `monitor/<recipe>` | `flows.monitor` | `operations.monitor`; with `operations.images` |
| `batch/<recipe>` | `flows.batch` | when somebody asks |
| `ingest/<dataset>` | `flows.ingest` | `datasets.<dataset>.inbox.every` |
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows import automations, clone, schedules, server, suspended, work_pool
from flows.environment import child_environment, platform_server
from flows.platform.programs import POOL
from segtrail.lock import flow_path, is_held
from segtrail.params import load_dataset, load_recipe
from segtrail.progress import say
from segtrail.workspace import DATA_CLONE, HOME_VARIABLE, Workspace

_PASSED_ON = ("PYTHONPATH", "PATH", "PYTHONUNBUFFERED")
_HEARTBEAT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(automations.HEARTBEAT_S)}


@dataclass(frozen=True)
class Deployment:
    """One flow, for one recipe or dataset.

    Args:
        flow: Its name, and that of its module.
        subject: The recipe's or the dataset's name.
        clone: In which clone it runs.
        refresh: Whether the clone is brought up to date first: not where another flow of the
            same clone may be at work.
        parameters: The flow's.
        when: A cron line or an interval; None for when something asks.
        timezone: Of the cron line.
        triggers: Events that start it.
        says: What it does, in a line.
    """

    flow: str
    subject: str
    clone: str
    refresh: bool
    parameters: Mapping[str, Any]
    when: str | None
    timezone: str
    says: str
    triggers: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As Prefect knows it: `<flow>/<subject>`."""
        return f"{self.flow}/{self.subject}"


def deploy(workspace: Workspace, recipe: str, when: str | None, pool: str) -> list[str]:
    """Registers what there is to run for a recipe and its dataset; again updates it.

    Args:
        workspace: Whose data, store and MLflow the runs use.
        recipe: A recipe of `params.yaml`.
        when: A cron line or an interval for `retrain`, in place of the recipe's.
        pool: A work pool; a process pool is made if there is none of that name.

    Returns:
        The names of the deployments.

    Raises:
        ConfigError: No Prefect server is named, or a schedule is none.
        WorkspaceError: A worker's clone could not be made.
    """
    wanted = deployments(workspace, recipe, when)
    for each in wanted:
        schedules.check(each.when, each.name)
    with server.required(workspace) as url:
        kind = work_pool.ensure(pool)
        clones = sorted({each.clone for each in wanted})
        roots = {name: clone.prepare(workspace, name, _stays(workspace, name)) for name in clones}
        automations.crash_what_is_silent()
        for each in wanted:
            _register(workspace, each, roots[each.clone], pool)
            at = schedules.says(each.when, each.timezone) if each.when else "when asked"
            say(f"{each.name}: runs {at}, in {roots[each.clone]}")
    say(f"registered with {url}; by hand: prefect deployment run {wanted[0].name}")
    if kind == work_pool.PROCESS and (pool != POOL or url != platform_server(workspace)):
        say(f"start a worker: prefect worker start --pool {pool}")
    return [each.name for each in wanted]


def _stays(workspace: Workspace, name: str) -> bool:
    """Whether a clone is not to be brought up to date now; its next run is, then."""
    there = Workspace(clone.folder(workspace, name), workspace.home)
    if is_held(flow_path(there)):
        why = "stays as it is, for a run is at work there"
    elif run := suspended.held(there, name):
        why = clone.HELD.format(run)
    else:
        return False
    say(f"{there.root}: {why}")
    return True


def deployments(workspace: Workspace, recipe: str, when: str | None) -> list[Deployment]:
    """Returns what there is to run for a recipe and its dataset."""
    loaded = load_recipe(workspace, recipe)
    options, dataset = loaded.operations, loaded.dataset
    of_recipe = {"recipe": recipe}
    zone = options.timezone
    found = [
        Deployment(
            "retrain", recipe, recipe, True, of_recipe, when or options.retrain, zone,
            f"Retrains {recipe}; what serves is in {workspace.home}.",
            automations.that_retrain(options, recipe, dataset),
        ),
        Deployment(
            "batch", recipe, recipe, False, of_recipe, None, zone,
            f"Segments a folder of images with {recipe}.",
        ),
    ]  # fmt: skip
    if options.images is not None:
        found.append(
            Deployment(
                "monitor", recipe, recipe, False, of_recipe, options.monitor, zone,
                f"Measures drift of {options.images} against what {recipe} learned from.",
            )
        )  # fmt: skip
    if (inbox := load_dataset(workspace, dataset).inbox) is not None:
        found.append(
            Deployment(
                "ingest", dataset, DATA_CLONE, False, {"dataset": dataset}, inbox.every, zone,
                f"Takes what arrives in {inbox.folder} into {dataset}.",
            )
        )  # fmt: skip
    return found


def _register(workspace: Workspace, wanted: Deployment, root: Path, pool: str) -> None:
    from prefect.flows import Flow
    from prefect.runner.storage import LocalStorage

    class RefreshedClone(LocalStorage):
        """The clone, brought up to date before the flow's code is loaded from it."""

        def to_pull_step(self) -> Any:
            refresh = {
                "script": shlex.join([sys.executable, "-m", "flows.clone"]),
                "directory": str(root),
                "env": _environment(workspace, root),
            }
            shell = "prefect.deployments.steps.run_shell_script"
            return [{shell: refresh}, super().to_pull_step()]

    storage = (RefreshedClone if wanted.refresh else LocalStorage)(str(root))
    flow = Flow.from_source(storage, f"flows/{wanted.flow}.py:{wanted.flow}")
    assert isinstance(flow, Flow)  # a coroutine only inside an event loop
    flow.deploy(
        name=wanted.subject,
        work_pool_name=pool,
        schedules=schedules.of(wanted.when, wanted.timezone),
        parameters=dict(wanted.parameters),
        job_variables={"working_dir": str(root), "env": _environment(workspace, root)},
        concurrency_limit=1,
        triggers=wanted.triggers,
        tags=["segtrail", wanted.subject],
        description=wanted.says,
        build=False,
        push=False,
        print_next_steps=False,
        ignore_warnings=True,
    )


def _environment(workspace: Workspace, root: Path) -> dict[str, str]:
    env = child_environment(root)
    passed = {name: env[name] for name in _PASSED_ON}
    return {HOME_VARIABLE: str(workspace.home), **passed, **_HEARTBEAT}
