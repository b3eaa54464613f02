"""Options that several commands share."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segtrail import telemetry
from segtrail.errors import ConfigError, WorkspaceError

if TYPE_CHECKING:
    from segtrail.workspace import Workspace
    from serving.endpoint import Endpoint

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", metavar="NAME", help="A recipe of params.yaml.")
]
ByOption = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who does this; by default your git identity."),
]
AllowDirtyOption = Annotated[
    bool, typer.Option("--allow-dirty", help="Promote even if code is not committed.")
]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="HOST:PORT", help="A model server's gRPC address."),
]
TlsCaOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca", metavar="FILE", help="Speak TLS; PEM of who signed the server's certificate."
    ),
]
TlsCertificateOption = Annotated[
    Path | None,
    typer.Option("--tls-certificate", metavar="FILE", help="Your own certificate, if asked for."),
]
TlsKeyOption = Annotated[
    Path | None,
    typer.Option("--tls-key", metavar="FILE", help="The key of --tls-certificate."),
]
TlsNameOption = Annotated[
    str | None,
    typer.Option("--tls-name", metavar="NAME", help="In the server's certificate, if another."),
]
ImagesArgument = Annotated[
    list[Path], typer.Argument(metavar="IMAGE...", help="PNG, JPEG, BMP or TIFF files.")
]
RunnerOption = Annotated[
    str, typer.Option("--runner", envvar="SEGTRAIL_RUNNER", help="A Beam runner.")
]
RunnerOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--runner-option",
        metavar="KEY[=VALUE]",
        envvar="SEGTRAIL_RUNNER_OPTIONS",
        help="A Beam pipeline option; may be repeated.",
    ),
]


def runner_options(given: list[str] | None) -> tuple[str, ...]:
    """Returns Beam pipeline options as they were given.

    Raises:
        BadParameter: One is neither `KEY=VALUE` nor `KEY`.
    """
    for option in given or ():
        if not re.match(r"[A-Za-z]\w*(=|$)", option):
            raise typer.BadParameter(f"expected KEY=VALUE or KEY, got {option!r}")
    return tuple(given or ())


def quieten_tensorflow() -> None:
    """Has TensorFlow, once it is imported, not tell of a GPU that is not there as of a failure."""
    from model.hardware.machine import look

    ours = telemetry.OFF[_LOG_LEVEL]  # which still lets errors through
    if os.environ.get(_LOG_LEVEL, ours) == ours and not look().gpus:
        os.environ[_LOG_LEVEL] = "3"


def check_recipe(workspace: Workspace, recipe: str) -> None:
    """Refuses the name of a recipe that neither params.yaml nor a ledger has.

    Warns, in a line, of one that has a ledger alone, as after it was renamed, and of errors that
    params.yaml has elsewhere.

    Raises:
        ConfigError: There is no such recipe, or params.yaml is wrong about it.
    """
    from segtrail.params import load_params_for
    from segtrail.words import near

    params, elsewhere = load_params_for(workspace.params, recipe)
    if elsewhere is not None:
        more = elsewhere.message.splitlines()[1:]
        says = more[0].strip() + (f" (and {len(more) - 1} more)" if len(more) > 1 else "")
        print(f"warning: {workspace.params.name}, beside {recipe}: {says}", file=sys.stderr)
    elif recipe not in params.recipes:
        promoted = set(workspace.ledgers())
        known = promoted | set(params.recipes)
        if recipe not in promoted:
            raise ConfigError(
                f"{workspace.params}: no recipe {recipe!r}; there are {', '.join(sorted(known))}."
                + near(recipe, known)
            )
        print(
            f"warning: {workspace.params.name} has no recipe {recipe!r}, its ledger is there: "
            "no live server of it is known",
            file=sys.stderr,
        )


def parse_ids(given: str | None) -> tuple[str, ...]:
    """Returns the ids of `a,b,c`, or of `@FILE` with one on each line, each once."""
    if not given:
        return ()
    if given.startswith("@"):
        try:
            words = Path(given[1:]).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise typer.BadParameter(f"{given[1:]}: cannot be read: {e}") from None
    else:
        words = given.split(",")
    return tuple(dict.fromkeys(word for line in words if (word := line.strip())))


def endpoint_of(
    recipe: str,
    target: str | None,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    name: str | None,
) -> Endpoint:
    """Returns the server that is meant, and how to trust it.

    TLS is that of the options; without any, that of params.yaml, if it is the recipe's server.
    A server can be asked from anywhere, but a params.yaml that is there is heeded: what cannot
    be read may say that this server is asked over TLS.

    Args:
        recipe: Which one is asked for.
        target: Of `--target`; without it the recipe's, as for all that follow.
        ca: Of `--tls-ca`.
        certificate: Of `--tls-certificate`.
        key: Of `--tls-key`.
        name: Of `--tls-name`.

    Raises:
        ConfigError: The target is no address; or params.yaml is wrong, or, without a target, has
            no such recipe.
        WorkspaceError: Without a target, there is no workspace here.
        ServingError: A PEM file cannot be read, or is not what it should be.
    """
    from segtrail.addresses import check_target
    from segtrail.params import load_params, load_recipe
    from segtrail.workspace import Workspace
    from serving.endpoint import Endpoint
    from serving.tls import Tls

    if target is not None:
        try:
            check_target(target)
        except ValueError as e:
            raise ConfigError(f"--target: {e}") from None
    given = None
    if any((ca, certificate, key, name)):
        given = Tls.of_files(ca=ca, key=key, certificate=certificate, name=name)
        if target is not None:
            return Endpoint(target, given)
    try:
        workspace = Workspace.find()
    except WorkspaceError:
        if target is None:
            raise
        return Endpoint(target)
    if target is None:
        settings = load_recipe(workspace, recipe).serving
        if given is not None:
            return Endpoint(settings.target, given)
        return Endpoint.of(settings, recipe, workspace.home)
    try:
        recipes = load_params(workspace.params).recipes
    except ConfigError as e:
        raise ConfigError(
            f"{e.message}\n  which may say that --target {target} is asked over TLS",
            f"mend {workspace.params.name}; or say it: --tls-ca FILE; or, to ask in clear, run "
            "this in a folder outside of the workspace",
        ) from None
    if recipe not in recipes:
        return Endpoint(target)
    return Endpoint.at(target, recipes[recipe].serving, recipe, workspace.home)
