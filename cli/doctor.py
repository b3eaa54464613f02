"""`segtrail doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.status import print_table
from segtrail.errors import EXIT_ERROR, WorkspaceError
from segtrail.workspace import Workspace

if TYPE_CHECKING:
    from flows.doctor.examine import Examined
    from flows.doctor.machine import OfMachine


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show what works here, what does not, and what to do next.

    The machine and what training would use of it, the packages, git, DVC, segtrail's own state,
    the servers and the disks. Reads only, and asks servers for seconds at most. TensorFlow is
    asked for its GPUs only where the driver shows one.

    Exits 1 when something that is needed is broken. What is not set up is not broken.

    \b
    Examples:
      segtrail doctor
      segtrail doctor --json
    """
    from flows.doctor.examine import examine
    from flows.doctor.findings import Finding, State

    try:
        found = examine(Workspace.find())
    except WorkspaceError as e:
        found = examine(None, Finding(State.NOT_SET_UP, e.message, e.hint))
    if as_json:
        _print_json(found)
    else:
        _print(found)
    if found.broken:
        raise typer.Exit(EXIT_ERROR)


def _print(found: Examined) -> None:
    from flows.doctor.examine import MACHINE, VERSIONS
    from flows.doctor.findings import State
    from flows.doctor.machine import SHOWN

    for name, findings in found.sections.items():
        print(name)
        if name == MACHINE:
            _print_machine(found.machine)
        if name == VERSIONS:
            shown = [f"{p.name} {p.installed or 'MISSING'}" for p in found.packages
                     if p.name in SHOWN]  # fmt: skip
            print(f"  python {_python()}, segtrail {_version()}, {', '.join(shown)}")
        for each in findings:
            state = "BROKEN" if each.state == State.BROKEN else each.state
            print(f"  {state}: {each.what}")
            if each.next:
                print(f"    -> {each.next}")
        print()
    if not found.broken:
        print("nothing that is needed is broken")
    print(f"Next: {found.next}")


def _print_machine(of: OfMachine) -> None:
    machine = of.machine
    memory = f", {machine.memory_gib:.1f} GiB of memory" if machine.memory_gib else ""
    print(f"  CPU: {machine.cpu or 'unknown'}, {machine.cpus} cores{memory}")
    for gpu in machine.gpus:
        has = [f"{gpu.memory_gib:.0f} GiB"] if gpu.memory_gib else []
        has += ["compute capability {}.{}".format(*gpu.capability)] if gpu.capability else []
        print(f"  GPU: {', '.join([gpu.name, *has])}; driver {machine.driver}")
    if not machine.gpus:
        print("  GPU: none")
    build = f"built for CUDA {machine.cuda}" if machine.cuda else "a CPU-only build, or missing"
    seen = "" if machine.tensorflow_gpus is None else f"; sees {machine.tensorflow_gpus} GPU(s)"
    print(f"  TensorFlow: {build}{seen}")
    if machine.cluster:
        number, workers = machine.cluster.index, machine.cluster.workers
        print(f"  TF_CONFIG: worker {number} of {', '.join(workers)}")
    if not of.plans:
        return
    print()
    print_table(
        ("recipe", "strategy", "devices", "precision", "XLA"),
        [
            (name, p.strategy, ", ".join(p.devices), p.precision, "on" if p.jit_compile else "off")
            for name, p in of.plans.items()
        ],
    )
    reasons: dict[str, list[str]] = {}
    for name, chosen in of.plans.items():
        for reason in chosen.reasons:
            reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        whose = "" if len(names) == len(of.plans) else f" ({', '.join(names)})"
        print(f"  {reason}{whose}")


def _print_json(found: Examined) -> None:
    import json

    from model.hardware.machine import arithmetic_flags

    machine: dict[str, Any] = asdict(found.machine.machine)
    machine["cpu_flags"] = arithmetic_flags(found.machine.machine.cpu_flags)
    said = {
        "ok": not found.broken,
        "python": _python(),
        "segtrail": _version(),
        "machine": machine,
        "packages": [asdict(package) for package in found.packages],
        "recipes": {name: asdict(chosen) for name, chosen in found.machine.plans.items()},
        "sections": {
            name: [asdict(finding) for finding in findings]
            for name, findings in found.sections.items()
        },
        "next": found.next,
    }
    print(json.dumps(said, indent=2))


def _python() -> str:
    import platform

    return platform.python_version()


def _version() -> str:
    from segtrail import __version__

    return __version__
