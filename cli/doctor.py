"""`segtrail doctor`."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.status import print_table
from segtrail.errors import EXIT_ERROR, ConfigError, WorkspaceError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from model.hardware.diagnosis import Problem
    from model.hardware.machine import Machine
    from model.hardware.planning import Plan

LOW_DISK_GIB, NO_DISK_GIB, LOW_MEMORY_GIB = 10, 1, 4
INSTALL = "python -m pip install --require-hashes -r requirements.lock"
_SHOWN = ("tensorflow", "keras", "tensorflow-transform", "apache-beam", "mlflow", "dvc", "prefect")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass
class Findings:
    """All that `doctor` tells."""

    machine: Machine
    disk_free_gib: float | None = None
    packages: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    plans: dict[str, Plan] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        return any(problem.broken for problem in self.problems)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show what this machine has and what training would use.

    Reads only. TensorFlow is asked for its GPUs only where the driver shows one.

    Exits 1 when something that is needed is broken.

    \b
    Examples:
      segtrail doctor
      segtrail doctor --json
    """
    found = _examine()
    if as_json:
        _print_json(found)
    else:
        _print(found)
    if found.broken:
        raise typer.Exit(EXIT_ERROR)


def _examine() -> Findings:
    from model.hardware.diagnosis import (
        Problem,
        ask_tensorflow,
        gpu_problems,
        has_cuda_libraries,
        has_nvidia_card,
    )
    from model.hardware.machine import Machine, look

    problems = []
    try:
        machine = look()
    except ConfigError as e:
        problems.append(Problem(e.message, e.hint or "", broken=True))
        machine = Machine(cpus=1)
    said = ""
    if machine.gpus:
        seen, said = ask_tensorflow()
        machine = replace(machine, tensorflow_gpus=seen or 0)
    problems += gpu_problems(machine, has_nvidia_card(), has_cuda_libraries(), said)
    if machine.memory_gib is not None and machine.memory_gib < LOW_MEMORY_GIB:
        what = f"{machine.memory_gib:.1f} GiB of memory; training takes up to {LOW_MEMORY_GIB}"
        problems.append(Problem(what, "lower training.batch_size in params.yaml"))
    found = Findings(machine, problems=problems)
    try:
        workspace = Workspace.find()
    except WorkspaceError as e:
        problems.append(Problem(e.message, e.hint or ""))
        found.packages, more = _packages(None)
        problems += more
        return found
    found.disk_free_gib = shutil.disk_usage(workspace.root).free / 2**30
    if found.disk_free_gib < LOW_DISK_GIB:
        what = f"{found.disk_free_gib:.1f} GiB free on the disk of {workspace.root}"
        short = found.disk_free_gib < NO_DISK_GIB
        problems.append(Problem(what, "free some: dvc gc --workspace", broken=short))
    found.packages, more = _packages(workspace.root / "requirements.lock")
    problems += more
    _plan(workspace, found)
    return found


def _packages(
    lock: Path | None,
) -> tuple[list[tuple[str, str | None, str | None]], list[Problem]]:
    """Returns name, installed and locked version of what segtrail itself asks for."""
    from model.hardware.diagnosis import Problem

    locked: dict[str, str] = {}
    if lock is not None and lock.is_file():
        locked = {_plain(n): v for n, v in _PINNED.findall(lock.read_text(encoding="utf-8"))}
    rows: list[tuple[str, str | None, str | None]] = []
    for name in sorted(_asked_for()):
        try:
            installed: str | None = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = None
        rows.append((name, installed, locked.get(name)))
    problems = []
    if missing := [name for name, installed, _ in rows if installed is None]:
        problems.append(Problem(f"not installed: {', '.join(missing)}", INSTALL, broken=True))
    other = [f"{n} {i} (lock: {want})" for n, i, want in rows if i and want and i != want]
    if other:
        problems.append(Problem(f"not the locked version: {', '.join(other)}", INSTALL))
    return rows, problems


