"""The cases: what is broken, and what must come of it."""

from __future__ import annotations

import hashlib
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.faults import state
from scripts.faults.bench import STEPS, Bench, Running, Said
from scripts.made_workspace import DATASET, RECIPE
from serving.launch import free_port

FAULT = 75  # `segtrail.errors.EXIT_FAULT`, as documented: the same command may succeed later


@dataclass(frozen=True)
class Found:
    """What came of a case.

    Attributes:
        says: What segtrail said, or did by itself.
        mended: What then made it whole.
        problems: What does not hold.
    """

    says: str
    mended: str
    problems: list[str]


@dataclass(frozen=True)
class Case:
    """One thing to break.

    Attributes:
        name: For `--only`, and to seed its random numbers.
        what: What is done, for the reader.
        run: Does it in a fresh copy of the workspace.
    """

    name: str
    what: str
    run: Callable[[Bench, random.Random], Found]


def all_cases() -> list[Case]:
    """Returns every case."""
    steps = [
        Case(f"step-{step}", f"`{step}` is killed (SIGKILL, as by the kernel out of memory)",
             partial(_step_dies, step=step))
        for step in STEPS
    ]  # fmt: skip
    runs = [
        Case(f"run-{step}", f"the run is killed with all its processes during `{step}`",
             partial(_run_dies, step=step))
        for step in STEPS
    ]  # fmt: skip
    disks = [
        Case(f"disk-{percent}", f"the disk is full after {percent} % of what a run writes",
             partial(_disk_full, share=percent / 100))
        for percent in (5, 30, 60, 90)
    ]  # fmt: skip
    return [
        *steps, *runs, *disks,
        Case("disk-ingest", "the disk is full when a delivery is taken in", _disk_full_at_ingest),
        Case("model-server", "the model server is killed during a promotion", _model_server_dies),
        Case("mlflow-dies", "the MLflow server is killed during `train`", _mlflow_dies),
        Case("mlflow-away", "the MLflow server gives no answer", _mlflow_away),
        Case("prefect-dies", "the Prefect server is killed during a run", _prefect_dies),
        Case("prefect-away", "the Prefect server gives no answer", _prefect_away),
        Case("remote-away", "`data/` and cache are gone and the remote gives no answer", _remote),
        Case("cache-data", "an image in DVC's cache has other bytes, and `data/` is gone", _image),
        Case("cache-stage", "what a stage made has other bytes in DVC's cache", _stage_output),
        Case("two-runs", "two retrainings of one recipe at once", _two_runs),
    ]  # fmt: skip


# killed


def _step_dies(bench: Bench, rng: random.Random, step: str) -> Found:
    run = bench.retrain()
    bench.wait_for(lambda: bench.processes_of(step), run)
    time.sleep(rng.uniform(0, bench.seconds[step]))
    victims = bench.processes_of(step)
    bench.kill(victims)
    done = run.ends()
    if done.code == 0:  # it had ended by itself, or its end was all that was left
        return _judged(bench, done, "nothing to mend: the step was at its end", [])
    return _again(bench, done, _ends_as_fault(done))


def _run_dies(bench: Bench, rng: random.Random, step: str) -> Found:
    run = bench.retrain()
    bench.wait_for(lambda: bench.processes_of(step), run)
    time.sleep(rng.uniform(0, bench.seconds[step]))
    bench.kill([process for process, _ in bench.processes()])
    run.kill()
    return _again(bench, Said(-9, ""), [])


# full


def _disk_full(bench: Bench, rng: random.Random, share: float) -> Found:
    room = bench.grows * share * rng.uniform(0.8, 1.2)
    with _small_disk(bench, int(room)) as grow:
        done = bench.retrain().ends()
        problems = [] if done.code else ["it did not notice"]
        if done.code and "space" not in done.text:
            problems.append(f"it does not say that the disk is full: {done.text[-600:]}")
        problems += state.nothing_half_done(bench)
        grow()
        return _again(bench, done, problems)


