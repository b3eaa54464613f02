"""What training uses on which machine."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.hardware.machine import Cluster, Gpu, Machine
from model.hardware.planning import plan
from segtrail.errors import ConfigError
from segtrail.settings.hardware import Hardware

LAPTOP = Machine(cpus=8, cuda="12.5.1")
V100, A100, H100 = (
    Gpu("V100", 16.0, (7, 0)),
    Gpu("A100", 80.0, (8, 0)),
    Gpu("H100", 80.0, (9, 0)),
)
P100 = Gpu("P100", 16.0, (6, 0))
PAIR = Cluster(("a:1", "b:1"), 1)


def has(*gpus: Gpu, seen: int | None = None, cluster: Cluster | None = None) -> Machine:
    return replace(LAPTOP, gpus=gpus, tensorflow_gpus=seen, cluster=cluster)


@pytest.mark.parametrize(
    ("machine", "strategy", "devices", "precision", "xla"),
    [
        (LAPTOP, "one-device", ("CPU:0",), "float32", False),
        (replace(LAPTOP, cpu_flags=frozenset({"amx_bf16"})), "one-device", ("CPU:0",), "float32",
         False),
        (has(A100), "one-device", ("GPU:0",), "mixed_bfloat16", True),
        (has(V100), "one-device", ("GPU:0",), "mixed_float16", True),
        (has(P100), "one-device", ("GPU:0",), "float32", True),
        (has(Gpu("unknown")), "one-device", ("GPU:0",), "float32", True),
        (has(A100, H100), "mirrored", ("GPU:0", "GPU:1"), "mixed_bfloat16", False),
        (has(A100, V100), "mirrored", ("GPU:0", "GPU:1"), "mixed_float16", False),
        (has(A100, P100), "mirrored", ("GPU:0", "GPU:1"), "float32", False),
        (has(A100, A100, seen=1), "one-device", ("GPU:0",), "mixed_bfloat16", True),
        (has(A100, seen=0), "one-device", ("CPU:0",), "float32", False),
        (replace(has(A100), cuda=None), "one-device", ("CPU:0",), "float32", False),
        (has(cluster=PAIR), "multi-worker", ("CPU:0",), "float32", False),
        (has(A100, A100, cluster=PAIR), "multi-worker", ("GPU:0", "GPU:1"), "mixed_bfloat16",
         False),
        (has(A100, cluster=Cluster(("a:1",), 0)), "one-device", ("GPU:0",), "mixed_bfloat16",
         True),
    ],
)  # fmt: skip
def test_auto(machine, strategy, devices, precision, xla):
    found = plan(Hardware(), machine)
    assert (found.strategy, found.devices) == (strategy, devices)
    assert (found.precision, found.jit_compile) == (precision, xla)


def test_who_writes_and_how_many_share_a_batch():
    found = plan(Hardware(), has(A100, A100, cluster=PAIR))
    assert (found.workers, found.replicas, found.chief) == (2, 4, False)
    assert plan(Hardware(), has(cluster=replace(PAIR, index=0))).chief
    assert plan(Hardware(), LAPTOP).chief
    assert found.summary == "multi-worker (GPU:0, GPU:1 of 2 workers), mixed_bfloat16, XLA off"


def test_one_device_of_several_and_tf_config_left_alone():
    found = plan(Hardware(strategy="one-device"), has(A100, A100, cluster=PAIR))
    assert (found.devices, found.replicas, found.cluster) == (("GPU:0",), 1, None)
    assert "TF_CONFIG is ignored" in " ".join(found.reasons)


def test_gpus_that_are_not_used_do_not_decide_the_precision():
    old = Gpu("GTX 1080", 8.0, (6, 1))
    assert plan(Hardware(strategy="one-device"), has(A100, old)).precision == "mixed_bfloat16"
    assert plan(Hardware(), has(A100, old)).precision == "float32"


@pytest.mark.parametrize(
    ("options", "machine", "says"),
    [
        ({"strategy": "mirrored"}, has(A100), r"two GPUs or more; .* 1 GPU \(A100\)"),
        ({"strategy": "mirrored"}, LAPTOP, "no GPU that TensorFlow can use"),
        ({"strategy": "multi-worker"}, LAPTOP, "TF_CONFIG to name two workers .* is not set"),
        ({"strategy": "multi-worker"}, has(cluster=Cluster(("a:1",), 0)), "it names one"),
        ({"xla": "on"}, has(A100, A100), "needs one device; the strategy is mirrored"),
    ],
)
def test_what_cannot_be_had_is_refused(options, machine, says):
    with pytest.raises(ConfigError, match=says) as raised:
        plan(Hardware(**options), machine)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("precision", "machine", "warns"),
    [
        ("mixed_bfloat16", LAPTOP, "emulated on this CPU"),
        ("mixed_float16", replace(LAPTOP, cpu_flags=frozenset({"amx_bf16"})), "emulated"),
        ("mixed_bfloat16", replace(LAPTOP, cpu_flags=frozenset({"avx512_bf16"})), ""),
        ("mixed_bfloat16", has(V100), "no bfloat16 tensor cores"),
        ("mixed_float16", has(P100), "no tensor cores"),
        ("mixed_float16", has(A100), ""),
        ("float32", has(A100), ""),
    ],
)
def test_what_the_recipe_asks_for_is_used_with_a_warning(precision, machine, warns):
    found = plan(Hardware(precision=precision, xla="off"), machine)
    said = " ".join(found.reasons)
    assert found.precision == precision
    assert not found.jit_compile
    assert warns in said
    assert ("slow" in said or "emulated" in said) == bool(warns)


def test_why_a_gpu_is_not_used():
    assert "CPU-only build" in plan(Hardware(), replace(has(A100), cuda=None)).reasons[0]
    assert "TensorFlow sees none" in plan(Hardware(), has(A100, seen=0)).reasons[0]


@given(
    st.builds(
        Hardware,
        strategy=st.sampled_from(["auto", "one-device", "mirrored", "multi-worker"]),
        precision=st.sampled_from(["auto", "float32", "mixed_bfloat16", "mixed_float16"]),
        xla=st.sampled_from(["auto", "on", "off"]),
    ),
    st.lists(st.sampled_from([V100, A100, H100, P100, Gpu("unknown")]), max_size=4),
    st.sampled_from([None, 0, 1, 2]),
    st.sampled_from([None, "12.5.1"]),
    st.sampled_from([None, PAIR, Cluster(("a:1",), 0)]),
)
def test_a_plan_uses_only_what_is_there_or_is_refused(options, gpus, seen, cuda, cluster):
    machine = Machine(4, gpus=tuple(gpus), tensorflow_gpus=seen, cuda=cuda, cluster=cluster)
    try:
        found = plan(options, machine)
    except ConfigError:
        assert options.strategy in ("mirrored", "multi-worker") or options.xla == "on"
        return
    assert found == plan(options, machine)
    assert options.strategy in ("auto", found.strategy)
    assert options.precision in ("auto", found.precision)
    used = [device for device in found.devices if device.startswith("GPU")]
    assert len(used) <= len(machine.usable_gpus)
    assert bool(used) == bool(machine.usable_gpus)
    assert not (found.jit_compile and found.replicas > 1)
    if not used and options.precision == "auto":
        assert found.precision == "float32"
    assert all(reason.endswith((".", "speed.", "slow.")) for reason in found.reasons)
