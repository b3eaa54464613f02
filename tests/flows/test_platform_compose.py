"""`deploy/`: the platform in containers, as far as it shows without Docker."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import time
from importlib import resources
from pathlib import Path

import pytest
import yaml

from flows.platform import programs
from flows.platform.plan import Plan
from segtrail import telemetry
from segtrail.settings.platform import MLFLOW_VARIABLE, PREFECT_VARIABLE, Platform

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
WANTED = {
    "SEGTRAIL_HOME": "/srv/segtrail", "SEGTRAIL_UID": "1000", "SEGTRAIL_GID": "1000",
    "POSTGRES_PASSWORD": "pg-secret", "MINIO_ROOT_PASSWORD": "s3-secret",
}  # fmt: skip
ONE = re.compile(r"\$\{(\w+)(:-|:\?)([^}]*)\}")


def interpolated(text: str, given: dict[str, str]) -> str:
    """What Compose makes of `${NAME:?}` and `${NAME:-default}`."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        assert kind == ":-" or name in given, f"{name}: {rest}"
        return given.get(name, rest)

    return ONE.sub(value, text)


@pytest.fixture
def compose() -> dict:
    return yaml.safe_load(interpolated(TEXT, WANTED))


@pytest.fixture(scope="module")
def schema():
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("check_jsonschema")  # `make test` installs it
    vendor = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    found = json.loads((vendor / "compose-spec.json").read_text(encoding="utf-8"))
    return jsonschema.validators.validator_for(found)(found)


def test_it_has_the_schema_of_the_compose_specification(schema, compose):
    schema.validate(compose)
    wrong = copy.deepcopy(compose)
    wrong["services"]["prefect"]["depends_on"]["postgres"] = {"condition": "healthy", "to": 1}
    assert not schema.is_valid(wrong)


@pytest.mark.parametrize("name", WANTED)
def test_it_is_told_what_is_missing(name):
    with pytest.raises(AssertionError, match=name):
        interpolated(TEXT, {key: value for key, value in WANTED.items() if key != name})


def test_every_port_is_this_machine_s_alone(compose):
    published = [p for each in compose["services"].values() for p in each.get("ports", ())]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert compose["services"]["worker"]["network_mode"] == "service:tensorflow-serving"
    ((file, service),) = [
        each["extends"].values() for each in compose["services"].values() if "extends" in each
    ]
    other = yaml.safe_load((DEPLOY / file).read_text().replace(":?the workspace", ":-"))
    assert all(port.startswith("127.0.0.1:") for port in other["services"][service]["ports"])


def test_passwords_are_in_the_environment_of_those_that_need_them(compose):
    knows = {
        name: {s for s in ("pg-secret", "s3-secret") if s in json.dumps(each.get("environment"))}
        for name, each in compose["services"].items()
    }
    assert knows == {
        "postgres": {"pg-secret"}, "prefect": {"pg-secret"}, "mlflow": {"pg-secret", "s3-secret"},
        "minio": {"s3-secret"}, "bucket": {"s3-secret"}, "worker": set(),
        "tensorflow-serving": set(),
    }  # fmt: skip
    for each in compose["services"].values():
        rest = {key: value for key, value in each.items() if key != "environment"}
        assert "secret" not in json.dumps(rest)


def test_the_servers_are_those_of_segtrail_up(compose, monkeypatch):
    settings = {"host": "0.0.0.0", "artifacts": "s3://mlflow"}
    plan = Plan(Path("/srv/segtrail"), Platform.model_validate(settings), Path("/s"))
    services = compose["services"]
    for name in ("prefect", "mlflow"):
        assert services[name]["command"] == ["python", *programs.command(plan, name)[1:]]
    worker = programs.command(plan, "worker")
    named = worker.index("--name")
    assert services["worker"]["command"] == [
        "python", *worker[1:named], *worker[named + 2 :], "--with-healthcheck",
    ]  # fmt: skip
    assert services["prefect"]["environment"][PREFECT_VARIABLE].startswith("postgresql+asyncpg://")
    assert services["mlflow"]["environment"][MLFLOW_VARIABLE].startswith("postgresql://")
    assert set(programs.environment(plan, "worker", {})) >= {
        name for name in services["worker"]["environment"] if name.startswith(("PREFECT", "MLFLOW"))
    }


def test_what_keeps_running_is_watched_and_starts_after_what_it_needs(compose):
    services = compose["services"]
    for name, each in services.items():
        if each.get("restart") != "no" and "extends" not in each:
            assert "healthcheck" in each, name
        for needed, how in each.get("depends_on", {}).items():
            ends = services[needed].get("restart") == "no"
            once, always = "service_completed_successfully", "service_healthy"
            assert how["condition"] == (once if ends else always)
    assert set(services["worker"]["depends_on"]) == {"prefect", "mlflow"}
    for each in compose["configs"].values():
        assert "content" in each or (DEPLOY / each["file"]).is_file()


def test_the_image_says_nothing_to_anybody_and_has_the_code():
    text = (DEPLOY / "Dockerfile").read_text()
    said = dict(re.findall(r"(\w+)=(\S+)", text.partition("\nENV ")[2].partition("\nUSER")[0]))
    assert said == telemetry.OFF
    sent = set(re.findall(r"^!(\S+)", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.M))
    packages = {each.name for each in DEPLOY.parent.iterdir() if (each / "__init__.py").exists()}
    assert packages - {"tests"} < sent
    assert all((DEPLOY.parent / each).exists() for each in sent)


def test_the_model_server_waits_for_its_first_promotion(compose, tmp_path):
    entrypoint = compose["services"]["tensorflow-serving"]["entrypoint"]
    program, flag, script, config = (each.replace("$$", "$") for each in entrypoint)
    assert config == "/srv/segtrail/serving/models.config"
    stub = tmp_path / "tensorflow_model_server"
    stub.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/flags\n')
    stub.chmod(0o755)
    config, env = tmp_path / "models.config", {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [program, flag, script, str(config), "--port=8500", "--a=b c"]
    with subprocess.Popen(command, env=env) as process:
        time.sleep(0.5)
        assert process.poll() is None
        config.touch()
        assert process.wait(60) == 0
    assert (tmp_path / "flags").read_text() == "--port=8500 --a=b c\n"