def _disk_full_at_ingest(bench: Bench, rng: random.Random) -> Found:
    images = bench.delivery(60, seed=3)
    outside = bench.root.with_name("delivery-3")
    shutil.rmtree(outside, ignore_errors=True)
    shutil.move(images, outside)
    with _small_disk(bench, int(rng.uniform(0.2, 0.8) * _bytes(outside))) as grow:
        before = bench.git("rev-parse", "HEAD")
        done = bench.start("ingest", str(outside), "--dataset", DATASET).ends()
        problems = _ends_as_fault(done)
        if bench.git("rev-parse", "HEAD") != before or bench.git("status", "--porcelain"):
            problems.append("a refused delivery is half there")
        grow()
        again = bench.segtrail("ingest", str(outside), "--dataset", DATASET, check=False)
        if again.returncode:
            problems.append(again.stdout + again.stderr)
        count = len([*(bench.root / "data" / DATASET / "images").iterdir()])
        if count != 100:
            problems.append(f"{count} images, expected 100")
    shutil.rmtree(outside)
    return Found(_words(done), "with room, the same command", problems)


@contextmanager
def _small_disk(bench: Bench, room: int) -> Iterator[Callable[[], None]]:
    """Puts the workspace on a disk with `room` bytes left; yields what makes it large."""
    size = bench.size() + room
    shutil.rmtree(bench.root)
    bench.root.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(bench.root)], check=True
    )
    try:
        bench.reset()
        yield (
            lambda: (
                subprocess.run(
                    ["mount", "-o", f"remount,size={size + (1 << 30)}", str(bench.root)], check=True
                )
                and None
            )
        )
    finally:
        subprocess.run(["umount", "--lazy", str(bench.root)], check=True)


# servers


def _model_server_dies(bench: Bench, rng: random.Random) -> Found:
    with bench.serving() as first:
        run = bench.retrain()
        bench.wait_for(lambda: bench.processes_of("promote"), run)
        time.sleep(rng.uniform(0, bench.seconds["promote"]))
        first.kill()
        done = run.ends()
    problems = state.nothing_half_done(bench)
    with bench.serving():
        return _again(bench, done, problems)


def _mlflow_dies(bench: Bench, rng: random.Random) -> Found:
    with _mlflow(bench) as server:
        run = bench.retrain()
        bench.wait_for(lambda: bench.processes_of("train"), run)
        time.sleep(rng.uniform(0.5, 1) * bench.seconds["train"])
        server.kill()
        done = run.ends()
    problems = _ends_as_fault(done) if done.code else []
    with _mlflow(bench):
        return _again(bench, done, problems)


def _mlflow_away(bench: Bench, rng: random.Random) -> Found:
    bench.variables = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    done = bench.retrain().ends()
    bench.variables = {}
    return _again(bench, done, _ends_as_fault(done))


def _prefect_dies(bench: Bench, rng: random.Random) -> Found:
    with _prefect(bench) as server:
        run = bench.retrain()
        bench.wait_for(lambda: bench.processes_of("transform"), run)
        server.kill()
        done = run.ends()
    bench.variables = {}
    return _again(bench, done, _ends_as_fault(done))


def _prefect_away(bench: Bench, rng: random.Random) -> Found:
    bench.variables = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}
    done = bench.retrain().ends()
    bench.variables = {}
    return _again(bench, done, _ends_as_fault(done))


@contextmanager
def _mlflow(bench: Bench) -> Iterator[Running]:
    port = free_port()
    store = f"sqlite:///{bench.root / 'mlflow.db'}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port),
        "--artifacts-destination", str(bench.root / "mlruns"), "--workers", "1",
    ]  # fmt: skip
    bench.variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with _server(bench, command, port) as server:
        bench.variables = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        yield server


