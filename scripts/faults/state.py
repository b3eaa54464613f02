"""What must hold in a workspace, right after a fault and once it is mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lineage import ledger
from scripts.faults.bench import Bench
from scripts.made_workspace import RECIPE
from segtrail.saved_model import PROOF_FOLDER, digest
from serving import config


def nothing_half_done(bench: Bench) -> list[str]:
    """Returns what can be seen although it is not whole, right after a fault."""
    return [*_half(bench)]


def as_if_nothing_had_happened(bench: Bench) -> list[str]:
    """Returns in what the mended workspace differs from that of an unbroken run."""
    return [*_half(bench), *_differences(bench)]


def _half(bench: Bench) -> Iterator[str]:
    for version in bench.store.iterdir():
        if not version.name.isdigit():
            yield f"{version.name} in the model store"
        elif not (version / "saved_model.pb").is_file():
            yield f"v{version.name} without a model"
        elif not (version / PROOF_FOLDER / "provenance.json").is_file():
            yield f"v{version.name} without a proof"
    served = config.champion(bench.root / "serving" / "models.config", RECIPE)
    if served is None or not (bench.store / str(served)).is_dir():
        yield f"v{served} is to be served and is not there"
    yield from (f"the ledger: {each}" for each in ledger.verify(_ledger(bench)))


def _differences(bench: Bench) -> Iterator[str]:
    if not (bench.store / "2").is_dir():
        yield "no v2"
        return
    if digest(bench.store / "2") != bench.digest:
        yield "v2 is another model than that of an unbroken run"
    if len([*bench.store.iterdir()]) > 2:
        yield "more than two versions"
    done = bench.segtrail("audit", RECIPE, check=False)
    if done.returncode:
        yield f"audit: {done.stdout}{done.stderr}"
    if status := bench.git("status", "--porcelain"):
        yield f"not committed: {status}"
    last = ledger.read(_ledger(bench))[-1]
    if last.event != ledger.DONE or last.version != 2:
        yield f"the ledger ends with {last.event} of v{last.version}"
    left = [line for _, line in bench.processes() if not _serves(line)]
    if left:
        yield f"processes are left: {left}"


def _serves(line: list[str]) -> bool:
    """Whether this is one of the kit's own servers, of which MLflow's is two processes."""
    own = ("serve", "serving.embedded", "mlflow", "mlflow.server.fastapi_app:app", "prefect")
    return any(word in own for word in line)


def _ledger(bench: Bench) -> Path:
    return bench.root / "ledger" / f"{RECIPE}.jsonl"
