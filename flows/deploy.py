"""Registers the retraining of a recipe with a Prefect server, for a worker to run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from flows import clone
from flows.environment import child_environment, platform_server
from flows.platform.programs import POOL
from segtrail.errors import ConfigError
from segtrail.progress import say
from segtrail.workspace import HOME_VARIABLE, Workspace

ENTRYPOINT = "flows/retrain.py:retrain"
_PASSED_ON = ("PYTHONPATH", "PATH", "PYTHONUNBUFFERED")


def deploy(workspace: Workspace, recipe: str, cron: str | None, work_pool: str) -> str:
    """Registers the deployment `retrain/<recipe>`; doing so again updates it.

    Args:
        workspace: Whose data, store and MLflow the runs use.
        recipe: A recipe of `params.yaml`.
        cron: When it runs, such as `0 3 * * 1`; None for only when asked.
        work_pool: A process work pool; made if there is none of that name.

    Returns:
        The deployment's id.

    Raises:
        ConfigError: No Prefect server is named, or the cron line is not one.
        WorkspaceError: The worker's clone could not be made.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    named = PREFECT_API_URL.value()
    if not (url := named or platform_server(workspace)):
        raise ConfigError(
            "no Prefect server: a schedule needs one that keeps running",
            "segtrail up   (or: prefect server start --background; "
            "export PREFECT_API_URL=http://127.0.0.1:4200/api)",
        )
    _check_cron(cron)
    with temporary_settings({PREFECT_API_URL: url}):
        _ensure_pool(work_pool)
        root = clone.prepare(workspace, recipe)
        say(f"worker's clone: {root}, branch {clone.branch(recipe)}")
        found = _register(workspace, root, recipe, cron, work_pool)
    when = f"at {cron!r}" if cron else f"when asked: prefect deployment run retrain/{recipe}"
    say(f"retrain/{recipe} is registered with {url}; runs {when}")
    if named or work_pool != POOL:
        say(f"start a worker: prefect worker start --pool {work_pool}")
    return found


def _register(
    workspace: Workspace, root: Path, recipe: str, cron: str | None, work_pool: str
) -> str:
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

    flow = Flow.from_source(RefreshedClone(str(root)), ENTRYPOINT)
    assert isinstance(flow, Flow)  # a coroutine only inside an event loop
    found = flow.deploy(
        name=recipe,
        work_pool_name=work_pool,
        cron=cron,
        parameters={"recipe": recipe},
        job_variables={"working_dir": str(root), "env": _environment(workspace, root)},
        concurrency_limit=1,
        tags=["segtrail", recipe],
        description=f"Retrains {recipe} in {root}; what serves is in {workspace.home}.",
        build=False,
        push=False,
        print_next_steps=False,
        ignore_warnings=True,
    )
    return str(found)


def _environment(workspace: Workspace, root: Path) -> dict[str, str]:
    env = child_environment(root)
    return {HOME_VARIABLE: str(workspace.home), **{name: env[name] for name in _PASSED_ON}}


def _check_cron(cron: str | None) -> None:
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    if cron is None:
        return
    try:
        CronSchedule(cron=cron)
    except ValidationError:
        raise ConfigError(
            f"--cron: got {cron!r}; expected five fields: minute hour day month weekday",
            '--cron "0 3 * * 1" is every Monday at 03:00',
        ) from None


def _ensure_pool(name: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            pool = client.read_work_pool(name)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            say(f"made the process work pool {name!r}")
            return
    if pool.type != "process":
        raise ConfigError(f"--work-pool {name}: is of type {pool.type!r}; expected 'process'")