@contextmanager
def _prefect(bench: Bench) -> Iterator[Running]:
    port = free_port()
    bench.variables = {"PREFECT_HOME": str(bench.root / ".prefect")}
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--port", str(port)]
    with _server(bench, command, port) as server:
        bench.variables |= {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
        yield server


@contextmanager
def _server(bench: Bench, command: list[str], port: int) -> Iterator[Running]:
    server = Running(bench, command)
    try:
        bench.wait_for(lambda: _listens(port), server)
        yield server
    finally:
        server.kill()


def _listens(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(0.2)
        return s.connect_ex(("127.0.0.1", port)) == 0


# DVC


def _remote(bench: Bench, rng: random.Random) -> Found:
    remote = bench.root.with_name("remote")
    shutil.rmtree(remote, ignore_errors=True)
    port = free_port()
    serve = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory"]
    bench.do("dvc", "remote", "add", "--local", "there", str(remote))
    bench.do("dvc", "push", "--remote", "there", "data.dvc")
    bench.do("dvc", "remote", "add", "--local", "--default", "far", f"http://127.0.0.1:{port}")
    shutil.rmtree(bench.root / "data")
    shutil.rmtree(bench.root / ".dvc/cache/files")
    more = bench.delivery(4, seed=4)
    done = bench.start("ingest", str(more), "--dataset", DATASET).ends()
    problems = _ends_as_fault(done)
    with _server(bench, [*serve, str(remote)], port):
        again = bench.segtrail("ingest", str(more), "--dataset", DATASET, check=False)
    if again.returncode:
        problems.append(again.stdout + again.stderr)
    count = len([*(bench.root / "data" / DATASET / "images").glob("*")])
    if count != 44:
        problems.append(f"{count} images, expected 44")
    shutil.rmtree(remote)
    return Found(_words(done), "with the remote there, the same command", problems)


def _image(bench: Bench, rng: random.Random) -> Found:
    image = rng.choice(sorted((bench.root / "data" / DATASET / "images").iterdir()))
    where = _in_cache(bench, image)
    shutil.copy2(image, bench.root.with_name("image"))
    _flip(where, rng)
    shutil.rmtree(bench.root / "data")
    done = bench.retrain().ends()
    problems = [] if done.code else ["it trained on damaged data"]
    if done.code and image.name not in done.text and where.name not in done.text:
        problems.append(f"it does not name the file: {done.text[-600:]}")
    where.unlink(missing_ok=True)
    where.parent.mkdir(exist_ok=True)
    shutil.move(bench.root.with_name("image"), where)
    return _again(bench, done, problems)


def _stage_output(bench: Bench, rng: random.Random) -> Found:
    first = bench.retrain()
    bench.wait_for(lambda: bench.processes_of("train"), first)
    first.kill()  # transform's output is in the cache
    bench.kill([process for process, _ in bench.processes()])
    made = sorted((bench.root / "artifacts" / RECIPE / "transformed").rglob("*.tfrecord*"))
    _flip(_in_cache(bench, rng.choice(made)), rng)
    shutil.rmtree(bench.root / "artifacts" / RECIPE / "transformed")
    done = bench.retrain().ends()
    return _judged(
        bench, done, "made anew by the same command", [] if done.code == 0 else [done.text]
    )


def _in_cache(bench: Bench, path: Path) -> Path:
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return bench.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)


# at once


def _two_runs(bench: Bench, rng: random.Random) -> Found:
    runs = [bench.retrain()]
    time.sleep(rng.uniform(0, 5))
    runs.append(bench.retrain())
    ends: list[Said] = []
    threads = [threading.Thread(target=lambda r=r: ends.append(r.ends())) for r in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    problems = [f"exit code {done.code}: {done.text[-600:]}" for done in ends if done.code]
    waits = next(
        (line for done in ends for line in done.text.splitlines() if "waiting" in line), ""
    )
    if not waits:
        problems.append("neither waited for the other")
    problems += state.as_if_nothing_had_happened(bench)
    return Found(waits.strip(), "the second waited, and found nothing to do", problems)


# how it ends


def _ends_as_fault(done: Said) -> list[str]:
    found = []
    if done.code != FAULT:
        found.append(f"exit code {done.code}, expected {FAULT}: {done.text[-800:]}")
    if not done.error:
        found.append(f"it does not say what was wrong: {done.text[-800:]}")
    return found


def _again(bench: Bench, done: Said, problems: list[str]) -> Found:
    problems = [*problems, *state.nothing_half_done(bench)]
    if done.code == 0:
        return _judged(bench, done, "nothing to mend", problems)
    again = bench.retrain().ends()
    if again.code:
        problems.append(f"run again: exit code {again.code}\n{again.text[-1500:]}")
    return _judged(bench, done, "the same command, which went on", problems)


def _judged(bench: Bench, done: Said, mended: str, problems: list[str]) -> Found:
    found = [*problems, *state.as_if_nothing_had_happened(bench)]
    return Found(_words(done), mended, found)


def _words(done: Said) -> str:
    if done.code == 0:
        return "goes on, and ends well"
    return done.error or ("(killed)" if done.code < 0 else done.text[-200:])


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
