"""How long `segtrail trace` takes among many images in many versions of the data.

python benchmarks/lineage.py --images 100000 --versions 100 --models 20

Makes a repository with real git commits, listings and split ledgers as DVC caches them, `dvc.lock`
and a promotion ledger, in a temporary folder; the images themselves, which no question reads, are
left out. Each version has 20 new images, 10 replaced and 5 removed. Asks as people do, in a process
of its own: once without an index (cold), then several times with it, and once after a new version.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # else this file were the package `lineage`

import yaml  # noqa: E402

from lineage import dvc_files, ledger  # noqa: E402
from segtrail import deliveries, git, split_ledger  # noqa: E402
from segtrail.files import sha256_bytes, write_bytes, write_text  # noqa: E402
from segtrail.split_ledger import Row  # noqa: E402

RUNS, IMAGE = 7, "image-0000007"
ADDED, REPLACED, REMOVED = 20, 10, 5
DATASET, RECIPE = "cells", "bench"
SPLITS = ("train",) * 8 + ("validation", "test")


def digests(word: str) -> tuple[str, str]:
    """Returns the MD5 and SHA-256 of a made-up content."""
    content = word.encode()
    return hashlib.md5(content, usedforsecurity=False).hexdigest(), sha256_bytes(content)


class Bench:
    """A repository that grows version by version."""

    def __init__(self, root: Path, images: int) -> None:
        self.root, self.rows, self.files = root, dict[str, Row](), dict[str, str]()
        self.head, self.lines, self.pieces = "", dict[str, str](), dict[str, str]()
        self.deliveries: list[deliveries.Row] = []
        self.count = 0
        git.run(root, "init", "--quiet", "--initial-branch=main")
        subprocess.run(
            [sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True,
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        )  # fmt: skip
        self.cache = dvc_files.cache_folder(root)
        write_text(root / "params.yaml", "datasets: {}\nrecipes: {}\n")
        write_text(root / "dvc.yaml", "")
        write_text(root / ".gitignore", "/.segtrail/\n")
        git.run(root, "add", "--all")
        git.run(root, "commit", "--quiet", "-m", "Workspace")
        self.deliver(range(images), (), ())

    def step(self) -> None:
        """Makes the next version."""
        there = [row.image for row in self.rows.values() if not row.removed]
        picked = there[self.count % 50 :: max(1, len(there) // (REPLACED + REMOVED))]
        new = range(len(self.rows), len(self.rows) + ADDED)
        self.deliver(new, picked[:REPLACED], picked[REPLACED : REPLACED + REMOVED])

    def deliver(self, new, replaced, removed) -> None:
        self.count += 1
        for number in new:
            self.put(f"image-{number:07d}", SPLITS[number % len(SPLITS)])
        for image in replaced:
            self.put(image, self.rows[image].split)
        for image in removed:
            self.write(replace(self.rows[image], removed=str(self.count)))
            for kind in ("images", "masks"):
                del self.files[f"{kind}/{image}.png"]
        self.deliveries.append(
            deliveries.Row(
                self.count, f"{self.count}.zip", "0" * 64, "Ada", "CC0-1.0", len(new),
                len(replaced), len(removed),
            )
        )  # fmt: skip
        self.list("splits.csv", self.keep(self.splits()))
        self.list("deliveries.csv", self.keep(deliveries.to_csv(self.deliveries).encode()))
        rows = ", ".join(self.pieces[name] for name in sorted(self.files))
        md5 = self.keep(f"[{rows}]".encode(), ".dir")
        write_text(self.root / "data.dvc", yaml.safe_dump({"outs": [{"md5": md5, "path": "data"}]}))
        git.commit(self.root, ["data.dvc"], f"Ingest {DATASET}: delivery {self.count}")

    def put(self, image: str, split: str) -> None:
        md5, sha256 = digests(f"{image} {self.count}")
        mask_md5, mask = digests(f"{image} {self.count} mask")
        self.list(f"images/{image}.png", md5)
        self.list(f"masks/{image}.png", mask_md5)
        self.write(
            Row(image, sha256, mask, sha256, str(self.count), "grey", image, "grey-1", split)
        )

    def list(self, name: str, md5: str) -> None:
        """Puts a file into the listing."""
        self.files[name] = md5
        self.pieces[name] = json.dumps({"md5": md5, "relpath": f"{DATASET}/{name}"})

    def write(self, row: Row) -> None:
        """Puts a row into the split ledger."""
        self.rows[row.image] = row
        self.head, self.lines[row.image] = split_ledger.to_csv({row.image: row}).split("\n", 1)

    def splits(self) -> bytes:
        """Returns the split ledger."""
        lines = "".join(self.lines[image] for image in sorted(self.lines))
        return f"{self.head}\n{lines}".encode()

    def keep(self, content: bytes, end: str = "") -> str:
        """Puts a content into DVC's cache."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() + end
        write_bytes(dvc_files.object_path(self.cache, md5), content)
        return md5

    def train(self, promote: bool) -> None:
        """Commits a `dvc.lock` as of a training on the present version, and promotes it."""
        data, model = dvc_files.listing_md5(self.files), digests(f"model {self.count}")
        examples = digests(data)[0] + ".dir"
        run = {
            "mlflow_run_id": model[0], "model_digest": model[1],
            "data_version": {"dvc_md5": data}, "recipe": {"dataset": DATASET},
        }  # fmt: skip
        run_md5 = self.keep(json.dumps(run).encode())
        training = self.keep(json.dumps([{"md5": run_md5, "relpath": "run.json"}]).encode(), ".dir")
        folder = f"artifacts/{RECIPE}"
        code = [{"path": f"model/{n}.py", "hash": "md5", "md5": model[0]} for n in range(80)]
        lock = {
            f"examples@{RECIPE}": {
                "deps": [*code, {"path": f"data/{DATASET}", "md5": data}],
                "outs": [{"path": f"{folder}/examples", "md5": examples}],
            },
            f"train@{RECIPE}": {
                "deps": [*code, {"path": f"{folder}/examples", "md5": examples}],
                "outs": [
                    {"path": f"{folder}/model", "md5": model[0] + ".dir"},
                    {"path": f"{folder}/training", "md5": training},
                ],
            },
        }
        write_text(self.root / "dvc.lock", yaml.safe_dump({"schema": "2.0", "stages": lock}))
        commit = git.commit(self.root, ["dvc.lock"], "Run")
        if promote:
            path = self.root / "ledger" / f"{RECIPE}.jsonl"
            details = {"git_commit": commit, "previous": None}
            ledger.append(
                path, ledger.DONE, version=self.count, model_digest=model[1], details=details
            )
            git.commit(self.root, ["ledger"], "Promote")


