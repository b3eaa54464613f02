"""What a machine has that training could use."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrail.errors import ConfigError

TF_CONFIG = "TF_CONFIG"
_QUERY = "index,uuid,name,memory.total,compute_cap,driver_version"
_ASK_S = 10.0
_ARITHMETIC = ("amx", "asimd", "avx", "bf16", "fma", "i8mm", "sse", "sve")


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU: name, memory in GiB, CUDA compute capability such as `(8, 0)`."""

    name: str
    memory_gib: float | None = None
    capability: tuple[int, int] | None = None


@dataclass(frozen=True)
class Cluster:
    """The workers of a multi-worker training, as `TF_CONFIG` names them.

    Args:
        workers: `host:port` of each, the chief first.
        index: Which of them this process is.
    """

    workers: tuple[str, ...]
    index: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Cluster | None:
        """Returns the cluster that `TF_CONFIG` describes, or None where it is not set.

        Raises:
            ConfigError: It is not what TensorFlow expects.
        """
        text = environment.get(TF_CONFIG, "").strip()
        if not text:
            return None
        try:
            given = json.loads(text)
            jobs, task = given["cluster"], given["task"]
            workers = tuple(str(w) for w in [*jobs.get("chief", []), *jobs.get("worker", [])])
            index = int(task["index"]) + (
                len(jobs.get("chief", [])) if task["type"] == "worker" else 0
            )
            hosts_and_ports = [(w.rpartition(":")[0], int(w.rpartition(":")[2])) for w in workers]
            if not (0 <= index < len(workers) and task["type"] in ("chief", "worker")):
                raise ValueError(f"the task {task} is not one of the {len(workers)} workers")
            if not all(host and 0 < port < 65536 for host, port in hosts_and_ports):
                raise ValueError("a worker is not host:port")
        except (ValueError, LookupError, TypeError, AttributeError) as e:
            raise ConfigError(
                f"{TF_CONFIG}: {e}; expected JSON such as "
                '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", '
                '"index": 0}}',
                "see docs/hardware.md; to train on this machine alone: unset TF_CONFIG",
            ) from None
        return cls(workers, index)


@dataclass(frozen=True)
class Machine:
    """A machine as the planning sees it.

    Args:
        cpus: Cores that this process may use.
        cpu: The processor's name.
        cpu_flags: Its features, in the kernel's words: `avx512_bf16`, `amx_bf16`.
        memory_gib: Main memory.
        gpus: What the driver shows, or, once TensorFlow was asked, what TensorFlow sees.
        driver: The NVIDIA driver's version.
        cuda: The CUDA version for which TensorFlow was built; None: a CPU-only build.
        tensorflow_gpus: How many GPUs TensorFlow sees; None: it was not asked.
        cluster: The workers that `TF_CONFIG` names.
    """

    cpus: int
    cpu: str = ""
    cpu_flags: frozenset[str] = frozenset()
    memory_gib: float | None = None
    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    tensorflow_gpus: int | None = None
    cluster: Cluster | None = None

    @property
    def usable_gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that training can have."""
        if self.cuda is None or self.tensorflow_gpus == 0:
            return ()
        return self.gpus if self.tensorflow_gpus is None else self.gpus[: self.tensorflow_gpus]


def look(tensorflow: bool = False) -> Machine:
    """Returns this machine. What cannot be found out is left out.

    Args:
        tensorflow: Whether to ask TensorFlow which GPUs it sees, which imports it (seconds).

    Raises:
        ConfigError: `TF_CONFIG` is set and wrong.
    """
    gpus, driver = _gpus()
    seen = None
    if tensorflow:
        gpus, seen = _seen_by_tensorflow(gpus)
    name, flags = processor()
    return Machine(
        cpus=_cpus(), cpu=name, cpu_flags=flags, memory_gib=_memory_gib(), gpus=gpus,
        driver=driver, cuda=cuda_of_tensorflow(), tensorflow_gpus=seen,
        cluster=Cluster.read(os.environ),
    )  # fmt: skip


def cuda_of_tensorflow() -> str | None:
    """Returns the CUDA version for which the installed TensorFlow was built.

    Read from the wheel's own file, without the seconds that importing TensorFlow takes.
    """
    found = importlib.util.find_spec("tensorflow")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "python/platform/build_info.py"
    try:
        spec = importlib.util.spec_from_file_location("segtrail_tensorflow_build", path)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        info = module.build_info
        return str(info.get("cuda_version") or "unknown") if info["is_cuda_build"] else None
    except (OSError, ImportError, AttributeError, LookupError, SyntaxError):
        return None


def _gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Returns the GPUs that the NVIDIA driver shows and `CUDA_VISIBLE_DEVICES` allows."""
    try:
        said = subprocess.run(
            ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=_ASK_S, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return (), None
    return parse_nvidia_smi(said, os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_nvidia_smi(said: str, visible: str | None) -> tuple[tuple[Gpu, ...], str | None]:
    """Returns the GPUs and the driver's version from `nvidia-smi`'s table.

    Args:
        said: CSV rows of index, UUID, name, memory in MiB, compute capability, driver version.
        visible: `CUDA_VISIBLE_DEVICES`: indices or UUIDs, of which CUDA takes those before the
            first that it does not know; None: all.
    """
    found: dict[str, Gpu] = {}
    by_uuid: dict[str, str] = {}
    driver = None
    for row in csv.reader(said.splitlines(), skipinitialspace=True):
        if len(row) != 6:
            continue
        index, uuid, name, memory, capability, driver = (cell.strip() for cell in row)
        found[index] = Gpu(name, _gib(memory), _capability(capability))
        by_uuid[uuid] = index
    if visible is None:
        return tuple(found.values()), driver
    allowed = []
    for word in visible.split(","):
        word = word.strip()
        matches = [index for uuid, index in by_uuid.items() if word and uuid.startswith(word)]
        if word in found:
            allowed.append(found[word])
        elif len(matches) == 1:
            allowed.append(found[matches[0]])
        else:
            break
    return tuple(allowed), driver


def _seen_by_tensorflow(shown: tuple[Gpu, ...]) -> tuple[tuple[Gpu, ...], int]:
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    memory = {gpu.name: gpu.memory_gib for gpu in shown}
    gpus = []
    for device in devices:
        details = tf.config.experimental.get_device_details(device)
        name = str(details.get("device_name", device.name))
        gpus.append(Gpu(name, memory.get(name), details.get("compute_capability")))
    return tuple(gpus) or shown, len(gpus)


def _gib(mebibytes: str) -> float | None:
    try:
        return round(float(mebibytes) / 1024, 1)
    except ValueError:
        return None


def _capability(text: str) -> tuple[int, int] | None:
    try:
        major, minor = text.split(".")
        return int(major), int(minor)
    except ValueError:
        return None


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux
        return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def arithmetic_flags(flags: Iterable[str]) -> list[str]:
    """Returns those of a processor's flags by which libraries choose how to compute, sorted."""
    return sorted(flag for flag in flags if flag.startswith(_ARITHMETIC))


def processor() -> tuple[str, frozenset[str]]:
    """Returns the processor's name and flags, as Linux tells them."""
    name, flags = "", frozenset[str]()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
            for line in f:
                key, _, value = line.partition(":")
                if key.strip() == "model name" and not name:
                    name = value.strip()
                elif key.strip() in ("flags", "Features") and not flags:
                    flags = frozenset(value.split())
    except OSError:
        pass
    return name, flags
