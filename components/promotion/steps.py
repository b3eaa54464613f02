"""The steps of a promotion, in order. Each may be taken again after a crash.

What serves changes in one step, `serve`, by the replacement of one file. Until then a crash
loses nothing that served; after it, the recovery goes on to the end.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components import registry
from components.promotion.plan import Plan
from lineage import golden, golden_answers, ledger
from segtrail import git
from segtrail.errors import LineageError, ServingError, StageError
from segtrail.params import load_recipe
from segtrail.workspace import Workspace
from serving import config, store

if TYPE_CHECKING:
    from serving.client import SegmentationClient
    from serving.endpoint import Endpoint

CONFIRM_WITHIN_S = 120.0
FIRST_WITHIN_S = 10.0  # in which a server that polls the configuration hears of a new model
_PROBE_S = 10.0
_POLL_S = 0.2
_STANDS = "the load test stands"


def intend(plan: Plan) -> str:
    """Writes the intent in the ledger."""
    _record(plan, ledger.INTENT, plan.details)
    return f"ledger: intent to serve v{plan.version}"


def place(plan: Plan) -> str:
    """Copies the SavedModel and its proof into the store."""
    if plan.source is not None:
        store.place(plan.source, plan.workspace.models, plan.recipe, plan.version, plan.extra)
    if not plan.is_stored():
        raise LineageError(
            f"{plan.folder}: is not the model {plan.model_digest[:12]} with its provenance",
            f"segtrail audit {plan.recipe}",
        )
    return f"stored in {plan.folder}"


def load_test(plan: Plan) -> str:
    """Starts a throw-away server from the store and asks it the golden images."""
    from serving.launch import running_server

    scratch = plan.workspace.scratch / "load-test" / plan.recipe
    only = scratch / "models.config"
    config.set_champion(only, plan.recipe, plan.folder.parent, plan.version)
    goldens = golden.read(plan.folder / golden.FOLDER)
    with running_server(
        plan.recipe, log=scratch / "server.log", config=only, version=plan.version
    ) as server:
        answered = golden_answers.ask(server.target, plan.recipe, None, goldens)
        says = golden_answers.summary(answered, server.target)
        plan.notes["load_test"] = f"{says} ({server.description})"
    return f"load test: {plan.notes['load_test']}"


def serve(plan: Plan) -> str:
    """Replaces the serving configuration: the commit point."""
    config.set_champion(plan.workspace.models_config, plan.recipe, plan.folder.parent, plan.version)
    return f"serving configuration names v{plan.version}"


def confirm(plan: Plan) -> str:
    """Waits until the live server serves the version, if a server of this recipe answers."""
    endpoint = endpoint_of(plan.workspace, plan.recipe)
    target = endpoint.target
    with endpoint.client(_PROBE_S) as client:
        if not _is_listening(target):
            plan.notes["confirmed"] = f"nothing is listening at {target}; {_STANDS}"
        elif (stranger := _why_not_ours(plan, client)) is not None:
            plan.notes["confirmed"] = f"another service listens there: {stranger}; {_STANDS}"
        else:
            client.wait_until_available(plan.recipe, plan.version, CONFIRM_WITHIN_S)
            plan.notes["confirmed"] = f"{target} serves v{plan.version}"
    return plan.notes["confirmed"]


def point_alias(plan: Plan) -> str:
    """Points MLflow's alias at the version."""
    registry.set_champion(plan.workspace, plan.recipe, plan.version)
    return f"MLflow alias champion names v{plan.version}"


def finish(plan: Plan) -> str:
    """Writes `done` in the ledger."""
    _record(plan, ledger.DONE, {**plan.details, **plan.notes})
    return "ledger: done"


def commit(plan: Plan) -> str:
    """Commits the ledger alone."""
    made = commit_ledger(plan, f"Promote {plan.recipe} v{plan.version}")
    return f"git: ledger committed in {made[:12]}"


