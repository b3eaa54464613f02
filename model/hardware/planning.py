"""Chooses strategy, precision and compiler from what a machine has."""

from __future__ import annotations

from dataclasses import dataclass

from model.hardware.machine import Cluster, Gpu, Machine
from segtrail.errors import ConfigError
from segtrail.settings.hardware import Hardware

ONE_DEVICE, MIRRORED, MULTI_WORKER = "one-device", "mirrored", "multi-worker"
FLOAT32, BFLOAT16, FLOAT16 = "float32", "mixed_bfloat16", "mixed_float16"
BFLOAT16_FROM, FLOAT16_FROM = (8, 0), (7, 0)  # Ampere and Volta: their tensor cores
_SECTION = "training.hardware"


@dataclass(frozen=True)
class Plan:
    """What training uses.

    Args:
        strategy: `one-device`, `mirrored` or `multi-worker`.
        devices: Of this process, in TensorFlow's words: `GPU:0`, or `CPU:0`.
        precision: A Keras dtype policy.
        jit_compile: Whether XLA compiles the training step.
        reasons: Why, in plain sentences.
        cluster: The workers, for `multi-worker`.
    """

    strategy: str
    devices: tuple[str, ...]
    precision: str
    jit_compile: bool
    reasons: tuple[str, ...]
    cluster: Cluster | None = None

    @property
    def workers(self) -> int:
        return len(self.cluster.workers) if self.cluster else 1

    @property
    def replicas(self) -> int:
        """Copies of the network that train together, if the workers are alike."""
        return self.workers * len(self.devices)

    @property
    def chief(self) -> bool:
        """Whether this process writes checkpoints, records and the SavedModel."""
        return self.cluster is None or self.cluster.index == 0

    @property
    def summary(self) -> str:
        """One line, such as `one-device (GPU:0), mixed_bfloat16, XLA on`."""
        where = ", ".join(self.devices) + (f" of {self.workers} workers" if self.cluster else "")
        return f"{self.strategy} ({where}), {self.precision}, XLA {_on(self.jit_compile)}"


def plan(options: Hardware, machine: Machine) -> Plan:
    """Returns what to train with. The same arguments give the same plan.

    Raises:
        ConfigError: The options ask for what the machine does not have.
    """
    gpus = machine.usable_gpus
    reasons = list(_about_gpus(machine))
    strategy, why = _strategy(options, machine)
    reasons.append(why)
    devices = tuple(f"GPU:{number}" for number in range(len(gpus))) or ("CPU:0",)
    if strategy == ONE_DEVICE:
        devices = devices[:1]
    precision, why = _precision(options, gpus[: len(devices)], machine)
    reasons.append(why)
    jit_compile, why = _xla(options, strategy, bool(gpus))
    reasons.append(why)
    cluster = machine.cluster if strategy == MULTI_WORKER else None
    return Plan(strategy, devices, precision, jit_compile, tuple(reasons), cluster)


def _about_gpus(machine: Machine) -> list[str]:
    if not machine.gpus or machine.usable_gpus:
        return []
    shown = f"The driver shows {_named(machine.gpus)}"
    if machine.cuda is None:
        return [f"{shown}, but this TensorFlow is a CPU-only build."]
    return [f"{shown}, but TensorFlow sees none."]


