"""What gRPC costs beside the model: the server's requests against direct calls, in one run.

    python benchmarks/serving.py SAVED_MODEL IMAGE [--pairs 5] [--requests 30] [--changes 20]

SAVED_MODEL is one that `segtrail train` wrote; IMAGE a PNG, of 256 by 256 pixels for the figures
that are asked for. `tensorflow_model_server` is measured where it is installed, else the embedded
server.

1. CPU seconds and the median time of a request, one after another: over gRPC (server and client
   together) against the same signature called directly in this process. Interleaved blocks, medians
   of the pairs. Asked: at most 1.10 times the CPU, 1.2 times the time.
2. Images a second with 8 clients at once, against the best of 1, 2, 4 and 8 threads that call
   directly. Asked: at least 0.9.
3. --changes: the version that serves changes so many times under 4 clients. Asked: no failed
   request, no answer of a version that was not there, and memory that stays.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # else this file were the package `serving`

CLIENTS, ROUND_S, ASKING = 8, 6.0, 4
_TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Returns the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_mib(pid: int) -> float:
    """Returns what a process has in memory."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def block(ask: Callable[[], object], requests: int, pids: list[int]) -> tuple[float, float]:
    """Returns CPU seconds a request, of the processes together, and the median time."""
    before, took = [cpu_of(pid) for pid in pids], []
    for _ in range(requests):
        started = time.perf_counter()
        ask()
        took.append(time.perf_counter() - started)
    used = sum(cpu_of(pid) - old for pid, old in zip(pids, before, strict=True))
    return used / requests, statistics.median(took)


def per_second(ask: Callable[[], object], threads: int) -> float:
    """Returns requests a second of so many threads."""
    end, counts = time.perf_counter() + ROUND_S, [0] * threads

    def work(number: int) -> None:
        while time.perf_counter() < end:
            ask()
            counts[number] += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return sum(counts) / (time.perf_counter() - started)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("saved_model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--changes", type=int, default=20)
    given = parser.parse_args()

    from segtrail import telemetry

    telemetry.switch_off()
    from segtrail.session import SessionModel
    from serving import config
    from serving.client import SegmentationClient
    from serving.launch import running_server

    sent = given.image.read_bytes()
    model = SessionModel(given.saved_model)
    with tempfile.TemporaryDirectory(prefix="segtrail-serving-") as temporary:
        models, path = Path(temporary) / "models", Path(temporary) / "models.config"
        for version in ("1", "2"):
            shutil.copytree(given.saved_model, models / version)
        config.set_champion(path, "m", models, 1)
        with (
            running_server("m", config=path, log=Path(temporary) / "log") as server,
            SegmentationClient(server.target, "m") as client,
        ):

            def directly() -> object:
                return model.run("serving_default", {"image_bytes": [sent]}, None)

            def over_grpc() -> object:
                return client.segment(sent)

            for _ in range(3):
                directly(), over_grpc()
            both, own = [os.getpid(), server.pid], [os.getpid()]
            pairs = [
                (block(over_grpc, given.requests, both), block(directly, given.requests, own))
                for _ in range(given.pairs)
            ]
            print(f"{server.description}, {os.cpu_count()} cores, {given.pairs} interleaved pairs")
            for k, what, unit in ((0, "CPU a request", "CPU ms"), (1, "median time", "ms")):
                grpc, direct = (
                    1000 * statistics.median(p[side][k] for p in pairs) for side in (0, 1)
                )
                ratio = statistics.median(a[k] / b[k] for a, b in pairs)
                print(
                    f"  {what}: {grpc:.1f} {unit} over gRPC, {direct:.1f} direct; ratio {ratio:.2f}"
                )
            rounds = []
            for _ in range(max(1, given.pairs // 2)):
                best = max(per_second(directly, threads) for threads in (1, 2, 4, CLIENTS))
                rounds.append((per_second(over_grpc, CLIENTS), best))
            grpc, direct = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(a / b for a, b in rounds)
            print(
                f"  {CLIENTS} clients: {grpc:.1f} images/s over gRPC, at best {direct:.1f} "
                f"directly; ratio {ratio:.2f}"
            )
            if given.changes:
                change(client, server.pid, path, models, sent, given.changes)


def change(client: Any, pid: int, path: Path, models: Path, sent: bytes, changes: int) -> None:
    """Moves the version to and fro under load, and prints what went wrong and the memory."""
    from segtrail.errors import SegtrailError
    from serving import config

    stop, failed, wrong, answered, allowed = threading.Event(), [], [], [0], {1}

    def ask() -> None:
        while not stop.is_set():
            could = set(allowed)
            try:
                version = client.segment(sent, outputs=["count"]).version
            except SegtrailError as e:
                failed.append(str(e))
                continue
            answered[0] += 1
            if version not in could | allowed:
                wrong.append(version)

    threads = [threading.Thread(target=ask) for _ in range(ASKING)]
    for thread in threads:
        thread.start()
    memory = []
    for number in range(changes):
        version = 2 - number % 2
        allowed.add(version)
        config.set_champion(path, "m", models, 3 - version, beside=version)
        client.wait_until_available("m", version)
        config.set_champion(path, "m", models, version, beside=3 - version)
        while client.served_version("m", "stable") != version:
            time.sleep(0.05)
        config.set_champion(path, "m", models, version)
        while client.status("m").get(3 - version) != "END":
            time.sleep(0.05)
        allowed.discard(3 - version)
        memory.append(memory_mib(pid))
    stop.set()
    for thread in threads:
        thread.join()
    tenth = max(1, changes // 4)
    print(
        f"  {changes} changes of the version under {ASKING} clients: {answered[0]} answers, "
        f"{len(failed)} failed, {len(wrong)} of a version that was not to answer; memory "
        f"{statistics.median(memory[:tenth]):.0f} MiB at first, "
        f"{statistics.median(memory[-tenth:]):.0f} at last, {max(memory):.0f} at most"
    )
    for says in failed[:3]:
        print(f"    {says}")


if __name__ == "__main__":
    main()
