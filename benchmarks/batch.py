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
import operator
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder has names of packages
from benchmarks.pairs import Clock, Taken, apart, print_ratios  # noqa: E402


def ours(workspace: Path, recipe: str, images: Path, out: Path, options: list[str]) -> None:
    """Runs batch inference in this process and prints what it took."""
    import apache_beam  # noqa: F401

    from components import batch
    from components.batching import pipeline
    from segtrail.workspace import Workspace

    run = pipeline.run
    clocks: list[Clock] = []

    def counted(*given: object) -> None:  # the model is loaded by now
        clocks.append(Clock())
        run(*given)  # type: ignore[arg-type]

    pipeline.run = counted  # type: ignore[assignment]
    batch.batch(Workspace(workspace, workspace), recipe, images, out, runner_options=options)
    clocks[0].tell()


def plain(workspace: Path, recipe: str, images: Path, out: Path, options: list[str]) -> None:
    """Does the same with a loop, and prints what it took."""
    from segtrail.session import SessionModel
    from serving import config

    version = config.champion(workspace / "serving" / "models.config", recipe)
    model = SessionModel(workspace / "serving" / "models" / recipe / str(version))
    outputs = set(model.signatures["serving_default"].outputs) - {"count"}
    out.mkdir(parents=True)
    clock = Clock()
    for path in sorted(images.iterdir()):
        asked = {"image_bytes": [path.read_bytes()]}
        found = model.run("serving_default", asked, sorted(outputs))
        for output in outputs & {"mask_png", "labels_png"}:
            (out / f"{path.name}.{output}").write_bytes(found[output][0])
    clock.tell()


def one(what: str, workspace: Path, recipe: str, images: str, options: list[str]) -> Taken:
    """Runs `ours` or `plain` in a process of its own; returns what it took."""
    with tempfile.TemporaryDirectory(prefix="segtrail-benchmark-") as folder:
        out = f"{folder}/out"
        return apart(__file__, what, workspace, recipe, images, out, json.dumps(options))


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
        asked = (given.workspace.resolve(), given.recipe, temporary)
        pairs = [
            (one("ours", *asked, given.runner_option), one("plain", *asked, []))
            for _ in range(given.pairs)
        ]
    print(f"{given.recipe}: {count} images, {given.pairs} interleaved pairs, medians")
    print_ratios("batch", pairs, count, operator.truediv)


if __name__ == "__main__":
    modes: dict[str, Callable[..., None]] = {"ours": ours, "plain": plain}
    if sys.argv[1:2] and sys.argv[1] in modes:
        workspace, recipe, images, out, options = sys.argv[2:]
        modes[sys.argv[1]](Path(workspace), recipe, Path(images), Path(out), json.loads(options))
    else:
        main()
