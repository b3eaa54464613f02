"""What ingestion and validation cost, against the plainest way, in the same run.

    python benchmarks/data.py [../shared/data/dsb2018/stage1_train.zip]

1. Ingesting the archive, but for `dvc add`, against unzipping and hashing the same files in
   plain Python (`extractall`, then SHA-256 of each file) in the same run; `dvc add` is timed
   beside it, and so is reading and hashing the members in memory alone.
2. Peak memory of the ingesting process for a quarter of the images and for all of them.
3. Validating a manifest of 100,000 rows (see `validation_rows.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = ROOT.parent / "shared/data/dsb2018/stage1_train.zip"
ROWS = 100_000


def read_and_hash(archive: Path) -> float:
    """Returns the seconds of reading each member into memory and hashing it."""
    started = time.perf_counter()
    with zipfile.ZipFile(archive) as z:
        for info in z.infolist():
            hashlib.sha256(z.read(info)).hexdigest()
    return time.perf_counter() - started


def unzip_and_hash(archive: Path, to: Path) -> tuple[float, int]:
    """Returns the seconds of unzipping into a new folder and hashing its files, and how many."""
    started = time.perf_counter()
    with zipfile.ZipFile(archive) as z:
        z.extractall(to)
    files = [path for path in to.rglob("*") if path.is_file()]
    for path in files:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()
    seconds = time.perf_counter() - started
    shutil.rmtree(to)
    return seconds, len(files)


def workspace(root: Path) -> Path:
    """Makes an empty workspace with this checkout's parameters."""
    root.mkdir()
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(ROOT / "dvc.yaml", root)
    (root / ".gitignore").write_text("/data\n/.segtrail/\n/quarantine/\n")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"],
                    ["git", "add", "."], ["git", "commit", "-qm", "Start"]):  # fmt: skip
        subprocess.run(command, cwd=root, check=True)
    return root


def ingest(root: Path, archive: Path) -> None:
    """Ingests in this process and prints seconds, those of `dvc add`, and the peak memory."""
    from components.ingest import ingest as run
    from components.ingestion import versioning
    from segtrail.workspace import Workspace

    spent = 0.0
    record = versioning.record

    def timed(*arguments: object) -> str | None:
        nonlocal spent
        started = time.perf_counter()
        commit = record(*arguments)  # type: ignore[arg-type]
        spent = time.perf_counter() - started
        return commit

    versioning.record = timed  # type: ignore[assignment]
    started = time.perf_counter()
    delivery = run(Workspace(root, root), "dsb2018", archive)
    print(
        json.dumps(
            {
                "images": delivery.images,
                "seconds": time.perf_counter() - started,
                "dvc_add": spent,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def ingest_apart(root: Path, archive: Path) -> dict[str, float]:
    """Ingests in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, __file__, "ingest", str(workspace(root)), str(archive)],
        check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def part_of(archive: Path, out: Path, every: int) -> Path:
    """Writes an archive of each `every`-th image, the largest among them, and its masks."""
    with zipfile.ZipFile(archive) as z, zipfile.ZipFile(out, "w") as to:
        images: dict[str, int] = {}
        for info in z.infolist():
            if "/images/" in info.filename:
                images[info.filename.split("/")[-3]] = info.file_size
        ranked = sorted(images, key=lambda image: (-images[image], image))
        kept = set(ranked[::every])
        for info in z.infolist():
            if not info.is_dir() and info.filename.split("/")[-3] in kept:
                to.writestr(info, z.read(info), zipfile.ZIP_DEFLATED)
    return out


def validate_rows(root: Path) -> None:
    """Makes the examples of what was ingested, and validates their manifest 100,000 rows long."""
    run = [sys.executable, "-m", "cli.main"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*run, "examples", "--recipe", "nuclei"],
        cwd=root, check=True, capture_output=True, env=environment,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/validation_rows.py"),
         "artifacts/nuclei/examples/manifest.parquet", "dsb2018"],
        cwd=root, check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            seconds = found["statistics_s"] + found["checks_and_docs_s"]
            print(
                f"  {found['rows']:,} rows, {found['what']}: {found['checks']} checks, statistics "
                f"and Data Docs in {seconds:.1f} s, {found['fail']} of them fail"
            )


def main(archive: Path = ARCHIVE) -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory(prefix="segtrail-benchmark-") as temporary:
        bench = Path(temporary)
        read_and_hash(archive)  # the archive is in the page cache for all
        in_memory = read_and_hash(archive)
        plain, files = unzip_and_hash(archive, bench / "plain")
        whole = ingest_apart(bench / "whole", archive)
        again, _ = unzip_and_hash(archive, bench / "plain")
        plain = (plain + again) / 2
        ours = whole["seconds"] - whole["dvc_add"]
        print(f"{archive.name}: {files:,} files, {whole['images']} images")
        print(f"  ingestion without dvc add      {ours:5.1f} s")
        print(f"  unzip and hash in plain Python {plain:5.1f} s   ratio {ours / plain:.2f}")
        print(f"  the same in memory, no files   {in_memory:5.1f} s   ratio {ours / in_memory:.1f}")
        print(f"  dvc add and the git commit     {whole['dvc_add']:5.1f} s")
        quarter = ingest_apart(bench / "quarter", part_of(archive, bench / "quarter.zip", 4))
        more = (whole["peak_mib"] - quarter["peak_mib"]) / (whole["images"] - quarter["images"])
        print(
            f"  peak memory {quarter['peak_mib']:.0f} MiB for {quarter['images']} images, "
            f"{whole['peak_mib']:.0f} MiB for {whole['images']}   "
            f"ratio {whole['peak_mib'] / quarter['peak_mib']:.2f}, {more * 1024:.0f} KiB an image"
        )
        validate_rows(bench / "whole")


if __name__ == "__main__":
    if sys.argv[1:2] == ["ingest"]:
        ingest(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(*(Path(argument) for argument in sys.argv[1:]))
