"""`segtrail serve`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segtrail.workspace import Workspace


def serve(
    port: Annotated[int, typer.Option("--port", "-p", help="gRPC port; 0 for a free one.")] = 8500,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TF Serving model config; default: the workspace's."),
    ] = None,
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAG...]", help="More flags of TF Serving, after --."),
    ] = None,
) -> None:
    """Serve the champions; follows promotions by itself.

    Starts TensorFlow Serving where tensorflow_model_server is installed: it listens on all
    addresses of this machine and asks nobody who they are. Else segtrail's own stand-in, which
    speaks the same gRPC protocol and answers this machine only. Runs until Ctrl-C.

    Over TLS with --ssl_config_file; docs/serving.md has how to write that file.

    \b
    Examples:
      segtrail serve
      segtrail serve --port 9000 --config /srv/models.config
      segtrail serve -- --ssl_config_file=ssl.config
    """
    import os

    from segtrail.errors import ServingError
    from serving.launch import (
        TF_SERVING,
        describe_server,
        free_port,
        server_command,
        server_environment,
    )

    port = port or free_port()
    if config is None:
        from segtrail.workspace import Workspace

        workspace = Workspace.find()
        config = workspace.models_config
        _warn_of_recipes(workspace, port, flags or ())
        warn_of_other_stores(workspace)
    if not config.is_file():
        raise ServingError(
            f"{config}: not there; no model has been promoted yet", "segtrail retrain --recipe demo"
        )
    command = server_command(port, config=config, more=flags or ())
    everywhere = Path(command[0]).name == TF_SERVING
    where = f"port {port} of all addresses" if everywhere else f"127.0.0.1:{port}"
    if everywhere:
        print(
            f"warning: whoever reaches port {port} of this machine can ask the models: requests "
            "are not authenticated; let a firewall keep others out",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    print(f"{describe_server()} on {where}, following {config}; Ctrl-C ends it", flush=True)
    os.execvpe(command[0], command, server_environment())


def warn_of_other_stores(workspace: Workspace) -> None:
    """Warns of models that are served from another store, as in a copied or moved workspace."""
    from segtrail.errors import ServingError
    from segtrail.settings.serving import CANARY_SUFFIX
    from serving import config

    try:
        found = config.elsewhere(workspace.models_config, workspace.models)
    except ServingError:
        return  # a server says it itself
    recipes = {name.removesuffix(CANARY_SUFFIX): base for name, base in sorted(found.items())}
    for recipe, base in recipes.items():
        print(
            f"warning: {workspace.models_config.name} serves {recipe} from {base}, outside of this "
            f"workspace's store {workspace.models}: segtrail promote --recipe {recipe} --recover",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def _warn_of_recipes(workspace: Workspace, port: int, flags: Sequence[str]) -> None:
    """Warns where the recipes' clients and this server would not meet, or not understand."""
    from segtrail.errors import ConfigError
    from segtrail.params import load_params

    speaks = any(flag.lstrip("-").startswith("ssl_config_file") for flag in flags)
    try:
        recipes = load_params(workspace.params).recipes
    except ConfigError:
        return  # a server needs no params.yaml
    targets = {name: each.serving.target.rpartition(":") for name, each in sorted(recipes.items())}
    if targets and not any(int(of) == port for _, _, of in targets.values()):
        named = ", ".join(f"{name} {of}" for name, (_, _, of) in targets.items())
        print(
            f"warning: no recipe's serving.target in params.yaml has port {port} ({named}): "
            "promotions and rollbacks will not ask this server",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    here = {"127.0.0.1", "localhost"}
    others = [
        name
        for name, (host, _, of) in targets.items()
        if host in here and int(of) == port and (recipes[name].serving.tls is not None) != speaks
    ]
    if not others:
        return
    says = "has tls, and this server speaks none: add -- --ssl_config_file=FILE"
    if speaks:
        says = "has no tls, and this server speaks it: name its ca there"
    print(f"warning: serving of {', '.join(others)} in params.yaml: {says}", file=sys.stderr)
