"""Which server a command asks, and how it trusts it: what `--target` takes from params.yaml."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from certificates import Authority

from cli import main
from cli.options import endpoint_of, quieten_tensorflow
from model.hardware import machine
from segtrail import telemetry
from segtrail.errors import ConfigError, WorkspaceError
from serving.endpoint import Endpoint
from serving.tls import Tls

ROOT = Path(__file__).parents[2]
RECIPE, TARGET = "demo", "127.0.0.1:8501"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Writes params.yaml of a workspace, the working directory, and returns its path."""
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)

    def write(target: str = TARGET, tls: dict[str, str] | None = None, **more: str) -> Path:
        found = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        found["recipes"][RECIPE]["serving"] = {"target": target, "tls": tls} | more
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(found), encoding="utf-8")
        return tmp_path / "params.yaml"

    return write


def meant(target: str | None, recipe: str = RECIPE, ca: Path | None = None) -> Endpoint:
    return endpoint_of(recipe, target, ca, None, None, None)


def test_a_target_is_never_asked_in_clear_for_a_params_yaml_that_is_broken(params, capsys) -> None:
    params(tls={})
    assert meant(TARGET) == (TARGET, Tls())
    path = params(tls={}, unknown="1")
    assert main._run(["predict", "no.png", "--recipe", RECIPE, "--target", TARGET]) == 2
    said = capsys.readouterr().err
    assert "recipes.demo.serving.unknown" in said
    assert f"which may say that --target {TARGET} is asked over TLS" in said
    assert "--tls-ca FILE" in said
    path.write_text("recipes: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        meant(TARGET)


def test_options_need_no_params_yaml(params, tmp_path) -> None:
    params(tls={}, unknown="1")
    (tmp_path / "ca").write_bytes(pem := Authority().pem)
    assert meant(TARGET, ca=tmp_path / "ca") == (TARGET, Tls(pem))


def test_without_a_workspace_or_a_recipe_of_that_name_a_target_is_asked_in_clear(
    params, tmp_path, monkeypatch
) -> None:
    params(tls={})
    assert meant(TARGET, "other") == (TARGET, None)
    with pytest.raises(ConfigError, match="no recipe 'other'"):
        meant(None, "other")
    (tmp_path / "params.yaml").unlink()
    assert meant(TARGET) == (TARGET, None)
    with pytest.raises(WorkspaceError):
        meant(None)


@pytest.mark.parametrize(
    ("ours", "given"),
    [
        ("127.0.0.1:8501", "localhost:8501"),
        ("localhost:8501", "127.0.0.1:8501"),
        ("localhost:8501", "[::1]:8501"),
        ("localhost:8501", "dns:///LOCALHOST:8501"),
        ("gpu-1.example:8501", "GPU-1.example.:8501"),
        ("127.0.0.1:8501", "ipv4:127.0.0.1:08501"),
    ],
)
def test_another_spelling_of_the_recipes_server_is_trusted_as_it_is(params, ours, given) -> None:
    params(ours, {})
    assert meant(given) == (given, Tls(name=ours.rpartition(":")[0]))
    params(ours, {"name": "models.example"})
    assert meant(given) == (given, Tls(name="models.example"))
    params(ours)
    assert meant(given) == (given, None)


@pytest.mark.parametrize("other", ["127.0.0.1:8502", "gpu-1:8501", "unix:/run/models.sock"])
def test_another_server_is_not(params, other) -> None:
    params(tls={})
    assert meant(other) == (other, None)


@pytest.mark.parametrize(
    ("set_before", "gpus", "level"), [({}, 0, "3"), ({}, 1, "2"), ({LOG_LEVEL: "0"}, 0, "0")]
)
def test_tensorflow_is_heard_about_gpus_only_where_there_are_some(
    monkeypatch, set_before, gpus, level
) -> None:
    monkeypatch.setattr(os, "environ", set_before.copy())
    seen = machine.Machine(2, gpus=(machine.Gpu("NVIDIA A100"),) * gpus)
    monkeypatch.setattr(machine, "look", lambda: seen)
    telemetry.switch_off()
    quieten_tensorflow()
    assert os.environ[LOG_LEVEL] == level
