"""`segtrail serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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

    \b
    Examples:
      segtrail serve
      segtrail serve --port 9000 --config /srv/models.config
      segtrail serve -- --ssl_config_file=ssl.config
    """
    import os
    import sys

    from segtrail.errors import ServingError
    from serving.launch import (
        TF_SERVING,
        describe_server,
        free_port,
        server_command,
        server_environment,
    )

    if config is None:
        from segtrail.workspace import Workspace

        config = Workspace.find().models_config
    if not config.is_file():
        raise ServingError(
            f"{config}: not there; no model has been promoted yet", "segtrail retrain --recipe demo"
        )
    port = port or free_port()
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
