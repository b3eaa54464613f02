"""The `segtrail` command. Importing it imports nothing heavy: commands import what they need."""

from __future__ import annotations

import os
import shutil
import sys

import typer

from cli import (
    audit,
    augment,
    batch,
    compare,
    data,
    demo,
    doctor,
    fetch_data,
    gc,
    history,
    ingest,
    keys,
    ledger,
    monitor,
    pipeline,
    platform,
    predict,
    promotion,
    report,
    serve,
    stages,
    status,
    trace,
    tune,
)
from segtrail import __version__, faults, telemetry
from segtrail.errors import (
    EXIT_ERROR,
    EXIT_FAULT,
    EXIT_INSUFFICIENT,
    EXIT_REJECTED,
    SegtrailError,
)

EXIT_INTERRUPTED = 130
DEBUG_VARIABLE = "SEGTRAIL_DEBUG"

app = typer.Typer(
    name="segtrail",
    help="""Retrain, gate, promote, serve and audit segmentation models.

    \b
    A first look, all of it on made-up images (a few minutes):
      segtrail demo
    Your own data (a Kaggle DSB 2018 archive or folder):
      segtrail ingest stage1_train.zip --dataset dsb2018 --licence CC0-1.0
      segtrail retrain --recipe nuclei
      segtrail serve &
      segtrail predict cells.png --recipe nuclei
      segtrail batch plates/ results/ --recipe nuclei
      segtrail audit nuclei
    Servers of your own (Prefect, a worker, MLflow, the model server):
      segtrail up
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for _command in (
    demo.demo, fetch_data.fetch_data, ingest.ingest, pipeline.retrain, serve.serve,
    predict.predict, batch.batch, status.status, doctor.doctor, augment.augment, audit.audit,
    pipeline.deploy, platform.up, platform.down, platform.logs, gc.gc,
):  # fmt: skip
    app.command()(_command)
for _command in stages.COMMANDS:
    app.command()(_command)
app.command()(monitor.monitor)
app.command()(report.report)
app.command()(compare.compare)
app.command()(tune.tune)
app.add_typer(data.app)
app.add_typer(keys.app)
app.add_typer(ledger.app)
app.add_typer(trace.app)
app.command()(promotion.approve)
app.command()(promotion.promote)
app.command()(promotion.rollback)
app.command()(promotion.retire)
app.command()(history.history)
app.command(hidden=True)(promotion.reject)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        typer.echo(f"segtrail {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """The console entry: runs the command and exits with its code."""
    telemetry.switch_off()
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        code = app(arguments, prog_name="segtrail", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SegtrailError as e:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        sys.stdout.flush()
        expected = e.exit_code in (EXIT_REJECTED, EXIT_INSUFFICIENT)
        print(e if expected else f"error: {e}", file=sys.stderr, flush=True)
        return EXIT_FAULT if e.exit_code == EXIT_ERROR and faults.is_fault(e) else e.exit_code
    except typer.TyperException as e:
        e.show()  # type: ignore[attr-defined]
        return e.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left; nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except OSError as e:  # a full disk, a file that may not be read
        if os.environ.get(DEBUG_VARIABLE):
            raise
        what = f"{e.filename}: {e.strerror}" if e.filename is not None and e.strerror else str(e)
        if isinstance(e, shutil.Error) and isinstance(e.args[0], list):  # of a folder's copy
            what = e.args[0][0][-1]  # the first file's
        hint = f"mend that and try again; {DEBUG_VARIABLE}=1 shows where it happened"
        hint = faults.FREE_SOME if faults.is_full_disk(e) else hint
        print(f"error: {what}\n  -> {hint}", file=sys.stderr, flush=True)
        return EXIT_FAULT if faults.is_fault(e) else EXIT_ERROR
    except Exception as e:  # a library's own, such as MLflow's where its server gives no answer
        if os.environ.get(DEBUG_VARIABLE) or not faults.is_fault(e):
            raise
        print(f"error: {faults.told(e)}", file=sys.stderr, flush=True)
        return EXIT_FAULT


if __name__ == "__main__":
    main()
