"""Starts the server, polls the configuration, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from segtrail.telemetry import switch_off
from serving.embedded.flags import Flags, parse
from serving.embedded.model_list import Wanted
from serving.embedded.model_list import parse as parse_models
from serving.embedded.refusal import FAILED_PRECONDITION, Refusal

DRAIN_S = 30.0
MOST_BYTES = 256 << 20  # of one request; --grpc_channel_arguments may say otherwise
MOST_WAITING = 256  # threads whose requests wait to be batched


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code."""
    flags = parse(argv)
    switch_off()
    try:
        wanted = _configured(flags)
        _check_labels(flags, wanted)
        with socket.socket() as s:  # told now, not after TensorFlow's seconds
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", flags.port))
    except (OSError, OverflowError, Refusal) as e:
        log(f"Failed to start server on port {flags.port}. Error: {e}")
        return 1
    try:
        asyncio.run(_serve(flags, wanted))
    except RuntimeError as e:  # gRPC's word for a port that is taken
        log(f"Failed to start server. Error: {e}")
        return 1
    sys.stderr.flush()
    os._exit(0)  # a model that is still loading must not hold up the end


def log(line: str) -> None:
    """Writes one line to stderr, where TF Serving writes its log."""
    print(
        f"{time.strftime('%Y-%m-%d %H:%M:%S')} serving.embedded: {line}",
        file=sys.stderr,
        flush=True,
    )


def _configured(flags: Flags) -> list[Wanted]:
    if flags.model_config_file is not None:
        return parse_models(flags.model_config_file.read_text(encoding="utf-8", errors="replace"))
    return [Wanted(flags.model_name, Path(flags.model_base_path))]


def _check_labels(flags: Flags, wanted: Sequence[Wanted]) -> None:
    """Refuses to start with labels, as TF Serving does: nothing is available yet.

    Raises:
        Refusal: There is a label, and no flag that allows it.
    """
    labelled = [model.name for model in wanted if model.labels]
    if labelled and not flags.allow_version_labels_for_unavailable_models:
        raise Refusal(
            FAILED_PRECONDITION,
            f"Request to assign label to a version of model {labelled[0]}, which is not currently "
            "available for inference; --allow_version_labels_for_unavailable_models allows it",
        )


async def _serve(flags: Flags, wanted: list[Wanted]) -> None:
    # TensorFlow only from here on: a mistake in flags or file is told at once.
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    from serving.embedded.batching import Batcher
    from serving.embedded.call import Arrays, Call
    from serving.embedded.loaded_model import LoadedModel
    from serving.embedded.manager import Manager
    from serving.embedded.request_log import RequestLog
    from serving.embedded.services import ModelService, PredictionService
    from serving.embedded.unreadable import RefuseUnreadable

    def load(path: Path) -> LoadedModel:
        return LoadedModel(
            path,
            flags.tensorflow_intra_op_parallelism,
            flags.tensorflow_inter_op_parallelism,
            flags.enable_model_warmup,
            flags.max_image_pixels,
        )

    manager = Manager(load, log, flags.allow_version_labels_for_unavailable_models)
    threads = flags.cores
    compute: Callable[[LoadedModel, Call], Arrays] = LoadedModel.compute
    if flags.batching is not None:  # threads wait there for others
        threads = min(2 * flags.batching.max_batch_size * flags.batching.threads, MOST_WAITING)
        compute = Batcher(flags.batching).compute
    kept = None
    if flags.request_log is not None:
        kept = RequestLog(
            flags.request_log, flags.request_log_share, flags.request_log_mib,
            flags.request_log_days, log,
        )  # fmt: skip
    pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
    options = {
        "grpc.max_send_message_length": -1,
        "grpc.max_receive_message_length": MOST_BYTES,
        "grpc.so_reuseport": 0,  # a port that is taken is an error
        **dict(flags.grpc_channel_arguments),
    }
    server = grpc.aio.server(
        interceptors=[RefuseUnreadable()],
        options=list(options.items()),
        maximum_concurrent_rpcs=flags.max_concurrent_requests or None,
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(manager, pool, compute, kept.add if kept else None), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelService(manager, manager.reconcile), server
    )
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)

    async def healthy(status: Any) -> None:
        for name in ("", "ModelService", "PredictionService"):
            await servicer.set(name, status)

    await healthy(health_pb2.HealthCheckResponse.NOT_SERVING)

    def listen(address: str) -> int:
        if flags.ssl is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, flags.ssl))

    port = listen(f"127.0.0.1:{flags.port}")
    if flags.grpc_socket_path:
        listen(f"unix:{flags.grpc_socket_path}")
    await server.start()
    log(f"Running gRPC ModelServer at 127.0.0.1:{port} ...")
    for name in flags.without_effect:
        log(f"--{name} is without effect here: it needs TF Serving")

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loaded = asyncio.Event()
    keeper = _Keeper(flags, manager.reconcile, lambda: loop.call_soon_threadsafe(loaded.set))
    keeper.start(wanted)
    first = {asyncio.create_task(stop.wait()), asyncio.create_task(loaded.wait())}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        await healthy(health_pb2.HealthCheckResponse.SERVING)
        await stop.wait()
    log("Draining ...")
    keeper.stop()
    await servicer.enter_graceful_shutdown()
    await server.stop(grace=DRAIN_S)
    if kept is not None:
        kept.close()
    log("Stopped.")


class _Keeper:
    """The thread that keeps memory, configuration file and disk in agreement."""

    def __init__(
        self,
        flags: Flags,
        reconcile: Callable[[Sequence[Wanted] | None], list[Refusal]],
        loaded: Callable[[], object],
    ) -> None:
        self._flags, self._reconcile, self._loaded = flags, reconcile, loaded
        self._stopping = threading.Event()
        self._said = ""

    def start(self, wanted: list[Wanted]) -> None:
        threading.Thread(target=self._keep, args=(wanted,), daemon=True, name="keeper").start()

    def stop(self) -> None:
        self._stopping.set()

    def _keep(self, wanted: list[Wanted]) -> None:
        self._reconcile(wanted)
        self._loaded()
        flags = self._flags
        every_file = (
            flags.model_config_file_poll_wait_seconds if flags.model_config_file is not None else 0
        )
        every_disk = flags.file_system_poll_wait_seconds
        waits = [seconds for seconds in (every_file, every_disk) if seconds > 0]
        if not waits:
            return
        now = time.monotonic()
        next_file, next_disk = now + every_file, now + every_disk
        while not self._stopping.wait(min(waits)):
            now = time.monotonic()
            if every_file > 0 and now >= next_file:
                next_file = now + every_file
                if (read := self._read()) is not None:
                    self._reconcile(read)
            if every_disk > 0 and now >= next_disk:
                next_disk = now + every_disk
                self._reconcile(None)

    def _read(self) -> list[Wanted] | None:
        """Returns the configuration; None, said once, if it is bad: the last one stays."""
        try:
            found = _configured(self._flags)
        except (OSError, Refusal) as e:
            if str(e) != self._said:
                self._said = str(e)
                log(f"Failed to reload the configuration; the last one stays. Error: {e}")
            return None
        self._said = ""
        return found
