"""Says why training would not get the GPU that a machine has, and what to do about it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from model.hardware.machine import Machine

DRIVER_FROM = 525  # the oldest that runs CUDA 12
CUDNN_PACKAGE = "nvidia-cudnn-cu12"  # of tensorflow[and-cuda]
INSTALL_CUDA = "pip install 'segtrail[gpu]'"
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_ASK_S = 120.0
_COUNT = "import tensorflow as tf; print('gpus', len(tf.config.list_physical_devices('GPU')))"


@dataclass(frozen=True)
class Problem:
    """Something that a person should know.

    Args:
        what: What is wrong, in one sentence.
        next: What to do, usually a command.
        broken: Whether something that is needed does not work.
    """

    what: str
    next: str
    broken: bool = False


def gpu_problems(
    machine: Machine, card: bool, cuda_libraries: bool, said: str = ""
) -> list[Problem]:
    """Returns why TensorFlow does not see the machine's GPUs; nothing if it does, or has none.

    Args:
        machine: What was found, with TensorFlow asked if the driver shows a GPU.
        card: Whether an NVIDIA card is plugged in.
        cuda_libraries: Whether the pip packages of `tensorflow[and-cuda]` are installed.
        said: TensorFlow's own words.
    """
    if not machine.gpus:
        if card and os.environ.get("CUDA_VISIBLE_DEVICES") is None:
            return [
                Problem(
                    "an NVIDIA card is plugged in, but its driver does not answer (nvidia-smi)",
                    f"install NVIDIA's driver, {DRIVER_FROM} or newer, then run: nvidia-smi",
                )
            ]
        return []
    if machine.tensorflow_gpus is None or machine.tensorflow_gpus >= len(machine.gpus):
        return []
    sees = f"the driver shows {len(machine.gpus)} GPU(s), TensorFlow sees {machine.tensorflow_gpus}"
    if machine.cuda is None:
        return [Problem(f"{sees}: it is a CPU-only build", INSTALL_CUDA)]
    if _major(machine.driver) is not None and _major(machine.driver) < DRIVER_FROM:  # type: ignore[operator]
        return [
            Problem(
                f"{sees}: the driver {machine.driver} is too old for CUDA {machine.cuda}",
                f"install NVIDIA's driver {DRIVER_FROM} or newer",
            )
        ]
    if not cuda_libraries:
        return [
            Problem(f"{sees}: the CUDA {machine.cuda} libraries are not installed", INSTALL_CUDA)
        ]
    return [
        Problem(
            f"{sees}{': ' + said if said else ''}",
            "python -c \"import tensorflow as tf; tf.config.list_physical_devices('GPU')\" tells "
            "which library it misses",
        )
    ]


def ask_tensorflow() -> tuple[int | None, str]:
    """Returns how many GPUs TensorFlow sees, in a process of its own, and its last words.

    None where it does not answer in time or cannot be imported; the words then say so.
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "1"}
    environment.pop("TF_CONFIG", None)  # a worker's process would wait for the others
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _COUNT], capture_output=True, text=True, timeout=_ASK_S,
            env=environment, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as e:
        return None, f"TensorFlow did not answer: {type(e).__name__}"
    told = [line for line in answer.stderr.splitlines() if line.strip()]
    last = told[-1].strip()[-300:] if told else ""
    counts = [line.split()[1] for line in answer.stdout.splitlines() if line.startswith("gpus ")]
    return (int(counts[-1]), last) if counts else (None, last)


def has_nvidia_card(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Returns whether the PCI bus has an NVIDIA graphics card, with or without a driver."""
    for device in devices.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            return True
    return False


def has_cuda_libraries() -> bool:
    """Returns whether the CUDA libraries that pip installs are there."""
    try:
        metadata.version(CUDNN_PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def _major(version: str | None) -> int | None:
    head = (version or "").partition(".")[0]
    return int(head) if head.isdigit() else None
