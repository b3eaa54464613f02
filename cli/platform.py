"""`segtrail up`, `segtrail down` and `segtrail logs`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from flows.platform.plan import Plan


def up(
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay; Ctrl-C or SIGTERM stops everything.")
    ] = False,
) -> None:
    """Start Prefect, a worker, MLflow and a model server.

    In the background, watched: what ends is started again. Waits until each answers. Given again,
    it starts what is missing. Ports and databases are those of platform in params.yaml. Prefect
    and MLflow answer this machine alone unless that says otherwise. Logs: .segtrail/up/.

    \b
    Examples:
      segtrail up
      segtrail deploy --recipe nuclei --cron "0 3 * * 1"
      segtrail status
      segtrail logs worker --follow
      segtrail down
    """
    import shutil

    from flows.platform import service
    from segtrail.params import load_params
    from serving.launch import TF_SERVING

    workspace = Workspace.find()
    settings = load_params(workspace.params).platform
    if settings.host not in ("127.0.0.1", "localhost"):
        print(
            f"warning: platform.host is {settings.host}: Prefect and MLflow have no passwords; "
            "whoever reaches their ports can run code here and change what is recorded",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    if shutil.which(TF_SERVING):
        print(
            "warning: TF Serving listens on all addresses: whoever reaches port "
            f"{settings.ports.serving} of this machine can ask the models",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    if not foreground:
        _show(service.up(workspace, settings))
        return
    with service.foreground(workspace, settings) as plan:
        _show(plan)
        print("\nCtrl-C stops it all", flush=True)


def down() -> None:
    """Stop what segtrail up started, the worker first.

    A run of the worker is cancelled first, which Prefect remembers; the next run goes on from the
    last stage that ended. Also ends what is left of servers whose supervisor was killed.

    \b
    Example:
      segtrail down
    """
    from flows.platform import service

    print("stopped" if service.down(Workspace.find()) else "nothing was running")


def logs(
    name: Annotated[
        str | None,
        typer.Argument(
            help="prefect, mlflow, serving or worker; or a run: its id, the beginning of it, or "
            "last. Default: all servers."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Of a run: its lines as they are, an object each.")
    ] = False,
) -> None:
    """Show what the servers of segtrail up, or a run, said.

    Of servers the last lines, of a run all. A run is a retrain, ingest, monitor or batch; it prints
    its id, which for one of a deployment is also Prefect's. Logs: .segtrail/logs/ID.jsonl, the
    newest 100.

    \b
    Examples:
      segtrail logs
      segtrail logs worker --follow
      segtrail logs last
      segtrail logs 0c9f4e1a --json
    """
    from flows.platform import logs as of
    from flows.platform.programs import NAMES
    from segtrail import run_log
    from segtrail.errors import MissingArtifactError

    if name is not None and name not in NAMES:
        try:
            log = run_log.find(Workspace.find(), name)
        except MissingArtifactError as e:
            what = f"got {name!r}; expected one of {', '.join(NAMES)}, or a run: {e.message}"
            raise MissingArtifactError(what, e.hint) from None
        of.show_run(log, follow, as_json)
        return
    if as_json:
        raise typer.BadParameter("--json is of a run's log; give the run's id, or last")
    of.show(Workspace.find(), [name] if name else list(NAMES), follow)


def print_servers(workspace: Workspace) -> None:
    """Prints how the servers of `segtrail up` are, or that there are none."""
    from flows.platform import service

    if (plan := service.running(workspace)) is None:
        print("servers: none of segtrail up")
    else:
        _table(plan)


def _table(plan: Plan) -> None:
    from cli.status import print_table
    from flows.platform import service

    rows = [(each.name, each.state, each.address, str(each.log)) for each in service.servers(plan)]
    print_table(("server", "state", "address", "log"), rows)


def _show(plan: Plan) -> None:
    from flows.platform.programs import needs_server

    print()
    _table(plan)
    print(
        "\nsegtrail deploy and retrain find Prefect by themselves; for other commands:\n"
        f"  export PREFECT_API_URL={plan.prefect_api}"
    )
    if needs_server(plan):
        print(
            "MLflow's store is not this workspace's mlflow.db: before segtrail retrain\n"
            f"  export MLFLOW_TRACKING_URI={plan.mlflow}"
        )
    sys.stdout.flush()
