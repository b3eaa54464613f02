"""`segtrail status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.platform import print_servers
from cli.serve import warn_of_other_stores
from segtrail.artifacts import SPLITS
from segtrail.errors import EXIT_USAGE, ConfigError, DataError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from segtrail.recipe import Params, Recipe
    from segtrail.settings.dataset import Dataset

ASK_S = 1.0
DAMAGED = "damaged"
ALL = "all"
_SHORT = {"ap_50": "AP50", "mean_dice": "Dice"}


def status(
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", "-d", metavar="NAME", help="Show the slices and splits of one dataset."
        ),
    ] = None,
) -> None:
    """Show datasets, results, champions and servers.

    Reads only; checks params.yaml on the way.

    \b
    Examples:
      segtrail status
      segtrail status --dataset wbc
    """
    from segtrail.params import load_dataset, load_params

    workspace = Workspace.find()
    if dataset:
        _slices(workspace.dataset(dataset), load_dataset(workspace, dataset))
        return
    params = load_params(workspace.params)
    wrong = _wrong_datasets(params)
    said = f"{len(params.datasets)} datasets, {len(params.recipes)} recipes"
    print(f"{workspace.params}: {said}, {'NOT ok' if wrong else 'ok'}")
    for line in wrong:
        print(f"  {line}")
    print(f"data version (data.dvc): {_data_version(workspace)}\n")
    print_table(
        ("dataset", "images", "train", "validation", "test", "deliveries"),
        [_dataset(workspace.dataset(name), name) for name in sorted(params.datasets)],
    )
    if unknown := _unknown_datasets(workspace, params):
        print(f"data/ also has, though params.yaml does not name them: {', '.join(unknown)}")
    print()
    print_table(
        ("recipe", "examples", "trained", "test", "gate", "infra", "champion", "server"),
        [_recipe(workspace, name, recipe) for name, recipe in sorted(params.recipes.items())],
    )
    print()
    print_servers(workspace)
    warn_of_other_stores(workspace)
    if wrong:
        raise typer.Exit(EXIT_USAGE)


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


def _slices(folder: Path, settings: Dataset) -> None:
    """Prints how many images of each slice are in each split."""
    from segtrail import split_ledger

    rows = split_ledger.present(split_ledger.read(folder / split_ledger.LEDGER).values())
    if not rows:
        print(f"no image yet; segtrail ingest SOURCE --dataset {folder.name}")
        return
    counts = Counter((settings.slices.get(row.slice, row.slice), row.split) for row in rows)
    every = Counter(row.split for row in rows)
    print_table(
        ("slice", "images", *SPLITS),
        [
            (name, str(sum(found)), *(str(n) for n in found))
            for name in sorted({name for name, _ in counts})
            for found in [[counts[name, split] for split in SPLITS]]
        ]
        + [(ALL, str(len(rows)), *(str(every[split]) for split in SPLITS))],
    )
    print(f"\ngroups of images that stay in one split: {len({row.group for row in rows})}")


def _wrong_datasets(params: Params) -> list[str]:
    """Returns a line for each dataset whose adapter cannot be had."""
    from components.ingestion.adapter import adapter_for

    wrong = []
    for name, settings in sorted(params.datasets.items()):
        try:
            adapter_for(settings)
        except ConfigError as e:
            wrong.append(f"datasets.{name}: {e.message}")
    return wrong


def _unknown_datasets(workspace: Workspace, params: Params) -> list[str]:
    from segtrail.split_ledger import LEDGER

    found = (path.parent.name for path in workspace.data.glob(f"*/{LEDGER}"))
    return sorted(set(found) - set(params.datasets))


def _recipe(workspace: Workspace, name: str, recipe: Recipe) -> tuple[str, ...]:
    from segtrail.artifacts import iter_results
    from segtrail.params import dump
    from serving import config

    results: dict[str, Any] = dict(iter_results(workspace, name))
    gate = dump(recipe.gate)
    version = config.champion(workspace.models_config, name)
    canary = config.canary(workspace.models_config, name)
    return (
        name,
        _cell(results, "validate", lambda found: "valid" if found["passed"] else "NOT VALID")
        + (", stale" if _stale(workspace, name, recipe) else ""),
        _cell(results, "train", lambda found: f"{found.get('steps_done', found['steps'])} steps"),
        _cell(results, "evaluate", _metrics) + (", stale" if _other_model(results) else ""),
        _cell(results, "gate", _verdict)
        + (", stale" if _of_before(results, "gate", "gate", gate) else ""),
        _cell(results, "infra-validate", _served)
        + (", stale" if _of_before(results, "infra-validate", "limits", gate["limits"]) else ""),
        ("-" if version is None else f"v{version}") + (f", canary v{canary}" if canary else ""),
        _server(name, recipe, workspace.home),
    )


def _verdict(found: Mapping[str, Any]) -> str:
    return str(found["verdict"]) + (", FORCED" if found.get("forced") else "")


def _served(found: Mapping[str, Any]) -> str:
    from lineage.verdicts import PASS

    if not found["passed"]:
        return f"DOES NOT SERVE: {found['reason']}" if found.get("reason") else "DOES NOT SERVE"
    verdict = found.get("verdict", PASS)
    if verdict == PASS:
        return "serves"
    of = ", ".join(failure["reason"] for failure in found.get("failures", []))
    return f"serves, limits: {verdict}" + (f" ({of})" if of else "")


def _of_before(results: dict[str, Any], stage: str, key: str, now: Any) -> bool:
    """Whether a result is of another model than the last training's, or of other settings."""
    try:
        found = results[stage]
        other = found["model_digest"] != results["train"]["model_digest"]
        return bool(other or found.get(key, now) != now)
    except (LookupError, TypeError, AttributeError):
        return False


