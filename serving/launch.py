"""Starts a model server: TF Serving where its binary is on PATH, else `serving.embedded`."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import serving
from segtrail.errors import ServingError
from segtrail.secrets import without_secrets
from segtrail.telemetry import OFF
from serving import server_log, tether
from serving.client import SegmentationClient
from serving.failures import LoadError, StartError
from serving.tls import Tls

TF_SERVING = "tensorflow_model_server"
_STOP_S = 35.0  # the embedded server drains for at most 30


@dataclass(frozen=True)
class RunningServer:
    """A model server that this process started.

    Args:
        target: `host:port` for `serving.client.SegmentationClient`.
        description: Which server it is, for reports.
        version: The version of the awaited model that was available first.
        pid: Its process.
        log: What it says.
        exit_code: Gives that of its process, negative for a signal; None while it runs.
    """

    target: str
    description: str
    version: int
    pid: int
    log: Path
    exit_code: Callable[[], int | None]


def server_command(
    port: int,
    *,
    config: Path | None = None,
    model_name: str | None = None,
    base_path: Path | None = None,
    poll_seconds: int = 1,
    more: Sequence[str] = (),
) -> list[str]:
    """Returns the command of a server for a configuration file, or for one model.

    Args:
        port: gRPC port.
        config: `models.config`; polled every `poll_seconds`.
        model_name: With `base_path`: serve the latest version below it under this name.
        base_path: Holds one folder a version.
        poll_seconds: How soon a change of the file is seen.
        more: Other flags of TF Serving, such as `--enable_batching`.

    Raises:
        ValueError: Neither or both of `config` and `model_name` with `base_path`.
    """
    if (config is None) == (base_path is None) or (model_name is None) != (base_path is None):
        raise ValueError("expected either config, or model_name and base_path")
    flags = [f"--port={port}"]
    if config is not None:
        flags += [
            f"--model_config_file={config.resolve()}",
            f"--model_config_file_poll_wait_seconds={poll_seconds}",
            # without it no server starts with a label in its configuration
            "--allow_version_labels_for_unavailable_models=true",
        ]
    elif base_path is not None:
        flags += [f"--model_name={model_name}", f"--model_base_path={base_path.resolve()}"]
    binary = shutil.which(TF_SERVING)
    return [*([binary] if binary else [sys.executable, "-m", "serving.embedded"]), *flags, *more]


def server_environment() -> dict[str, str]:
    """Returns the environment in which `server_command` runs from any folder."""
    root = str(Path(serving.__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**OFF, **without_secrets(os.environ), "PYTHONPATH": os.pathsep.join(paths)}


def describe_server() -> str:
    """Returns which server `server_command` starts."""
    binary = shutil.which(TF_SERVING)
    return f"TensorFlow Serving ({binary})" if binary else "serving.embedded (stand-in)"


def free_port() -> int:
    """Returns a port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def running_server(
    model: str,
    *,
    log: Path,
    config: Path | None = None,
    base_path: Path | None = None,
    version: int | None = None,
    timeout: float = 180.0,
    more: Sequence[str] = (),
    tls: Tls | None = None,
) -> Iterator[RunningServer]:
    """Runs a server in a process of its own for the time of the block, or until this one dies.

    Args:
        model: The model that must be available before the block begins.
        log: Where the server's output goes; overwritten.
        config: `models.config`, which the server then polls.
        base_path: Instead of `config`: the folder with the versions of `model`.
        version: The version that must be available; without it, any.
        timeout: Seconds until it must be.
        more: Other flags of TF Serving.
        tls: How to reach it, if `more` has `--ssl_config_file`.

    Raises:
        StartError: The server ended, or the model did not become available; with what its log
            says of it.
    """
    port = free_port()
    target = f"127.0.0.1:{port}"
    command = server_command(
        port, config=config, model_name=model if base_path else None, base_path=base_path, more=more
    )
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=server_environment(),
            process_group=0,  # Ctrl-C in the terminal is ours to pass on
        )

    def alive() -> None:
        if (code := process.poll()) is not None:
            raise ServingError(f"the model server ended with exit code {code}")

    try:
        try:
            with SegmentationClient(target, tls=tls) as client:
                found = client.wait_until_available(model, version, timeout, alive)
        except ServingError as e:
            said = e.said if isinstance(e, LoadError) else server_log.why_not_loaded(log)
            lines = server_log.last_lines(log)
            raise StartError(
                f"{e.message}\n{server_log.in_lines(lines, log)}",
                e.hint,
                said=said,
                log=lines,
                log_file=log,
                ended_with=process.poll(),
            ) from None
        yield RunningServer(target, describe_server(), found, process.pid, log, process.poll)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
