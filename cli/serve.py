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
) -> None:
    """Serve the champions; follows promotions by itself.

    Starts TensorFlow Serving where tensorflow_model_server is installed, else segtrail's own
    stand-in, which speaks the same gRPC protocol. Runs until Ctrl-C.

    \b
    Examples:
      segtrail serve
      segtrail serve --port 9000 --config /srv/models.config
    """
    import os

    from segtrail.errors import ServingError
    from serving.launch import describe_server, server_command, server_environment

    if config is None:
        from segtrail.workspace import Workspace

        config = Workspace.find().models_config
    if not config.is_file():
        raise ServingError(
            f"{config}: not there; no model has been promoted yet", "segtrail retrain --recipe demo"
        )
    command = server_command(port, config=config)
    where = f"127.0.0.1:{port}" if port else "a free port of 127.0.0.1"
    print(f"{describe_server()} on {where}, following {config}; Ctrl-C ends it", flush=True)
    os.execvpe(command[0], command, server_environment())
