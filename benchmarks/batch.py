"""What `segtrail batch` costs, against a plain loop over the same model, in one run.

    python benchmarks/batch.py WORKSPACE RECIPE IMAGES [--pairs 3] [--most 200] [--runner-option O]

WORKSPACE has a champion of RECIPE; IMAGES is a folder; both are only read.

The plain loop loads the SavedModel in one process, reads image by image, asks `serving_default` for
the same outputs and writes mask and labels: no tables, no digests, no resuming, no Beam. Each runs
in a process of its own, in interleaved pairs; imports and loading the model are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def ours(workspace: Path, recipe: str, images: Path, out: Path, options: list[str]) -> None:
    """Runs batch inference in this process and prints what it took."""
    import apache_beam  # noqa: F401

    from components import batch
    from components.batching import pipeline
    from segtrail.workspace import Workspace

    run = pipeline.run
    spent: list[tuple[float, float]] = []

    def counted(*given: object) -> None:  # the model is loaded by now
        spent.append((_cpu(), time.perf_counter()))
        run(*given)  # type: ignore[arg-type]

    pipeline.run = counted  # type: ignore[assignment]
    batch.batch(Workspace(workspace, workspace), recipe, images, out, runner_options=options)
    _tell(*spent[0])


def plain(workspace: Path, recipe: str, images: Path, out: Path, options: list[str]) -> None:
    """Does the same with a loop, and prints what it took."""
    from segtrail.session import SessionModel
    from serving import config

    version = config.champion(workspace / "serving" / "models.config", recipe)
    model = SessionModel(workspace / "serving" / "models" / recipe / str(version))
    outputs = set(model.signatures["serving_default"].outputs) - {"count"}
    out.mkdir(parents=True)
    before, started = _cpu(), time.perf_counter()
    for path in sorted(images.iterdir()):
        asked = {"image_bytes": [path.read_bytes()]}
        found = model.run("serving_default", asked, sorted(outputs))
        for output in outputs & {"mask_png", "labels_png"}:
            (out / f"{path.name}.{output}").write_bytes(found[output][0])
    _tell(before, started)


def _cpu() -> float:
    """Returns the processor seconds of this process and of those that it started and that ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def _tell(before: float, started: float) -> None:
    seconds, cpu = time.perf_counter() - started, _cpu() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mib": peak}))


def apart(what: str, *arguments: object) -> dict[str, float]:
    """Runs `ours` or `plain` in a process of its own; returns what it printed."""
    with tempfile.TemporaryDirectory(prefix="segtrail-benchmark-") as folder:
        workspace, recipe, images, options = arguments
        given = [str(workspace), str(recipe), str(images), f"{folder}/out", json.dumps(options)]
        done = subprocess.run(
            [sys.executable, __file__, what, *given], capture_output=True, text=True, check=False,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("recipe")
    parser.add_argument("images", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--most", type=int, default=200, help="images that are taken")
    parser.add_argument("--runner-option", action="append", default=[], help="of the batch alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="segtrail-benchmark-") as temporary:
        for path in sorted(given.images.glob("*.png"))[: given.most]:
            shutil.copy(path, temporary)
        count = len(os.listdir(temporary))
        arguments = (given.workspace.resolve(), given.recipe, temporary, given.runner_option)
        pairs = [
            (apart("ours", *arguments), apart("plain", *arguments)) for _ in range(given.pairs)
        ]
    print(f"{given.recipe}: {count} images, {given.pairs} interleaved pairs, medians")
    for key, unit in (("seconds", "s"), ("cpu", "CPU s")):
        mine, loop = (
            statistics.median(run[key] for run in runs) for runs in zip(*pairs, strict=True)
        )
        ratio = statistics.median(a[key] / b[key] for a, b in pairs)
        print(
            f"  batch {mine:6.1f} {unit} ({count / mine:.1f} images a {unit}), plain loop "
            f"{loop:6.1f} {unit} ({count / loop:.1f})   ratio {ratio:.2f}"
        )
    peaks = (max(run["peak_mib"] for run in runs) for runs in zip(*pairs, strict=True))
    print("  peak memory {:.0f} MiB, of the loop {:.0f} MiB".format(*peaks))


if __name__ == "__main__":
    modes: dict[str, Callable[..., None]] = {"ours": ours, "plain": plain}
    if sys.argv[1:2] and sys.argv[1] in modes:
        workspace, recipe, images, out, options = sys.argv[2:]
        modes[sys.argv[1]](Path(workspace), recipe, Path(images), Path(out), json.loads(options))
    else:
        main()
