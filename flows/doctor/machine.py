"""The machine, the packages, and what each recipe's training would use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING

from flows.doctor.findings import Finding, State, ok
from model.hardware import diagnosis
from model.hardware.machine import Machine, look
from segtrail.errors import ConfigError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from model.hardware.planning import Plan

SHOWN = ("tensorflow", "keras", "tensorflow-transform", "apache-beam", "mlflow", "dvc", "prefect")
_LOW_MEMORY_GIB = 4
_INSTALL = "python -m pip install --require-hashes -r requirements.lock"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass
class OfMachine:
    """What there is to compute with.

    Args:
        machine: Its parts.
        findings: What is wrong with it, or would be for a recipe.
        plans: What the training of each recipe would use.
    """

    machine: Machine
    findings: list[Finding] = field(default_factory=list)
    plans: dict[str, Plan] = field(default_factory=dict)


@dataclass(frozen=True)
class Package:
    """A package that segtrail asks for; `locked` is its version in `requirements.lock`."""

    name: str
    installed: str | None
    locked: str | None


def examine(workspace: Workspace | None) -> OfMachine:
    """Looks at the machine; TensorFlow is asked only where the driver shows a GPU."""
    problems: list[diagnosis.Problem] = []
    try:
        machine = look()
    except ConfigError as e:
        problems.append(diagnosis.Problem(e.message, e.hint or "", broken=True))
        machine = Machine(cpus=1)
    said = ""
    if machine.gpus:
        seen, said = diagnosis.ask_tensorflow()
        machine = replace(machine, tensorflow_gpus=seen or 0)
    card, libraries = diagnosis.has_nvidia_card(), diagnosis.has_cuda_libraries()
    problems += diagnosis.gpu_problems(machine, card, libraries, said)
    if machine.memory_gib is not None and machine.memory_gib < _LOW_MEMORY_GIB:
        what = f"{machine.memory_gib:.1f} GiB of memory; training takes up to {_LOW_MEMORY_GIB}"
        problems.append(diagnosis.Problem(what, "lower training.batch_size in params.yaml"))
    states = {True: State.BROKEN, False: State.WARNING}
    found = OfMachine(
        machine, [Finding(states[p.broken], p.what, p.next or None) for p in problems]
    )
    if workspace is not None:
        _plan(workspace, found)
    return found


def packages(workspace: Workspace | None) -> list[Package]:
    """Returns installed and locked versions of what segtrail itself asks for."""
    lock = workspace.root / "requirements.lock" if workspace else None
    locked: dict[str, str] = {}
    if lock is not None and lock.is_file():
        locked = {_plain(n): v for n, v in _PINNED.findall(lock.read_text(encoding="utf-8"))}
    return [
        Package(name, _installed(name), locked.get(name)) for name in sorted(_asked_for())
    ]  # fmt: skip


def compare(found: Iterable[Package]) -> list[Finding]:
    """Returns whether the packages are there, in the locked versions."""
    rows = list(found)
    if missing := [each.name for each in rows if each.installed is None]:
        return [Finding(State.BROKEN, f"not installed: {', '.join(missing)}", _INSTALL)]
    other = [
        f"{each.name} {each.installed} (lock: {each.locked})"
        for each in rows
        if each.locked and each.installed != each.locked
    ]
    if other:
        return [Finding(State.WARNING, f"not the locked version: {', '.join(other)}", _INSTALL)]
    said = "in the versions of requirements.lock" if any(p.locked for p in rows) else "installed"
    return [ok(f"{len(rows)} packages {said}")]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _asked_for() -> set[str]:
    """Returns the packages of the base and platform installs, from segtrail's own metadata."""
    try:
        lines = metadata.requires("segtrail") or []
    except metadata.PackageNotFoundError:
        return set(SHOWN)
    wanted = [line for line in lines if "extra ==" not in line or "extra == 'platform'" in line]
    names = (_NAME.match(line.replace('"', "'")) for line in wanted)
    return {_plain(name.group()) for name in names if name}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _plan(workspace: Workspace, found: OfMachine) -> None:
    from model.hardware.planning import plan
    from segtrail.params import load_params

    try:
        recipes = load_params(workspace.params).recipes
    except ConfigError:
        return  # the section of segtrail tells it
    for name, recipe in sorted(recipes.items()):
        try:
            found.plans[name] = plan(recipe.training.hardware, found.machine)
        except ConfigError as e:
            what = f"recipes.{name}: {e.message}"
            found.findings.append(Finding(State.BROKEN, what, e.hint))
