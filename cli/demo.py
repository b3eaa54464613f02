"""`segtrail demo`: the commands of a first look, run one after the other."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from segtrail.artifacts import TEST
from segtrail.workspace import Workspace

RECIPE, DATASET, IMAGES = "demo", "synthetic", 3


def demo(
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="Also with code that is not committed.")
    ] = False,
) -> None:
    """The whole way on made-up images, in a few minutes.

    Delivers the images, trains, judges, promotes, starts a server, asks it and audits what
    answered. Run it again: what is done is not done again.

    \b
    Example:
      segtrail demo
    """
    from serving.launch import running_server

    workspace = Workspace.find()
    asked = workspace.artifacts(RECIPE) / "asked"
    times: list[tuple[str, float]] = []
    with _timed("deliver", times):
        _segtrail(workspace, "ingest", DATASET, "--dataset", DATASET)
    with _timed("train, judge, promote", times):
        dirty = ["--allow-dirty"] if allow_dirty else []
        _segtrail(workspace, "retrain", "--recipe", RECIPE, *dirty)
    started = time.monotonic()
    print("\n(starting a model server on a free port)", flush=True)
    log = workspace.scratch / "demo-server.log"
    with running_server(RECIPE, log=log, config=workspace.models_config) as server:
        times.append(("start a server", time.monotonic() - started))
        where = ("--target", server.target)
        with _timed("ask", times):
            images = [str(path.relative_to(workspace.root)) for path in _test_images(workspace)]
            out = str(asked.relative_to(workspace.root))
            _segtrail(workspace, "predict", *images, "--recipe", RECIPE, *where, "--out", out)
        with _timed("audit", times):
            _segtrail(workspace, "audit", RECIPE, *where)
    _print_end(workspace, asked, times)


def _segtrail(workspace: Workspace, *arguments: str) -> None:
    """Shows and runs one command; ends the demo with its exit code if it fails."""
    print(f"\n$ segtrail {' '.join(arguments)}", flush=True)
    code = subprocess.call([sys.executable, "-m", "cli.main", *arguments], cwd=workspace.root)
    if code:
        raise typer.Exit(code)


@contextmanager
def _timed(what: str, times: list[tuple[str, float]]) -> Iterator[None]:
    started = time.monotonic()
    yield
    times.append((what, time.monotonic() - started))


def _test_images(workspace: Workspace) -> list[Path]:
    """Returns test images, of as many different slices as there are."""
    from segtrail import split_ledger

    folder = workspace.dataset(DATASET)
    ledger = split_ledger.read(folder / split_ledger.LEDGER)
    rows = [row for row in split_ledger.present(ledger.values()) if row.split == TEST]
    firsts = {row.slice: row.image for row in reversed(rows)}
    rest = [row.image for row in rows if row.image not in firsts.values()]
    chosen = [*firsts.values(), *rest][:IMAGES]
    return [folder / "images" / f"{image}.png" for image in chosen]


def _print_end(workspace: Workspace, asked: Path, times: list[tuple[str, float]]) -> None:
    artifacts = workspace.artifacts(RECIPE)

    def short(path: Path) -> str:
        return str(path.relative_to(workspace.root))

    places = {
        f"{short(asked)}/*.overlay.png": "what the server answered",
        f"{short(artifacts)}/evaluation/worst.png": "the worst test images, with the truth",
        f"{short(artifacts)}/validation/data_docs/index.html": "what is expected of the data",
        "segtrail up": "the flow's runs and the training runs, as pages",
        "segtrail status": "where everything stands",
    }
    width = max(map(len, places))
    print("\nLook at:")
    for place, what in places.items():
        print(f"  {place:<{width}}  {what}")
    total = sum(seconds for _, seconds in times)
    parts = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in times)
    print(f"\n{total:.0f} s: {parts}")
