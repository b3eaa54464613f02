"""The command line: TF Serving's own flags, those that mean something here."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Flags:
    """What the server was asked to do. Names and defaults are those of TF Serving."""

    port: int
    grpc_socket_path: str
    grpc_channel_arguments: tuple[tuple[str, str | int], ...]
    model_name: str
    model_base_path: str
    model_config_file: Path | None
    model_config_file_poll_wait_seconds: float
    file_system_poll_wait_seconds: float
    allow_version_labels_for_unavailable_models: bool
    enable_model_warmup: bool
    tensorflow_intra_op_parallelism: int
    tensorflow_inter_op_parallelism: int
    cores: int = _CORES


def parse(argv: Sequence[str] | None = None) -> Flags:
    """Reads the flags; an unknown or contradictory one ends the process with a usage message."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.embedded",
        description="Stand-in for TF Serving: same protocol, flags and configuration file.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--port", type=int, default=8500, help="gRPC port on 127.0.0.1; 0 takes a free one")
    add("--rest_api_port", type=int, default=0, help="must be 0: there is no REST interface")
    add("--rest_api_timeout_in_ms", type=int, default=30_000, help="accepted, without effect")
    add("--grpc_socket_path", default="", help="listen on this UNIX socket too")
    add("--grpc_channel_arguments", type=_channel_arguments, default=(), metavar="KEY=VALUE,...")
    add("--model_name", default="default", help="with --model_base_path")
    add("--model_base_path", default="", help="serve the latest version below this folder")
    add("--model_config_file", type=Path, help="a ModelServerConfig as text proto")
    add("--model_config_file_poll_wait_seconds", type=float, default=0, help="0: read it once")
    add("--file_system_poll_wait_seconds", type=float, default=1, help="0: look once; below: never")
    add("--allow_version_labels_for_unavailable_models", **_switch(False))
    add("--enable_model_warmup", **_switch(True))
    add("--enable_batching", **_switch(False))
    add("--tensorflow_intra_op_parallelism", type=int, default=0)
    add("--tensorflow_inter_op_parallelism", type=int, default=0)
    found = parser.parse_args(argv)
    if found.rest_api_port:
        parser.error("--rest_api_port: this server has no REST interface; it needs TF Serving")
    if found.enable_batching:
        parser.error("--enable_batching: this server does not batch; it needs TF Serving")
    if bool(found.model_config_file) == bool(found.model_base_path):
        parser.error("give one of --model_config_file and --model_base_path")
    if found.model_base_path and not os.path.isabs(found.model_base_path):
        parser.error(f"--model_base_path: expected an absolute path; got {found.model_base_path!r}")
    for name in ("rest_api_port", "rest_api_timeout_in_ms", "enable_batching"):
        delattr(found, name)
    return Flags(**vars(found))


def _switch(default: bool) -> dict[str, Any]:
    """TF Serving's boolean flags: `--name`, `--name=true`, `--name=false`."""
    return {"type": _boolean, "nargs": "?", "const": True, "default": default, "metavar": "BOOL"}


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false; got {text!r}")


def _channel_arguments(text: str) -> tuple[tuple[str, str | int], ...]:
    pairs: list[tuple[str, str | int]] = []
    for item in filter(None, text.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"expected key=value; got {item!r}")
        pairs.append((key, int(value) if value.lstrip("-").isdigit() else value))
    return tuple(pairs)
