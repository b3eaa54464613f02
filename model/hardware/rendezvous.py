"""Waits for the other workers before TensorFlow does.

A `MultiWorkerMirroredStrategy` whose peers are missing waits without end inside native code
that holds Python's lock: no time-out, Ctrl-C or SIGTERM reaches it. So the workers meet on
plain sockets first, where all of that works.
"""

from __future__ import annotations

import contextlib
import socket
import time

from model.hardware.machine import Cluster
from segtrail.errors import StageError
from segtrail.progress import say

PATIENCE_S = 600.0
_RETRY_S = 0.2


def meet(cluster: Cluster, patience_s: float = PATIENCE_S) -> None:
    """Returns once every other worker's address has answered.

    Meanwhile this worker's own port listens; then it is free for TensorFlow's server, which
    also answers those that come later.

    Raises:
        StageError: This worker's port is taken, or another worker did not come in time.
    """
    own = cluster.workers[cluster.index]
    missing = [worker for worker in cluster.workers if worker != own]
    end = time.monotonic() + patience_s
    with socket.socket(_family(own), socket.SOCK_STREAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(_address(own))
        except OSError as e:
            raise StageError(
                f"worker {cluster.index}, {own}: this address cannot be listened on: {e.strerror}",
                "give each worker its own host's free port in TF_CONFIG",
            ) from None
        door.listen(len(cluster.workers))
        say(f"worker {cluster.index} ({own}) waits for {', '.join(missing)}")
        while missing:
            missing = [worker for worker in missing if not _answers(worker)]
            if missing and time.monotonic() > end:
                raise StageError(
                    f"no answer from {', '.join(missing)} within {patience_s:.0f} s",
                    "start segtrail train on every worker, with the same cluster in TF_CONFIG",
                )
            if missing:
                time.sleep(_RETRY_S)


def _answers(worker: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(_address(worker), timeout=1.0):
        return True
    return False


def _address(worker: str) -> tuple[str, int]:
    host, _, port = worker.rpartition(":")
    return host.strip("[]"), int(port)


def _family(worker: str) -> socket.AddressFamily:
    return socket.AF_INET6 if worker.startswith("[") else socket.AF_INET
