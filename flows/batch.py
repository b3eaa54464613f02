"""The flow that asks a recipe's champion about many images; `segtrail batch`, by a worker."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import steps
from flows.recorded import recorded
from flows.steps import Bounds
from segtrail import telemetry
from segtrail.params import load_recipe
from segtrail.workspace import Workspace


@flow(name="batch", flow_run_name="batch-{recipe}", persist_result=False, log_prints=False)
def batch(
    recipe: str, images: str, out: str, version: int | None = None, runner: str | None = None
) -> State:
    """Segments all images of a folder.

    Args:
        recipe: A recipe of `params.yaml` that serves.
        images: A folder, from the workspace's own or absolute.
        out: The folder to write, likewise.
        version: Of the model; by default the champion.
        runner: Beam's; by default in this process.

    Raises:
        StageError: It failed; what it finished is kept, and the next run goes on from there.
    """
    telemetry.switch_off()
    workspace = Workspace.find()
    bounds = Bounds.of(load_recipe(workspace, recipe).operations)
    places = [str(workspace.home / path) for path in (images, out)]
    which = [] if version is None else ["--version", str(version)]
    on = ["--runner", runner] if runner else []
    arguments = ["batch", *places, "--recipe", recipe, *which, *on]
    with recorded(workspace, recipe=recipe):
        steps.command(workspace, "batch", arguments, {}, None, bounds)
    return Completed(message=f"{recipe}: {places[1]}")
