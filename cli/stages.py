"""The steps of the pipeline, one command each. DVC runs the first five (see dvc.yaml)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli.options import RecipeOption
from segtrail.errors import InsufficientEvidenceError, RejectedError
from segtrail.workspace import Workspace


def examples(recipe: RecipeOption) -> None:
    """Make TFRecords and their manifest from a dataset.

    \b
    Example:
      segtrail examples --recipe demo
    """
    from components.examples import make_examples

    make_examples(Workspace.find(), recipe)


def validate(recipe: RecipeOption) -> None:
    """Check the examples with Great Expectations.

    Writes result.json and Data Docs.

    Exits 0 also when expectations fail: what was found is the result, which `transform` and
    `retrain` refuse.

    \b
    Example:
      segtrail validate --recipe demo
    """
    from components.validate import validate_examples

    validate_examples(Workspace.find(), recipe)


def transform(
    recipe: RecipeOption,
    runner: Annotated[
        str, typer.Option("--runner", envvar="SEGTRAIL_RUNNER", help="A Beam runner.")
    ] = "FnApiRunner",
    runner_option: Annotated[
        list[str] | None,
        typer.Option(
            "--runner-option",
            metavar="KEY[=VALUE]",
            envvar="SEGTRAIL_RUNNER_OPTIONS",
            help="A Beam pipeline option; may be repeated.",
        ),
    ] = None,
    staging: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URL",
            envvar="SEGTRAIL_STAGING",
            help="What all workers can read and write, if they do not see the workspace.",
        ),
    ] = None,
) -> None:
    """Learn the transform graph with TF Transform on Beam.

    What is written is the same with any runner. docs/runners.md has the commands for each.

    \b
    Examples:
      segtrail transform --recipe demo
      segtrail transform --recipe nuclei --runner FlinkRunner \\
          --runner-option flink_master=flink:8081
    """
    from components.transform import transform as run

    options = tuple(runner_option or ())
    for option in options:
        if not re.match(r"[A-Za-z]\w*(=|$)", option):
            raise typer.BadParameter(f"expected KEY=VALUE or KEY, got {option!r}")
    run(
        Workspace.find(),
        recipe,
        runner=runner,
        runner_options=options,
        staging_folder=staging,
    )


def train(
    recipe: RecipeOption,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Go on where a training that was killed stopped."
        ),
    ] = True,
) -> None:
    """Train the network and export the SavedModel.

    The state is saved after each validation (`training.validate_every`). A killed training goes
    on from there, unless the recipe's data, settings or the code changed since.

    \b
    Examples:
      segtrail train --recipe demo
      segtrail train --recipe demo --no-resume
    """
    from components.train import train as run

    run(Workspace.find(), recipe, resume)


def evaluate(recipe: RecipeOption) -> None:
    """Measure the SavedModel on the test images.

    \b
    Example:
      segtrail evaluate --recipe demo
    """
    from components.evaluate import evaluate as run

    run(Workspace.find(), recipe)


def gate(recipe: RecipeOption) -> None:
    """Judge the candidate, by rules and against the champion.

    Exit code 0: pass, 3: fail, 4: insufficient evidence.

    \b
    Example:
      segtrail gate --recipe demo
    """
    from components.gate import judge

    verdict = judge(Workspace.find(), recipe)
    if verdict["verdict"] != "pass":
        says = [rule["says"] for rule in verdict["rules"] if rule["verdict"] != "pass"]
        kind = RejectedError if verdict["verdict"] == "fail" else InsufficientEvidenceError
        raise kind(f"{recipe}: {verdict['verdict']}:\n  " + "\n  ".join(says))


def infra_validate(recipe: RecipeOption) -> None:
    """Boot a server with the candidate and ask it.

    \b
    Example:
      segtrail infra-validate --recipe demo
    """
    from components.infra_validate import infra_validate as run

    run(Workspace.find(), recipe)


COMMANDS: tuple[Callable[..., Any], ...] = (
    examples,
    validate,
    transform,
    train,
    evaluate,
    gate,
    infra_validate,
)
