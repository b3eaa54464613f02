"""The memory of a server's process, by Linux's own account."""

from __future__ import annotations

from pathlib import Path


def peak_mb(pid: int) -> float | None:
    """Returns the most memory that a process had resident so far, in 10^6 bytes.

    None where there is no `/proc`, or no such process.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if kib is None else int(kib) * 1024 / 1e6