def _stale(workspace: Workspace, name: str, recipe: Recipe) -> bool:
    """Whether images came, went or changed since the examples were made."""
    from segtrail.artifacts import Examples
    from segtrail.files import read_json, sha256_file
    from segtrail.split_ledger import LEDGER

    try:
        made_from = read_json(Examples.of(workspace, name).data_version)["split_ledger_sha256"]
        return bool(made_from != sha256_file(workspace.dataset(recipe.dataset) / LEDGER))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _other_model(results: dict[str, Any]) -> bool:
    """Whether the evaluation is of another model than the last training's."""
    try:
        evaluated = results["evaluate"]["model_digest"]
        return bool(evaluated != results["train"]["model_digest"])
    except (LookupError, TypeError):
        return False


def _cell(results: dict[str, Any], stage: str, words: Callable[[Any], str]) -> str:
    """Returns a stage's result in words; a full disk or a hand may have left anything."""
    if stage not in results:
        return "-"
    try:
        return words(results[stage])
    except (LookupError, TypeError, ValueError, AttributeError):
        return DAMAGED


def _metrics(result: Any) -> str:
    every = result["slices"]["all"]
    other = "ap_50" if "ap_50" in every else "mean_dice"
    return f"IoU {every['mean_iou']:.3f} {_SHORT[other]} {every[other]:.3f}"


def _server(name: str, recipe: Recipe, home: Path) -> str:
    """Returns what the recipe's server says it serves, or that there is none."""
    from segtrail.errors import ServingError
    from serving.endpoint import Endpoint
    from serving.failures import TlsError

    target = recipe.serving.target
    try:
        endpoint = Endpoint.of(recipe.serving, name, home)
    except ServingError as e:
        return f"{target}: {e.message}"
    try:
        with endpoint.client(ASK_S) as client:
            states = client.status(name)
    except TlsError as e:
        return f"{target}: {e.found}"
    except ServingError as e:
        return f"{target}: model not served" if "not served" in e.message else f"{target}: none"
    serves = [f"v{version}" for version, state in sorted(states.items()) if state == "AVAILABLE"]
    return f"{target}: {', '.join(serves) or 'loading'}"
