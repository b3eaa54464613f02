"""Data that is away, or damaged."""

from __future__ import annotations

import hashlib
import random
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from scripts.faults.bench import Bench
from scripts.faults.case import Case, Found, again, ends_as_fault, judged, words
from scripts.made_workspace import DATASET, RECIPE
from serving.launch import free_port


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
    problems = ends_as_fault(done)
    with bench.server([*serve, str(remote)], port):
        then = bench.segtrail("ingest", str(more), "--dataset", DATASET, check=False)
    if then.returncode:
        problems.append(then.stdout + then.stderr)
    count = len([*(bench.root / "data" / DATASET / "images").glob("*")])
    if count != 44:
        problems.append(f"{count} images, expected 44")
    shutil.rmtree(remote)
    return Found(words(done), "with the remote there, the same command", problems)


def _image(bench: Bench, rng: random.Random) -> Found:
    image = rng.choice(sorted((bench.root / "data" / DATASET / "images").iterdir()))
    where = _in_cache(bench, image)
    backup = bench.root.with_name("image")
    shutil.copy2(image, backup)
    _flip(where, rng)
    shutil.rmtree(bench.root / "data")
    first = bench.retrain().ends()
    problems = [] if "dvc checkout data.dvc" in first.text else [f"no advice: {first.text[-600:]}"]
    bench.do("dvc", "checkout", "data.dvc")  # believes what a read-only file of its cache is called
    done = bench.retrain().ends()
    if not done.code:
        problems.append("it learned from damaged data")
    elif str(image.relative_to(bench.root)) not in done.text:
        problems.append(f"it does not name the file: {done.text[-600:]}")
    where.unlink()
    shutil.move(backup, where)
    image.unlink()
    bench.do("dvc", "checkout", "data.dvc")
    found = again(bench, done, problems)
    return replace(found, mended="the file from a backup, and the same command")


def _stage_output(bench: Bench, rng: random.Random) -> Found:
    first = bench.retrain()
    bench.wait_for(lambda: bench.processes_of("train"), first)
    first.kill()  # transform's output is in the cache
    bench.kill([process for process, _ in bench.processes()])
    transformed = bench.root / "artifacts" / RECIPE / "transform"
    made = [path for path in sorted(transformed.rglob("*")) if path.is_file()]
    _flip(_in_cache(bench, rng.choice(made)), rng)
    shutil.rmtree(transformed)
    done = bench.retrain().ends()
    return judged(
        bench, done, "made anew by the same command", [] if done.code == 0 else [done.text]
    )


def _in_cache(bench: Bench, path: Path) -> Path:
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return bench.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    mode = path.stat().st_mode  # kept, as by a disk that forgets: DVC looks into what is writable
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


CASES = [
    Case("remote-away", "`data/` and cache are gone and the remote gives no answer", _remote),
    Case("cache-data", "an image in DVC's cache has other bytes, and `data/` is gone", _image),
    Case("cache-stage", "what a stage made has other bytes in DVC's cache", _stage_output),
]
