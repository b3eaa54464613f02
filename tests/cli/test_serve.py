"""`segtrail serve` says where the server listens; it becomes that server."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from cli import main
from serving import config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def becomes(monkeypatch, tmp_path) -> list[list[str]]:
    """The commands that this process would have become."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execvpe", lambda file, args, env: commands.append(args))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "models.config").write_text("")
    monkeypatch.chdir(tmp_path)
    return commands


def tf_serving(folder: Path) -> Path:
    binary = folder / "tensorflow_model_server"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    return binary


def test_tensorflow_serving_listens_on_all_addresses(becomes, tmp_path, capsys):
    binary = tf_serving(tmp_path / "bin")
    assert main._run(["serve", "--port", "9000", "--config", "models.config"]) == 0
    assert becomes[0][:2] == [str(binary), "--port=9000"]
    out, err = capsys.readouterr()
    assert f"({binary}) on port 9000 of all addresses, following" in out
    assert "127.0.0.1" not in out
    assert "requests are not authenticated" in err


def test_the_stand_in_listens_on_this_machine_only(becomes, capsys):
    assert main._run(["serve", "--port", "9000", "--config", "models.config"]) == 0
    assert becomes[0][:4] == [sys.executable, "-m", "serving.embedded", "--port=9000"]
    out, err = capsys.readouterr()
    assert "(stand-in) on 127.0.0.1:9000, following" in out
    assert err == ""


def test_flags_of_tf_serving_are_handed_on(becomes):
    given = [
        "serve",
        "--config",
        "models.config",
        "--",
        "--enable_batching",
        "--max_image_pixels=9",
    ]
    assert main._run(given) == 0
    assert becomes[0][-2:] == ["--enable_batching", "--max_image_pixels=9"]


@pytest.mark.parametrize("real", [True, False])
def test_port_0_is_a_free_port_by_its_number(becomes, tmp_path, capsys, real):
    if real:
        tf_serving(tmp_path / "bin")
    assert main._run(["serve", "--port", "0", "--config", "models.config"]) == 0
    (flag,) = (arg for arg in becomes[0] if arg.startswith("--port="))
    port = int(flag.removeprefix("--port="))
    assert 1024 <= port <= 65_535
    assert str(port) in capsys.readouterr().out


def test_nothing_promoted_yet(becomes, capsys):
    assert main._run(["serve", "--config", "nowhere.config"]) == 1
    assert "no model has been promoted yet" in capsys.readouterr().err
    assert becomes == []


@pytest.mark.parametrize(
    ("tls", "flags", "says"),
    [
        ({}, ["--ssl_config_file=ssl.config"], None),
        ({}, ["--enable_batching"], "has tls, and this server speaks none"),
        (None, ["--ssl_config_file=ssl.config"], "has no tls, and this server speaks it"),
        (None, [], None),
    ],
)
def test_recipes_and_a_server_that_would_not_understand_each_other(
    becomes, tmp_path, capsys, tls, flags, says
):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, recipe in params["recipes"].items():
        here = name == "demo"
        recipe["serving"] |= {"target": f"127.0.0.1:{9000 + here}", "tls": tls if here else None}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving/models.config").write_text("")
    assert main._run(["serve", "--port", "9001", "--", *flags]) == 0
    err = capsys.readouterr().err
    assert becomes
    assert err == "" if says is None else f"serving of demo in params.yaml: {says}" in err


def workspace_at(folder: Path, target: str) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["recipes"] = {"demo": params["recipes"]["demo"]}
    params["recipes"]["demo"]["serving"] |= {"target": target}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "dvc.yaml").write_text("stages: {}")


@pytest.mark.parametrize(
    ("port", "warns"), [("28500", False), ("28777", True)], ids=["its own", "another"]
)
def test_a_port_that_no_recipe_asks_at(becomes, tmp_path, monkeypatch, capsys, port, warns):
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    workspace_at(tmp_path, "127.0.0.1:28500")
    config.set_champion(
        tmp_path / "serving/models.config", "demo", tmp_path.resolve() / "serving/models/demo", 1
    )
    assert main._run(["serve", "--port", port]) == 0
    err = capsys.readouterr().err
    assert becomes
    assert ("no recipe's serving.target in params.yaml has port 28777 (demo 28500)" in err) == warns
    assert "outside of this" not in err


@pytest.mark.parametrize("command", [["serve", "--port", "28500"], ["status"]])
def test_a_model_outside_of_the_store(becomes, tmp_path, monkeypatch, capsys, command):
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    workspace_at(tmp_path, "127.0.0.1:28500")
    for name in ("demo", "demo-canary"):
        config.set_champion(tmp_path / "serving/models.config", name, Path("/old/models/demo"), 1)
    assert main._run(command) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "models.config serves demo from /old/models/demo, outside of this workspace" in line
    assert line.endswith("segtrail promote --recipe demo --recover")
