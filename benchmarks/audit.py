"""What an audit costs beside hashing the same files, and whether a quick one is quick.

    python benchmarks/audit.py WORKSPACE RECIPE [--pairs 5]

Runs, one after another and several times: `segtrail audit RECIPE`, the same with `--quick`, and a
program that does nothing but read the same data files from the cache and compute MD5 and SHA-256
of each. CPU seconds are those of the process and its children, start included.

The workspace has a promoted version of RECIPE, see README. Nothing in it is changed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HASH = """
import hashlib, sys
for path in sys.stdin.read().splitlines():
    with open(path, "rb") as f:
        content = f.read()
    hashlib.md5(content).hexdigest()
    hashlib.sha256(content).hexdigest()
"""


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds of one process."""

    cpu: float
    wall: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("recipe")
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    files = data_files(given.workspace, given.recipe)
    size = sum(Path(path).stat().st_size for path in files) / 1e6
    audit = [sys.executable, "-m", "cli.main", "audit", given.recipe]
    commands = {
        "audit": (audit, ""),
        "audit --quick": ([*audit, "--quick"], ""),
        "hashing alone": ([sys.executable, "-c", HASH], "\n".join(files)),
        "an empty program": ([sys.executable, "-c", ""], ""),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(given.pairs + 1):  # the first warms up
        for name, (command, stdin) in commands.items():
            cost = run(command, given.workspace, stdin)
            if number:
                costs[name].append(cost)
    cpu = {name: statistics.median(c.cpu for c in each) for name, each in costs.items()}
    wall = {name: statistics.median(c.wall for c in each) for name, each in costs.items()}
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; ", end="")
    print(f"{len(files)} files, {size:.0f} MB; medians of {given.pairs}")
    for name in commands:
        print(f"{name:>17}  CPU {cpu[name]:6.2f} s  wall {wall[name]:6.2f} s")
    hashing = cpu["hashing alone"] - cpu["an empty program"]
    whole = cpu["audit"] / cpu["hashing alone"]
    print(f"the whole audit to hashing alone, starts included: {whole:.2f}")
    part = (cpu["audit"] - cpu["audit --quick"]) / hashing
    print(f"what --quick leaves out, to hashing alone, starts left out: {part:.2f}")


def data_files(workspace: Path, recipe: str) -> list[str]:
    """Returns the paths of the data files that an audit of the champion re-hashes."""
    sys.path.insert(0, str(ROOT))
    from lineage import dvc_files
    from lineage.evidence import Evidence
    from segtrail.workspace import Workspace
    from serving import config

    found = Workspace(workspace.resolve(), workspace.resolve())
    version = config.champion(found.models_config, recipe)
    if version is None:
        sys.exit(f"nothing of {recipe} is promoted in {workspace}")
    evidence = Evidence(found, recipe, version)
    return [str(dvc_files.object_path(evidence.cache, md5)) for md5 in evidence.tree.values()]


def run(command: list[str], folder: Path, stdin: str) -> Cost:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    before, began = os.times(), time.monotonic()
    done = subprocess.run(
        command, cwd=folder, input=stdin, text=True, env=env, check=False, capture_output=True
    )
    wall, after = time.monotonic() - began, os.times()
    if done.returncode not in (0, 6):  # 6: a quick audit
        sys.exit(done.stdout + done.stderr)
    cpu = after.children_user + after.children_system
    return Cost(cpu - before.children_user - before.children_system, wall)


if __name__ == "__main__":
    main()
