"""The flow that looks at what production saw, and asks for a retraining where that drifted.

Run by a Prefect worker in the recipe's clone, of which it only reads what is committed. What it
decides is `segtrail monitor`'s; here it becomes an event, on which an automation acts.
"""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_link_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import events, steps
from flows.recorded import recorded
from flows.steps import Bounds
from segtrail import telemetry
from segtrail.errors import ConfigError
from segtrail.files import read_json
from segtrail.monitoring import Monitoring
from segtrail.params import load_recipe
from segtrail.workspace import Workspace


@flow(name="monitor", flow_run_name="monitor-{recipe}", persist_result=False, log_prints=False)
def monitor(recipe: str) -> State:
    """Measures drift of the images under `operations.images` of a recipe.

    Args:
        recipe: A recipe of `params.yaml` that serves.

    Returns:
        A completed state named by the severity; its message is what follows of it.

    Raises:
        ConfigError: The recipe does not say which images.
        StageError: They could not be read or compared.
    """
    telemetry.switch_off()
    workspace = Workspace.find()
    operations = load_recipe(workspace, recipe).operations
    if operations.images is None:
        raise ConfigError(
            f"recipes.{recipe}.operations.images: there are none to look at",
            f"recipes.{recipe}.operations: {{images: FOLDER}} in params.yaml",
        )
    arguments = ["monitor", "--recipe", recipe]
    with recorded(workspace, recipe=recipe):
        steps.command(workspace, "monitor", arguments, {}, None, Bounds.of(operations))
    found = Monitoring.of(workspace, recipe)
    result = read_json(found.latest)
    if (report := found.report).exists():
        create_link_artifact(
            report.as_uri(), "what production saw", key=f"{recipe}-monitor",
            description=result["says"],
        )  # fmt: skip
    told = {key: result[key] for key in ("severity", "says", "decision")}
    events.emit(
        f"segtrail.drift.{result['severity'].replace(' ', '-')}", workspace, "recipe", recipe,
        **told,
    )  # fmt: skip
    if result["retrain"]:
        events.emit(events.RETRAINING_WANTED, workspace, "recipe", recipe, **told)
    return Completed(name=result["severity"].capitalize(), message=result["decision"])
