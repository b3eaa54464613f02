"""The steps of the pipeline, one command each. DVC runs the first five (see dvc.yaml)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from cli.options import (
    RecipeOption,
    RunnerOption,
    RunnerOptionsOption,
    quieten_tensorflow,
    runner_options,
)
from components.transforming.runners import IN_PROCESS
from segtrail.errors import SegtrailError, StageError
from segtrail.quiet import import_quietly
from segtrail.workspace import Workspace


def workspace_of(recipe: str) -> Workspace:
    """Returns the workspace, once its recipe is known, with TensorFlow told to be quiet.

    The recipe first: TensorFlow takes seconds, after which a misspelt name would be told.

    Raises:
        ConfigError: `params.yaml` is wrong or has no such recipe.
    """
    from segtrail.params import load_recipe

    workspace = Workspace.find()
    load_recipe(workspace, recipe)
    quieten_tensorflow()
    return workspace


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
    runner: RunnerOption = IN_PROCESS,
    runner_option: RunnerOptionsOption = None,
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
    options = runner_options(runner_option)
    workspace = workspace_of(recipe)

    from components.transform import transform as run

    run(
        workspace,
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
    workspace = workspace_of(recipe)

    import_quietly("components.train").train(workspace, recipe, resume)


def evaluate(recipe: RecipeOption) -> None:
    """Measure the SavedModel on the test images.

    \b
    Example:
      segtrail evaluate --recipe demo
    """
    workspace = workspace_of(recipe)

    from components.evaluate import evaluate as run

    run(workspace, recipe)


def gate(
    recipe: RecipeOption,
    force: Annotated[
        bool, typer.Option("--force", help="Let the candidate pass all the same; needs a reason.")
    ] = False,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who answers for it; with --force.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; the ledger and the provenance keep it.")
    ] = None,
) -> None:
    """Judge the candidate, by rules and against the champion.

    Exit code 0: pass, 3: fail, 4: insufficient evidence.

    With --force a candidate that does not pass may be promoted, for as long as model, rules,
    champion and test images are the same. The ledger, the provenance and every audit of that
    version say so.

    \b
    Examples:
      segtrail gate --recipe demo
      segtrail gate --recipe demo --force --by "Grace Hopper" --reason "v3 misses whole slides"
    """
    from components.gate import judge

    who, why = (by or "").strip(), (reason or "").strip()
    if force and not (who and why):
        raise typer.BadParameter("--force needs --by NAME and --reason TEXT: who answers for it")
    if (who or why) and not force:
        raise typer.BadParameter("--by and --reason are of --force")
    verdict = judge(workspace_of(recipe), recipe)
    if force:
        from components.promote import force as record

        record(Workspace.find(), recipe, verdict, by=who, reason=why)
        verdict = judge(Workspace.find(), recipe)  # the ledger says it now
    _report(recipe)
    if verdict["verdict"] != "pass" and not verdict["forced"]:
        _refuse(recipe, verdict)


def _refuse(recipe: str, verdict: dict[str, Any]) -> NoReturn:
    from lineage.verdicts import reasons, refusal

    says = "\n  ".join(reasons(verdict))
    raise refusal(verdict["verdict"], f"{recipe}: {verdict['verdict']}:\n  {says}")


def _report(recipe: str) -> None:
    """Writes the report; without one the verdict stands all the same."""
    from components.report import write_report
    from segtrail.progress import say

    try:
        write_report(Workspace.find(), recipe)
    except Exception as e:  # whatever Matplotlib or a file that is not there raise
        says = e.message if isinstance(e, SegtrailError) else f"{type(e).__name__}: {e}"
        say(f"no report: {says}")


def infra_validate(recipe: RecipeOption) -> None:
    """Boot a server with the candidate and ask it.

    It must answer the golden images as was evaluated, within the recipe's `gate.limits` of size,
    time and memory. Exit code 0: it does, 3: beyond a limit, 4: too uneven to tell, 1: it does not
    serve, and the last lines say why; docs/infra-validation.md has what to do.

    \b
    Example:
      segtrail infra-validate --recipe demo
    """
    from components.infra_validate import infra_validate as run

    try:
        found = run(Workspace.find(), recipe)
    except StageError:
        _report_if_judged(recipe)
        raise
    _report_if_judged(recipe)
    if found["verdict"] != "pass":
        _refuse(recipe, found)


def _report_if_judged(recipe: str) -> None:
    """Writes the gate's report anew, which tells how the candidate serves."""
    from segtrail.artifacts import Verdict

    if Verdict.of(Workspace.find(), recipe).exists:
        _report(recipe)


COMMANDS: tuple[Callable[..., Any], ...] = (
    examples,
    validate,
    transform,
    train,
    evaluate,
    gate,
    infra_validate,
)
