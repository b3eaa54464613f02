"""A scheduled run that waits for people: suspended after the gate, resumed by an approval.

A suspended run has no process. Resumed, it runs from its start: DVC's stages stand, and gate and
infra validation are asked once more, so that an approval counts only for what still holds. Until
it ends, the recipe's clone stays as it is (`flows.clone`): what people approve is what is promoted.
"""

from __future__ import annotations

from prefect.deployments import run_deployment
from prefect.flow_runs import resume_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run

from flows import clone, events, outcome, process, server, steps, suspended
from flows.environment import child_environment
from flows.repro import as_error
from flows.steps import Bounds, say
from segtrail.errors import EXIT_ERROR, EXIT_USAGE, ConfigError, StageError, WorkspaceError
from segtrail.workspace import HOME_VARIABLE, Workspace

_REFUSED = dict.fromkeys((EXIT_ERROR, EXIT_USAGE), "Refused")
_SHORT = 8  # digits of a run's id that people type
_HOUR_S = 3600


class Approval(RunInput):
    """What the Prefect UI asks for where it resumes a run."""

    by: str
    reason: str


def for_approval(
    workspace: Workspace, recipe: str, by: str | None, hours: float, lock: int, bounds: Bounds
) -> str | None:
    """Suspends the run as often as the recipe lacks approvals; returns when it lacks none.

    Args:
        workspace: The worker's clone.
        recipe: The recipe whose candidate waits.
        by: Who promotes it then; by default the git identity.
        hours: How long people have; then the run fails.
        lock: See `flows.steps.command`.
        bounds: See `flows.steps.command`.

    Returns:
        None; or that another run waits for the same candidate already.

    Raises:
        prefect.exceptions.Pause: Ends the process until the run is resumed.
    """
    about, own, number = suspended.subject(workspace, recipe), str(flow_run.id), 0
    assert about is not None  # it was judged
    asked_before = about in suspended.of_run(own)
    while lacking := outcome.lacks_approval(workspace, recipe, by):
        number += 1
        # not where this is the one: another that asks the same came after it
        if not asked_before and (other := _asks_already(recipe, about, own)):
            return f"{lacking}; the run {other[:_SHORT]} waits for it"
        say(f"{lacking}; or: segtrail approve {own[:_SHORT]} --by NAME --reason TEXT")
        events.emit("segtrail.approval.wanted", workspace, "recipe", recipe, run=own, says=lacking)
        form = Approval.with_initial_data(description=lacking)
        word = suspend_flow_run(
            wait_for_input=form, timeout=int(hours * _HOUR_S), key=suspended.key(about, number)
        )
        said = ["approve", "--recipe", recipe, "--by", word.by, "--reason", word.reason]
        steps.command(workspace, "approve", said, _REFUSED, lock, bounds)
    return None


def begin_next(workspace: Workspace, recipe: str) -> bool:
    """Has the deployment run once more if this run waited and something came meanwhile; or not.

    The runs that new data and drift asked for found the clone held, and took nothing in.
    """
    own = flow_run.id
    if own is None or not suspended.of_run(str(own)) or not clone.is_behind(workspace.root):
        return False
    run_deployment(f"retrain/{recipe}", timeout=0, as_subflow=False)
    return True


def approve(workspace: Workspace, run: str, by: str, reason: str) -> str:
    """Approves the candidate that a suspended run is about, and lets the run go on.

    The approval is written, and signed with the person's key if there is one, here: in the clone
    of the recipe's worker, whose branch has the recipe's ledger.

    Args:
        workspace: Whose worker's run it is.
        run: The run's id, or how it begins.
        by: Who approves.
        reason: On what grounds.

    Returns:
        What was done, in words.

    Raises:
        ConfigError: No Prefect server is named; or no suspended run begins so, or several do.
        WorkspaceError: The worker's clone is not here.
        StageError: The approval was refused; or the clone has another candidate.
    """
    with server.required(workspace):
        found = [each for each in suspended.suspended() if str(each.id).startswith(run.lower())]
        if len(found) != 1:
            raise ConfigError(
                f"{run}: {len(found)} runs that wait for an approval have such an id",
                "prefect flow-run ls --state Suspended",
            )
        [waiting] = found
        recipe = waiting.parameters["recipe"]
        root = clone.folder(workspace, recipe)
        if not root.is_dir():
            raise WorkspaceError(
                f"{root}: the clone that the run {run} works in is not here",
                "run this in the workspace on the worker's machine",
            )
        asked, now = (
            waiting.state.state_details.pause_key,
            suspended.subject(Workspace(root, workspace.home), recipe),
        )
        if now is None or not asked.startswith(now):
            raise StageError(
                f"{run} asks about {asked.rpartition('-')[0]} (model and champion), but {root} has "
                f"{now or 'no verdict'} by now",
                f"prefect flow-run cancel {waiting.id}   (the next run asks about the newer one)",
            )
        command = steps.own_command(["approve", "--recipe", recipe, "--by", by, "--reason", reason])
        said: list[str] = []
        environment = {**child_environment(root), HOME_VARIABLE: str(workspace.home)}
        done = process.run(command, root, said.append, environment=environment)
        if done.code:
            raise as_error(done, "approve")
        resume_flow_run(waiting.id, run_input={"by": by, "reason": reason})
        return "\n".join([*said, f"the run {str(waiting.id)[:_SHORT]} goes on"])


def _asks_already(recipe: str, about: str, own: str) -> str | None:
    """Returns another run that asks people the same, or goes on with their answer."""
    found = [run for run in suspended.waiting(recipe) if about in suspended.subjects(run)]
    return next((str(run.id) for run in found if str(run.id) != own), None)
