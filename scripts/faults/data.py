"""Data that is away, or damaged."""

from __future__ import annotations

import hashlib
import random
import shutil
import sys
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
    return again(bench, done, problems)


def _stage_output(bench: Bench, rng: random.Random) -> Found:
    first = bench.retrain()
    bench.wait_for(lambda: bench.processes_of("train"), first)
    first.kill()  # transform's output is in the cache
    bench.kill([process for process, _ in bench.processes()])
    made = sorted((bench.root / "artifacts" / RECIPE / "transformed").rglob("*.tfrecord*"))
    _flip(_in_cache(bench, rng.choice(made)), rng)
    shutil.rmtree(bench.root / "artifacts" / RECIPE / "transformed")
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
    path.chmod(0o644)
    path.write_bytes(content)


CASES = [
    Case("remote-away", "`data/` and cache are gone and the remote gives no answer", _remote),
    Case("cache-data", "an image in DVC's cache has other bytes, and `data/` is gone", _image),
    Case("cache-stage", "what a stage made has other bytes in DVC's cache", _stage_output),
]
