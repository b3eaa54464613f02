"""`segtrail status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segtrail.artifacts import SPLITS
from segtrail.errors import DataError
from segtrail.workspace import Workspace

ASK_S = 1.0
DAMAGED = "damaged"
_SHORT = {"ap_50": "AP50", "mean_dice": "Dice"}


def status() -> None:
    """Show datasets, results, champions and servers.

    Reads only; checks params.yaml on the way.

    \b
    Example:
      segtrail status
    """
    from segtrail.params import load_params

    workspace = Workspace.find()
    params = load_params(workspace.params)
    print(f"{workspace.params}: {len(params.datasets)} datasets, {len(params.recipes)} recipes, ok")
    print(f"data version (data.dvc): {_data_version(workspace)}\n")
    print_table(
        ("dataset", "images", "train", "validation", "test", "deliveries"),
        [_dataset(workspace.dataset(name), name) for name in sorted(params.datasets)],
    )
    print()
    print_table(
        ("recipe", "examples", "trained", "test", "gate", "infra", "champion", "server"),
        [_recipe(workspace, name, params.recipes[name].serving.target)
         for name in sorted(params.recipes)],
    )  # fmt: skip


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _data_version(workspace: Workspace) -> str:
    import yaml

    path = workspace.root / "data.dvc"
    if not path.exists():
        return "none yet; start with: segtrail ingest --help"
    try:
        return str(yaml.safe_load(path.read_text())["outs"][0]["md5"])[:12]
    except (yaml.YAMLError, ValueError, LookupError, TypeError):
        return DAMAGED


def _dataset(folder: Path, name: str) -> tuple[str, ...]:
    from segtrail import deliveries, split_ledger

    try:
        rows = split_ledger.present(split_ledger.read(folder / split_ledger.LEDGER).values())
        splits = Counter(row.split for row in rows)
        counts = [str(splits[split]) for split in SPLITS]
        brought = len(deliveries.read(folder / deliveries.DELIVERIES))
    except DataError:
        return (name, *[DAMAGED] * 5)
    return (name, str(splits.total()), *counts, str(brought))


def _recipe(workspace: Workspace, name: str, target: str) -> tuple[str, ...]:
    from segtrail.artifacts import iter_results
    from serving import config

    results: dict[str, Any] = dict(iter_results(workspace, name))
    version = config.champion(workspace.models_config, name)
    return (
        name,
        _cell(results, "validate", lambda found: "valid" if found["passed"] else "NOT VALID"),
        _cell(results, "train", lambda found: f"{found['steps']} steps"),
        _cell(results, "evaluate", _metrics),
        _cell(results, "gate", lambda found: str(found["verdict"])),
        _cell(
            results,
            "infra-validate",
            lambda found: "serves" if found["passed"] else "DOES NOT SERVE",
        ),
        "-" if version is None else f"v{version}",
        _server(name, target),
    )


def _cell(results: dict[str, Any], stage: str, words: Callable[[Any], str]) -> str:
    """Returns a stage's result in words; a full disk or a hand may have left anything."""
    if stage not in results:
        return "-"
    try:
        return words(results[stage])
    except (LookupError, TypeError, ValueError):
        return DAMAGED


def _metrics(result: Any) -> str:
    every = result["slices"]["all"]
    other = "ap_50" if "ap_50" in every else "mean_dice"
    return f"IoU {every['mean_iou']:.3f} {_SHORT[other]} {every[other]:.3f}"


def _server(recipe: str, target: str) -> str:
    """Returns what a server at `target` says it serves, or that there is none."""
    from segtrail.errors import ServingError
    from serving.client import Client

    try:
        with Client(target, timeout=ASK_S) as client:
            states = client.status(recipe)
    except ServingError as e:
        return f"{target}: model not served" if "not served" in e.message else f"{target}: none"
    serves = [f"v{version}" for version, state in sorted(states.items()) if state == "AVAILABLE"]
    return f"{target}: {', '.join(serves) or 'loading'}"