def _asked_for() -> set[str]:
    """Returns the packages of the base and platform installs, from segtrail's own metadata."""
    try:
        lines = metadata.requires("segtrail") or []
    except metadata.PackageNotFoundError:
        return set(_SHOWN)
    wanted = [line for line in lines if "extra ==" not in line or "extra == 'platform'" in line]
    names = (_NAME.match(line.replace('"', "'")) for line in wanted)
    return {_plain(name.group()) for name in names if name}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _plan(workspace: Workspace, found: Findings) -> None:
    from model.hardware.diagnosis import Problem
    from model.hardware.planning import plan
    from segtrail.params import load_params

    try:
        params = load_params(workspace.params)
    except ConfigError as e:
        found.problems.append(Problem(e.message, e.hint or "correct it", broken=True))
        return
    for name, recipe in sorted(params.recipes.items()):
        try:
            options = recipe.training.hardware
            found.plans[name] = plan(options, found.machine)
        except ConfigError as e:
            found.problems.append(Problem(f"recipes.{name}: {e.message}", e.hint or "", True))


def _print(found: Findings) -> None:
    machine = found.machine
    memory = f", {machine.memory_gib:.1f} GiB of memory" if machine.memory_gib else ""
    print(f"CPU: {machine.cpu or 'unknown'}, {machine.cpus} cores{memory}")
    if found.disk_free_gib is not None:
        print(f"disk of the workspace: {found.disk_free_gib:.1f} GiB free")
    for gpu in machine.gpus:
        has = [f"{gpu.memory_gib:.0f} GiB"] if gpu.memory_gib else []
        has += ["compute capability {}.{}".format(*gpu.capability)] if gpu.capability else []
        print(f"GPU: {', '.join([gpu.name, *has])}; driver {machine.driver}")
    if not machine.gpus:
        print("GPU: none")
    build = f"built for CUDA {machine.cuda}" if machine.cuda else "a CPU-only build, or missing"
    seen = "" if machine.tensorflow_gpus is None else f"; sees {machine.tensorflow_gpus} GPU(s)"
    print(f"TensorFlow: {build}{seen}")
    if machine.cluster:
        number, workers = machine.cluster.index, machine.cluster.workers
        print(f"TF_CONFIG: worker {number} of {', '.join(workers)}")
    shown = [f"{n} {i or 'MISSING'}" for n, i, _ in found.packages if n in _SHOWN]
    print(f"packages: {len(found.packages)} looked at; {', '.join(shown)}")
    if found.plans:
        print()
        print_table(
            ("recipe", "strategy", "devices", "precision", "XLA"),
            [
                (
                    name,
                    p.strategy,
                    ", ".join(p.devices),
                    p.precision,
                    "on" if p.jit_compile else "off",
                )
                for name, p in found.plans.items()
            ],
        )
        reasons: dict[str, list[str]] = {}
        for name, chosen in found.plans.items():
            for reason in chosen.reasons:
                reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            whose = "" if len(names) == len(found.plans) else f" ({', '.join(names)})"
            print(f"  {reason}{whose}")
    print()
    for problem in found.problems:
        print(f"{'BROKEN' if problem.broken else 'note'}: {problem.what}")
        if problem.next:
            print(f"  -> {problem.next}")
    if not found.broken:
        print("nothing that is needed is broken")


def _print_json(found: Findings) -> None:
    import json

    from model.hardware.machine import arithmetic_flags

    machine: dict[str, Any] = asdict(found.machine)
    machine["cpu_flags"] = arithmetic_flags(found.machine.cpu_flags)
    print(
        json.dumps(
            {
                "ok": not found.broken,
                "machine": machine,
                "disk_free_gib": found.disk_free_gib,
                "packages": [
                    {"name": name, "installed": installed, "locked": locked}
                    for name, installed, locked in found.packages
                ],
                "recipes": {name: asdict(chosen) for name, chosen in found.plans.items()},
                "problems": [asdict(problem) for problem in found.problems],
            },
            indent=2,
        )
    )
