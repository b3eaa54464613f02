"""All that `segtrail doctor` tells, in sections."""

from __future__ import annotations

from dataclasses import dataclass

from flows.doctor import data, disk, findings, machine, models, own, platform, repository
from flows.doctor.findings import Finding, State
from flows.doctor.here import Here
from flows.doctor.machine import OfMachine, Package
from segtrail.workspace import Workspace

MACHINE, VERSIONS = "machine", "versions"
_SECTIONS = {
    "git": repository.CHECKS,
    "DVC": data.CHECKS,
    "segtrail": own.CHECKS,
    "servers": (*platform.CHECKS, *models.CHECKS),
    "disk": disk.CHECKS,
}
# What the others rest on comes first.
_IMPORTANCE = (MACHINE, "disk", "git", "segtrail", "DVC", "servers", VERSIONS)


@dataclass(frozen=True)
class Examined:
    """All that was found.

    Args:
        machine: The machine, and what training would use of it.
        packages: Those that segtrail asks for.
        sections: The findings, by section.
        next: The most important next command.
    """

    machine: OfMachine
    packages: list[Package]
    sections: dict[str, list[Finding]]
    next: str

    @property
    def broken(self) -> bool:
        return any(f.state == State.BROKEN for found in self.sections.values() for f in found)


def examine(workspace: Workspace | None, elsewhere: Finding | None = None) -> Examined:
    """Looks at everything and changes nothing.

    Args:
        workspace: Which; None: only the machine.
        elsewhere: What to say where there is no workspace.
    """
    of_machine, packages = machine.examine(workspace), machine.packages(workspace)
    sections = {MACHINE: of_machine.findings, VERSIONS: machine.compare(packages)}
    if workspace is not None:
        sections |= findings.run(_SECTIONS, Here(workspace))
    elif elsewhere is not None:
        sections["segtrail"] = [elsewhere]
    by_importance = [sections[name] for name in _IMPORTANCE if name in sections]
    return Examined(of_machine, packages, sections, findings.most_important(by_importance))