def _strategy(options: Hardware, machine: Machine) -> tuple[str, str]:
    gpus, cluster = machine.usable_gpus, machine.cluster
    several = cluster is not None and len(cluster.workers) > 1
    has = _named(gpus) if gpus else "no GPU that TensorFlow can use"
    if options.strategy == MULTI_WORKER and not several:
        raise ConfigError(
            f"{_SECTION}.strategy is {MULTI_WORKER}, which needs TF_CONFIG to name two workers "
            f"or more; it {'names one' if cluster else 'is not set'}",
            f"set TF_CONFIG as docs/hardware.md shows, or {_SECTION}.strategy: auto",
        )
    if options.strategy == MIRRORED and len(gpus) < 2:
        raise ConfigError(
            f"{_SECTION}.strategy is {MIRRORED}, which needs two GPUs or more; this machine "
            f"has {has}",
            f"set {_SECTION}.strategy: auto in params.yaml; segtrail doctor tells more",
        )
    if options.strategy == MULTI_WORKER or (options.strategy == "auto" and several):
        assert cluster is not None
        return MULTI_WORKER, (
            f"TF_CONFIG names {len(cluster.workers)} workers, of which this is number "
            f"{cluster.index}: each step's gradients are summed over all."
        )
    ignored = " TF_CONFIG is ignored." if several else ""
    if options.strategy == MIRRORED or (options.strategy == "auto" and len(gpus) > 1):
        return MIRRORED, f"{_named(gpus)}: each takes its share of every batch.{ignored}"
    if options.strategy == ONE_DEVICE:
        return ONE_DEVICE, f"The recipe asks for one device.{ignored}"
    return ONE_DEVICE, (
        f"One GPU: {_named(gpus)}." if gpus else f"No usable GPU: {machine.cpus} CPU cores."
    )


def _precision(options: Hardware, gpus: tuple[Gpu, ...], machine: Machine) -> tuple[str, str]:
    asked = options.precision
    known = [gpu.capability for gpu in gpus if gpu.capability is not None]
    lowest = min(known) if gpus and len(known) == len(gpus) else None
    said = f"compute capability {lowest[0]}.{lowest[1]}" if lowest else "of unknown capability"
    native = machine.cpu_flags & {"avx512_bf16", "amx_bf16"}
    if asked != "auto":
        slow = ""
        if not gpus and asked != FLOAT32 and not (native and asked == BFLOAT16):
            slow = " It is emulated on this CPU: expect a third of float32's speed."
        elif asked == BFLOAT16 and gpus and (lowest is None or lowest < BFLOAT16_FROM):
            slow = f" The GPU ({said}) has no bfloat16 tensor cores (from 8.0): it may be slow."
        elif asked == FLOAT16 and gpus and (lowest is None or lowest < FLOAT16_FROM):
            slow = f" The GPU ({said}) has no tensor cores (from 7.0): it may be slow."
        return asked, f"The recipe asks for {asked}.{slow}"
    if not gpus:
        more = (
            f" This one has {' and '.join(sorted(native))}: {BFLOAT16} may be worth a try."
            if native
            else ""
        )
        return FLOAT32, f"float32: on a CPU mixed precision was measured 3 times as slow.{more}"
    if lowest is None:
        return FLOAT32, "float32: a GPU's compute capability is not known."
    if lowest >= BFLOAT16_FROM:
        return BFLOAT16, f"mixed_bfloat16: {said} has bfloat16 tensor cores (from 8.0)."
    if lowest >= FLOAT16_FROM:
        return FLOAT16, (
            f"mixed_float16: {said} has float16 tensor cores (from 7.0) but no bfloat16; "
            "Keras scales the loss."
        )
    return FLOAT32, f"float32: {said} has no tensor cores (from 7.0)."


def _xla(options: Hardware, strategy: str, gpu: bool) -> tuple[bool, str]:
    if options.xla == "on" and strategy != ONE_DEVICE:
        raise ConfigError(
            f"{_SECTION}.xla is on, which needs one device; the strategy is {strategy}",
            f"set {_SECTION}.xla: auto, or {_SECTION}.strategy: {ONE_DEVICE}, in params.yaml",
        )
    if options.xla != "auto":
        slow = "" if gpu or options.xla == "off" else " On a CPU it was measured 1.5 times as slow."
        return options.xla == "on", f"The recipe asks for XLA {options.xla}.{slow}"
    if not gpu:
        return False, "XLA off: on a CPU it was measured 1.5 times as slow."
    if strategy != ONE_DEVICE:
        return False, "XLA off: the sum of the gradients over devices is not compiled."
    return True, "XLA on: one GPU and crops of one size."


def _named(gpus: tuple[Gpu, ...]) -> str:
    names = sorted({gpu.name for gpu in gpus})
    return f"{len(gpus)} GPU{'s' * (len(gpus) > 1)} ({', '.join(names)})"


def _on(value: bool) -> str:
    return "on" if value else "off"
