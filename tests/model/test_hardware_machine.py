"""Reading a machine, on this one and from what others printed."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.hardware.diagnosis import gpu_problems, has_nvidia_card
from model.hardware.machine import (
    Cluster,
    Gpu,
    Machine,
    arithmetic_flags,
    cuda_of_tensorflow,
    look,
    parse_nvidia_smi,
)
from segtrail.errors import ConfigError

TWO = """0, GPU-aaaa-1, NVIDIA A100-SXM4-80GB, 81920, 8.0, 550.54.15
1, GPU-bbbb-2, Tesla T4, 15360, 7.5, 550.54.15
"""
A100 = Gpu("NVIDIA A100-SXM4-80GB", 80.0, (8, 0))
T4 = Gpu("Tesla T4", 15.0, (7, 5))


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        (None, (A100, T4)),
        ("0,1", (A100, T4)),
        ("1", (T4,)),
        ("1,0", (T4, A100)),
        ("GPU-bbbb", (T4,)),
        ("", ()),
        ("-1", ()),
        ("0,7,1", (A100,)),  # CUDA stops at the first that it does not know
    ],
)
def test_what_nvidia_smi_shows_and_cuda_may_use(visible, gpus):
    assert parse_nvidia_smi(TWO, visible) == (gpus, "550.54.15")


def test_what_nvidia_smi_cannot_tell_is_left_out():
    said = "0, GPU-a, Old card, [N/A], [N/A], 390.1\nNo devices were found\n"
    assert parse_nvidia_smi(said, None) == ((Gpu("Old card"),), "390.1")


@given(st.text(max_size=200), st.none() | st.text(max_size=20))
def test_no_output_of_nvidia_smi_ends_in_an_exception(said, visible):
    gpus, _ = parse_nvidia_smi(said, visible)
    assert all(isinstance(gpu, Gpu) for gpu in gpus)


def test_this_machine(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    found = look()
    assert 1 <= found.cpus <= (os.cpu_count() or 1)
    assert found.cluster is None
    assert found.tensorflow_gpus is None  # TensorFlow was not asked, nor imported
    assert found.memory_gib is None or found.memory_gib > 0


def test_flags_that_decide_how_to_compute_are_told_from_the_rest():
    said = ["fpu", "avx2", "sse4_2", "hypervisor", "avx512_bf16", "amx_bf16", "fma", "asimddp"]
    wanted = ["amx_bf16", "asimddp", "avx2", "avx512_bf16", "fma", "sse4_2"]
    assert arithmetic_flags(said) == wanted


def test_an_nvidia_smi_that_fails_or_talks_nonsense(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert look().gpus == ()  # there is none
    for script in ("exit 9", "echo NVIDIA-SMI has failed", r"printf '\377\376\n'"):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        assert look().gpus == ()
    program.write_text(f"#!/bin/sh\nprintf '{TWO}'\n")
    assert look().gpus == (A100, T4)
    assert look().driver == "550.54.15"


def test_the_build_of_tensorflow_is_read_without_importing_it():
    tensorflow = pytest.importorskip("tensorflow.python.platform.build_info")
    info = tensorflow.build_info
    assert (cuda_of_tensorflow() is not None) == bool(info["is_cuda_build"])


def config(cluster: dict[str, list[str]], kind: str = "worker", index: int = 0) -> dict[str, str]:
    task = {"type": kind, "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def test_tf_config():
    assert Cluster.read({}) is None
    assert Cluster.read({"TF_CONFIG": " "}) is None
    two = {"worker": ["a:1", "b:2"]}
    assert Cluster.read(config(two, index=1)) == Cluster(("a:1", "b:2"), 1)
    chief = {"chief": ["c:9"], "worker": ["a:1"]}
    assert Cluster.read(config(chief, "chief")) == Cluster(("c:9", "a:1"), 0)
    assert Cluster.read(config(chief, "worker")) == Cluster(("c:9", "a:1"), 1)


@pytest.mark.parametrize(
    "environment",
    [
        {"TF_CONFIG": "{"},
        {"TF_CONFIG": "[]"},
        {"TF_CONFIG": '"text"'},
        {"TF_CONFIG": '{"cluster": {}}'},
        config({"worker": ["a:1"]}, index=1),
        config({"worker": ["a:1"]}, index=-1),
        config({"worker": ["a"]}),
        config({"worker": [":1"]}),
        config({"worker": ["a:99999"]}),
        config({"worker": ["a:1"]}, "ps"),
        config({"worker": 3}),  # type: ignore[dict-item]
    ],
)
def test_a_wrong_tf_config_is_refused(environment):
    with pytest.raises(ConfigError, match=r"TF_CONFIG: .*expected JSON such as"):
        Cluster.read(environment)


SEEN = Machine(4, gpus=(A100,), driver="550.1", cuda="12.5.1", tensorflow_gpus=1)


@pytest.mark.parametrize(
    ("changes", "libraries", "what", "next_step"),
    [
        ({"cuda": None}, True, "CPU-only build", "pip install"),
        ({"driver": "470.82"}, True, "driver 470.82 is too old", "driver 525"),
        ({}, False, "CUDA 12.5.1 libraries are not installed", "pip install"),
        ({"driver": None}, True, "dlopen failed", "which library"),
    ],
)
def test_why_tensorflow_sees_no_gpu(changes, libraries, what, next_step):
    machine = replace(SEEN, tensorflow_gpus=0, **changes)
    (found,) = gpu_problems(machine, True, libraries, "dlopen failed")
    assert what in found.what
    assert next_step in found.next
    assert not found.broken  # a CPU trains too


def test_nothing_to_say_where_the_gpu_is_seen_or_there_is_none(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu_problems(SEEN, True, True) == []
    assert gpu_problems(Machine(4), card=False, cuda_libraries=False) == []
    (found,) = gpu_problems(Machine(4), card=True, cuda_libraries=False)
    assert "driver does not answer" in found.what
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # somebody hid it
    assert gpu_problems(Machine(4), card=True, cuda_libraries=False) == []


def test_a_card_without_a_driver_is_found_on_the_bus(tmp_path: Path):
    for name, vendor, kind in (("0", "0x8086", "0x030000"), ("1", "0x10de", "0x040300")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    assert not has_nvidia_card(tmp_path)  # another maker's, and the sound of an NVIDIA card
    (tmp_path / "1/class").write_text("0x030200\n")
    assert has_nvidia_card(tmp_path)
    assert not has_nvidia_card(tmp_path / "none")
