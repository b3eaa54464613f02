"""The command line: TF Serving's own flags, those that mean something here."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from serving.embedded.batching_rules import Rules
from serving.embedded.config_files import credentials, read
from serving.image_input import MAX_PIXELS
from serving.protocol import BatchingParameters, MonitoringConfig

# TF Serving's own, without a meaning or an effect here. Not among them, and so refused: flags that
# say who may connect (ALTS) or what is loaded (platforms, tags), which must not be passed over.
_WITHOUT_EFFECT = (
    "rest_api_port", "rest_api_num_threads", "rest_api_timeout_in_ms",
    "rest_api_enable_cors_support", "monitoring_config_file", "enable_profiler",
    "num_load_threads", "num_unload_threads", "max_num_load_retries",
    "load_retry_interval_micros", "flush_filesystem_caches", "grpc_max_threads",
    "tensorflow_session_parallelism", "per_process_gpu_memory_fraction",
    "num_request_iterations_for_warmup", "remove_unused_fields_from_bundle_metagraph",
    "enable_signature_method_name_check", "xla_cpu_compilation_enabled",
    "xla_gpu_compilation_enabled", "mixed_precision", "skip_initialize_tpu",
    "enable_serialization_as_tensor_content", "enable_grpc_healthcheck_service",
)  # fmt: skip
_NOTHING_LOST = ("", "0", "false", "rest_api_timeout_in_ms", "enable_grpc_healthcheck_service")
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Flags:
    """What the server was asked to do. Names and defaults are those of TF Serving.

    `max_image_pixels`, `max_concurrent_requests` and `request_log` with what begins so are this
    server's own; `without_effect` are flags that were given and need TF Serving itself.
    """

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
    batching: Rules | None
    ssl: grpc.ServerCredentials | None
    max_image_pixels: int
    max_concurrent_requests: int
    request_log: Path | None
    request_log_share: float
    request_log_mib: int
    request_log_days: float
    without_effect: tuple[str, ...]
    tensorflow_intra_op_parallelism: int
    tensorflow_inter_op_parallelism: int
    cores: int = _CORES


def parse(argv: Sequence[str] | None = None) -> Flags:
    """Reads the flags; an unknown or contradictory one ends the process with a usage message."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.embedded",
        description="Stand-in for TF Serving: same protocol, flags and configuration file.",
        epilog="Flags of TF Serving that have no effect here are taken, too, and the log says so.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--port", type=int, default=8500, help="gRPC port on 127.0.0.1; 0 takes a free one")
    for name in _WITHOUT_EFFECT:
        add(f"--{name}", nargs="?", const="true", help=argparse.SUPPRESS)
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
    add("--batching_parameters_file", type=Path, help="BatchingParameters as text proto")
    add("--ssl_config_file", type=Path, help="an SSLConfig as text proto: gRPC over TLS")
    add("--max_image_pixels", type=int, default=MAX_PIXELS, help="of one image; this server's own")
    add("--max_concurrent_requests", type=int, default=1000, help="0: no limit; this server's own")
    add("--request_log", type=Path, help="keep a sample of the images here; this server's own")
    add("--request_log_share", type=_share, default=1.0, help="which part of them, 0 to 1")
    add("--request_log_mib", type=int, default=1024, help="the oldest go when it is more")
    add("--request_log_days", type=float, default=30.0, help="and when they are older")
    add("--tensorflow_intra_op_parallelism", type=int, default=0)
    add("--tensorflow_inter_op_parallelism", type=int, default=0)
    found = parser.parse_args(argv)
    if bool(found.model_config_file) == bool(found.model_base_path):
        parser.error("give one of --model_config_file and --model_base_path")
    if found.model_base_path and not os.path.isabs(found.model_base_path):
        parser.error(f"--model_base_path: expected an absolute path; got {found.model_base_path!r}")
    if found.batching_parameters_file and not found.enable_batching:
        parser.error("--batching_parameters_file is set without setting --enable_batching")
    given = vars(found)
    try:
        given["batching"] = _batching(given.pop("batching_parameters_file"), found.enable_batching)
        ssl, monitoring = given.pop("ssl_config_file"), given["monitoring_config_file"]
        given["ssl"] = credentials(ssl) if ssl else None
        if monitoring:  # a mistake in it would end TF Serving
            read(Path(monitoring), MonitoringConfig())
    except ValueError as e:
        parser.error(str(e))
    del given["enable_batching"]
    idle = {name: given.pop(name) or "" for name in _WITHOUT_EFFECT}
    given["without_effect"] = tuple(
        name for name, value in idle.items() if not {name, value.lower()} & set(_NOTHING_LOST)
    )
    return Flags(**given)


def _batching(path: Path | None, wanted: bool) -> Rules | None:
    parameters = read(path, BatchingParameters()) if path else BatchingParameters()
    try:
        return Rules.of(parameters, _CORES) if wanted else None
    except ValueError as e:
        raise ValueError(f"{path}: {e}") from None


def _switch(default: bool) -> dict[str, Any]:
    """TF Serving's boolean flags: `--name`, `--name=true`, `--name=false`."""
    return {"type": _boolean, "nargs": "?", "const": True, "default": default, "metavar": "BOOL"}


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false; got {text!r}")


def _share(text: str) -> float:
    if not 0 < (share := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"expected a part above 0 and at most 1; got {text!r}")
    return share


def _channel_arguments(text: str) -> tuple[tuple[str, str | int], ...]:
    pairs: list[tuple[str, str | int]] = []
    for item in filter(None, text.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise argparse.ArgumentTypeError(f"expected key=value; got {item!r}")
        pairs.append((key, int(value) if value.lstrip("-").isdigit() else value))
    return tuple(pairs)
