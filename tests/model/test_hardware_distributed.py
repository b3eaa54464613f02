"""Training on several devices and in several processes on this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from model.hardware.machine import TF_CONFIG, Cluster
from model.hardware.rendezvous import meet
from segtrail.errors import StageError

WORKER = Path(__file__).with_name("hardware_worker.py")
ROOT = Path(__file__).resolve().parents[2]
EXIT_REFUSED = 9
PATIENCE_S = 240


def free_addresses(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start(
    folder: Path,
    strategy: str,
    cluster: list[str] | None = None,
    index: int = 0,
    die: str = "",
    precision: str = "auto",
) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != TF_CONFIG}
    environment |= {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "PRECISION": precision}
    if cluster:
        task = {"type": "worker", "index": index}
        environment[TF_CONFIG] = json.dumps({"cluster": {"worker": cluster}, "task": task})
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(folder), strategy, *([die] if die else [])],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def end(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Returns what the processes said; none of them outlives this."""
    try:
        return [process.communicate(timeout=PATIENCE_S)[0] for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()


def learnt(path: Path) -> tuple[list[np.ndarray], list[dict[str, float]]]:
    with np.load(path) as kept:
        weights = [kept[name] for name in sorted(kept.files) if name != "history"]
        return weights, json.loads(str(kept["history"]))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["mirrored", "multi-worker"])
def test_replicas_learn_what_one_device_learns_from_the_whole_batch(tmp_path, strategy):
    cluster = free_addresses(2) if strategy == "multi-worker" else None
    said = end(
        [start(tmp_path, "one-device")]
        + [start(tmp_path, strategy, cluster, index) for index in range(2 if cluster else 1)]
    )
    assert all("iterations 18" in text for text in said), said
    weights, history = learnt(tmp_path / "one-device0.npz")
    found = [learnt(path) for path in sorted(tmp_path.glob(f"{strategy}*.npz"))]
    assert len(found) == (2 if cluster else 1)
    for theirs, told in found:
        for mine, other in zip(weights, theirs, strict=True):
            np.testing.assert_allclose(other, mine, rtol=2e-3, atol=2e-4)
        for mine, other in zip(history, told, strict=True):
            assert set(other) == {"loss", "accuracy", "val_loss", "val_accuracy"}
            assert other == pytest.approx(mine, abs=2e-3)
    if cluster:  # not nearly: the same bits
        for mine, other in zip(found[0][0], found[1][0], strict=True):
            np.testing.assert_array_equal(mine, other)
        assert found[0][1] == found[1][1]


@pytest.mark.slow
def test_a_lost_worker_ends_the_others_with_a_message(tmp_path):
    cluster = free_addresses(2)
    chief = start(tmp_path, "multi-worker", cluster, 0)
    other = start(tmp_path, "multi-worker", cluster, 1, die="0")
    started = time.monotonic()
    said, _ = end([chief, other])
    assert other.returncode == -signal.SIGKILL
    assert chief.returncode == EXIT_REFUSED, said
    assert "training lost another worker" in said
    assert "segtrail train on every worker again" in said
    assert time.monotonic() - started < 120


@pytest.mark.slow
def test_workers_that_plan_differently_are_refused(tmp_path):
    cluster = free_addresses(2)
    precisions = ("float32", "mixed_bfloat16")
    both = [
        start(tmp_path, "multi-worker", cluster, index, precision=precision)
        for index, precision in enumerate(precisions)
    ]
    for said, process, precision in zip(end(both), both, precisions, strict=True):
        assert process.returncode == EXIT_REFUSED, said
        assert "the workers differ in the hardware" in said
        assert precision in said


def test_a_worker_that_does_not_come_is_named():
    own, missing = free_addresses(2)
    with pytest.raises(StageError, match=rf"no answer from {missing} within 1 s"):
        meet(Cluster((own, missing), 0), patience_s=1)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        own = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StageError, match=rf"worker 0, {own}: .*cannot be listened on"):
            meet(Cluster((own, own), 0), patience_s=1)


def test_workers_meet_and_leave_their_ports_free():
    addresses = free_addresses(2)
    program = (
        "import sys; from model.hardware.machine import Cluster; "
        "from model.hardware.rendezvous import meet; import socket, time; "
        f"addresses = {tuple(addresses)!r}; index = int(sys.argv[1]); "
        "meet(Cluster(addresses, index), 20); "
        # as TensorFlow does next, for those that look a moment later
        "s = socket.create_server(('127.0.0.1', int(addresses[index].split(':')[1]))); "
        "time.sleep(1); print('met')"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(index)], cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for index in range(2)
    ]  # fmt: skip
    assert all("met" in said for said in end(both))