def ask(root: Path, *question: str) -> tuple[float, float]:
    """Returns the seconds, and CPU seconds, that a command takes, start and all."""
    command = [sys.executable, "-m", "cli.main", "trace", *question]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=environment,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu


def main() -> None:
    """Builds the repository, asks, and prints seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--versions", type=int, default=100)
    parser.add_argument("--models", type=int, default=20, help="trained; every other is promoted")
    parser.add_argument("--folder", type=Path, help="where; default: the system's temporary folder")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="segtrail-lineage-", dir=given.folder))
    try:
        bench, every = Bench(root, given.images), max(1, given.versions // given.models)
        for version in range(1, given.versions + 1):
            if version > 1:
                bench.step()
            if version % every == 0:
                bench.train(promote=version // every % 2 == 1)
        size = sum(path.stat().st_size for path in bench.cache.rglob("*") if path.is_file())
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
            f"Python {platform.python_version()}, git {git.run(root, '--version').split()[-1]}"
        )
        print(f"{given.images} images, {given.versions} versions, {given.models} models; "
              f"listings and split ledgers: {size / 1e9:.1f} GB")  # fmt: skip
        print("seconds of wall time (and of the processor), the process's start included")
        print("cold, all versions read: {:.1f} ({:.1f})".format(*ask(root, "image", IMAGE)))
        index = (root / ".segtrail" / "trace.db").stat().st_size
        print(f"the index: {index / 1e6:.0f} MB")
        version = dvc_files.listing_md5(bench.files)
        md5, sha256 = digests(f"{IMAGE} 1")
        for question in (
            ("image", IMAGE), ("image", sha256), ("image", md5[:10]), ("data", version[:10]),
            ("commit", "HEAD"), ("--help",),
        ):  # fmt: skip
            wall, cpu = zip(*(ask(root, *question) for _ in range(RUNS)), strict=True)
            asked = " ".join(question)[:28]
            print(f"trace {asked:28} median {statistics.median(wall):.2f} "
                  f"({statistics.median(cpu):.2f}), worst {max(wall):.2f} of {RUNS}")  # fmt: skip
        bench.step()
        print("after one more version: {:.1f} ({:.1f})".format(*ask(root, "image", IMAGE)))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
