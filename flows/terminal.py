"""Runs the flow from a terminal, in a process that cannot outlive the terminal's command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from flows import outcome, room, stages
from flows.environment import child_environment, prefect_environment, standing_server
from flows.process import leashed
from segtrail.lock import flow_lock
from segtrail.progress import say
from segtrail.workspace import Workspace


def already_done(workspace: Workspace, recipe: str) -> bool:
    """Whether the champion rests on data, code and params as they are; says so if it does.

    A run without a Prefect server of one's own would start a temporary one, ten seconds and
    more, to record that nothing happened.
    """
    if standing_server(workspace) is not None:
        return False
    with flow_lock(workspace, say) as lock:
        plan = stages.ask(workspace.root, recipe, say, [lock])
        version = outcome.nothing_to_do(workspace, recipe, plan)
    if version is None:
        return False
    say(f"{', '.join(plan.stages)}: didn't change")
    say(outcome.already_serves(recipe, version))
    return True


def retrain(workspace: Workspace, arguments: Sequence[str]) -> int:
    """Runs `python -m flows.retrain ARGUMENTS`; returns its exit code.

    The flow, and the temporary Prefect server that it may start, end with this process, also
    when it is killed.

    Raises:
        StepFault: The disk is full.
    """
    room.require(workspace.root)
    say("starting the flow")
    command = leashed([sys.executable, "-m", "flows.retrain", *arguments])
    env = {**child_environment(workspace.root), **prefect_environment(workspace)}
    process = subprocess.Popen(
        command, cwd=workspace.root, env=env, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        return process.wait()
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
