"""`segtrail doctor`, in workspaces and with drivers made by hand."""

import json
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params.yaml", "dvc.yaml", "requirements.lock"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.chdir(tmp_path)
    for name in ("SEGTRAIL_HOME", "TF_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    return tmp_path


def test_a_machine_that_is_fine(workspace, capsys):
    assert main._run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "nothing that is needed is broken" in out
    row = next(line.split() for line in out.splitlines() if line.startswith("demo "))
    assert row == ["demo", "one-device", "CPU:0", "float32", "off"]
    assert "No usable GPU" in out


def test_json_says_the_same(workspace, capsys):
    assert main._run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["machine"]["cpus"] >= 1
    assert found["recipes"]["demo"]["precision"] == "float32"
    assert found["recipes"]["demo"]["reasons"]
    installed = {row["name"]: row["installed"] for row in found["packages"]}
    assert installed["keras"] == metadata.version("keras")
    assert "pytest" not in installed  # of the tests alone


def test_another_version_than_the_lock_is_a_note(workspace, capsys):
    lock = workspace / "requirements.lock"
    lock.write_text(lock.read_text().replace(f"keras=={metadata.version('keras')}", "keras==3.0.0"))
    assert main._run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "(lock: 3.0.0)" in out
    assert "requirements.lock" in out


def test_a_package_that_is_missing_is_broken(workspace, capsys, monkeypatch):
    find = metadata.version

    def version(name: str) -> str:
        if name == "dvc":
            raise metadata.PackageNotFoundError(name)
        return find(name)

    monkeypatch.setattr(metadata, "version", version)
    assert main._run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "BROKEN: not installed: dvc" in out
    assert "nothing that is needed is broken" not in out


def test_wrong_params_are_broken(workspace, capsys):
    (workspace / "params.yaml").write_text("recipes: 3\n")
    assert main._run(["doctor"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_a_wrong_tf_config_is_broken(workspace, capsys, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")
    assert main._run(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert "TF_CONFIG" in found["sections"]["machine"][0]["what"]


def test_outside_of_a_workspace(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    main._run(["doctor"])
    out = capsys.readouterr().out
    assert "CPU:" in out
    assert "no segtrail workspace here" in out


@pytest.mark.slow
def test_a_gpu_that_tensorflow_does_not_see(workspace, capsys, monkeypatch, tmp_path):
    """The driver's program is a script; TensorFlow is the real one, which finds no such GPU."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-a, NVIDIA A100, 81920, 8.0, 550.54.15'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    assert main._run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "GPU: NVIDIA A100, 80 GiB, compute capability 8.0; driver 550.54.15" in out
    assert "TensorFlow sees 0" in out
    assert "->" in out
    assert "one-device" in out


def test_it_does_not_import_tensorflow(workspace):
    program = (
        "import sys; from cli import main; main._run(['doctor']); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'mlflow', 'dvc')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=None)