def tag(plan: Plan) -> str:
    """Tags the commit that holds the ledger's `done`."""
    root = plan.workspace.root
    if git.tag_target(root, plan.tag) is None:
        path = plan.ledger.relative_to(root).as_posix()
        holds = git.run(root, "log", "-1", "--format=%H", "--", path)
        message = f"{plan.recipe} v{plan.version}: model {plan.model_digest}"
        git.tag(root, plan.tag, holds, message)
    return f"git: tag {plan.tag}"


Step = Callable[[Plan], str]
STEPS: Sequence[Step] = (
    intend, place, load_test, serve, confirm, point_alias, finish, commit, tag,
)  # fmt: skip


def walk(plan: Plan, steps: Sequence[Step]) -> list[str]:
    """Takes the steps; returns what each did.

    Raises:
        StageError: The candidate failed its load test, or the live server did not take it.
            What served before serves on, and the ledger says `failed`.
    """
    lines = []
    for step in steps:
        try:
            lines.append(step(plan))
        except (ServingError, LineageError) as e:
            if step not in (load_test, confirm):
                raise
            close(plan, ledger.FAILED, f"{step.__name__}: {e.message}")
            before = f"v{plan.previous} serves on" if plan.previous else "nothing serves"
            raise StageError(
                f"{plan.recipe} v{plan.version} is not promoted: {e.message}; {before}", e.hint
            ) from e
    return lines


def close(plan: Plan, event: str, why: str) -> str:
    """Undoes a promotion that will not be finished, and says so in the ledger."""
    if config.champion(plan.workspace.models_config, plan.recipe) == plan.version:
        restore(plan)
    if registry.champion(plan.workspace, plan.recipe) == plan.version:
        registry.set_champion(plan.workspace, plan.recipe, plan.previous)
    if not plan.served_before():
        store.withdraw(plan.workspace.models, plan.recipe, plan.version)
    ledger.append(
        plan.ledger,
        event,
        version=plan.version,
        model_digest=plan.model_digest,
        by=plan.by,
        details={"why": why},
    )
    commit_ledger(plan, f"{event.capitalize()}: {plan.recipe} v{plan.version}")
    return f"{plan.recipe}: v{plan.version} {event}: {why}"


def restore(plan: Plan) -> None:
    """Makes the configuration name the version that served before, or none."""
    path = plan.workspace.models_config
    if plan.previous is None:
        config.withdraw(path, plan.recipe)
    else:
        config.set_champion(path, plan.recipe, plan.folder.parent, plan.previous)


def commit_ledger(plan: Plan, message: str) -> str:
    """Commits the ledger file when it changed; returns the commit that holds it."""
    root = plan.workspace.root
    path = plan.ledger.relative_to(root).as_posix()
    return git.commit(root, [path], message) or git.head(root)


def _record(plan: Plan, event: str, details: Mapping[str, Any]) -> None:
    ledger.append(
        plan.ledger,
        event,
        version=plan.version,
        model_digest=plan.model_digest,
        by=plan.by,
        details=dict(details),
    )


def endpoint_of(workspace: Workspace, recipe: str) -> Endpoint:
    """Returns the live server that confirms a promotion.

    Raises:
        ServingError: A file for TLS cannot be read, or is not what it should be.
    """
    from serving.endpoint import Endpoint

    return Endpoint.of(load_recipe(workspace, recipe).serving, recipe, workspace.home)


def _why_not_ours(plan: Plan, client: SegmentationClient) -> str | None:
    """Returns why what listens does not serve this recipe; None if it does.

    A server of ours that served the recipe before knows it at once; one to which this is the
    first version, as soon as it has read the configuration.
    """
    end = time.monotonic() + (FIRST_WITHIN_S if plan.previous is None else 0)
    while True:
        try:
            client.statuses(plan.recipe)
        except ServingError as e:
            if time.monotonic() >= end:
                return e.message
        else:
            return None
        time.sleep(_POLL_S)


def _is_listening(target: str) -> bool:
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True
