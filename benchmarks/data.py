"""What ingestion and validation cost, against the plainest way, in the same run.

    python benchmarks/data.py [../shared/data/dsb2018/stage1_train.zip]

1. Ingesting the archive, but for `dvc add`, against unzipping and hashing the same files in
   plain Python (the same archive read in the same run; `dvc add` is timed beside it).
2. Peak memory of the ingesting process for a quarter of the images and for all of them.
3. Validating a manifest of 100,000 rows.
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


def unzip_and_hash(archive: Path) -> tuple[float, int]:
    """Returns the seconds, and how many files, of reading and hashing each member."""
    started = time.perf_counter()
    with zipfile.ZipFile(archive) as z:
        names = [name for name in z.namelist() if not name.endswith("/")]
        for name in names:
            hashlib.sha256(z.read(name)).hexdigest()
    return time.perf_counter() - started, len(names)


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


def main(archive: Path = ARCHIVE) -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory(prefix="segtrail-benchmark-") as temporary:
        bench = Path(temporary)
        unzip_and_hash(archive)  # the archive is in the page cache for both
        plain, files = unzip_and_hash(archive)
        whole = ingest_apart(bench / "whole", archive)
        again, _ = unzip_and_hash(archive)
        plain = (plain + again) / 2
        ours = whole["seconds"] - whole["dvc_add"]
        print(f"{archive.name}: {files:,} files, {whole['images']} images")
        print(f"  unzip and hash in plain Python {plain:.1f} s")
        print(f"  ingestion without dvc add      {ours:.1f} s   ratio {ours / plain:.2f}")
        print(f"  dvc add and the git commit     {whole['dvc_add']:.1f} s")
        quarter = ingest_apart(bench / "quarter", part_of(archive, bench / "quarter.zip", 4))
        print(
            f"  peak memory {quarter['peak_mib']:.0f} MiB for {quarter['images']} images, "
            f"{whole['peak_mib']:.0f} MiB for {whole['images']}   "
            f"ratio {whole['peak_mib'] / quarter['peak_mib']:.2f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["ingest"]:
        ingest(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(*(Path(argument) for argument in sys.argv[1:]))
