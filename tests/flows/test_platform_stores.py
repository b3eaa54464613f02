"""`segtrail up` on PostgreSQL and an S3 store, both real and on loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import remote_servers

from flows.platform import remains

RUN = """
import sys
from mlflow import MlflowClient
client = MlflowClient()
run = client.create_run(client.create_experiment("demo"))
client.log_text(run.info.run_id, "a picture", "samples.txt")
print(run.info.artifact_uri)
"""
HAS = """
import sys
import boto3
store = boto3.client("s3", endpoint_url=sys.argv[1])
print([each["Key"] for each in store.list_objects_v2(Bucket="models")["Contents"]])
"""
MAKE = "import boto3, sys; boto3.resource('s3', endpoint_url=sys.argv[1]).Bucket('models').create("
MAKE += "CreateBucketConfiguration={'LocationConstraint': 'eu-central-1'})"


@pytest.mark.slow
def test_postgresql_and_s3_with_passwords_in_the_environment_alone(places, tmp_path):
    def python(script: str, *arguments: str, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], env={**place.env, **more},
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    with (
        remote_servers.running_postgres(["prefect", "mlflow"]) as postgres,
        remote_servers.running_s3(tmp_path) as s3,
    ):
        settings = {"artifacts": "s3://models/mlflow", "mlflow_database": "RUNS"}
        place = places(tmp_path / "ws", **settings)
        python(MAKE, s3)
        done = place.segtrail("up")
        assert done.returncode == 2
        assert "the environment variable RUNS is not set" in done.stderr

        said = place.up(
            PREFECT_API_DATABASE_CONNECTION_URL=f"postgresql+asyncpg://{postgres}/prefect",
            RUNS=f"postgresql://{postgres}/mlflow",
            MLFLOW_S3_ENDPOINT_URL=s3,
        )
        assert f"export MLFLOW_TRACKING_URI={place.mlflow}\n" in said
        # without the store's keys, which the server alone needs
        none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        uri = python(RUN, MLFLOW_TRACKING_URI=place.mlflow, **none)
        assert uri.startswith("mlflow-artifacts:")
        assert "samples.txt" in python(HAS, s3)
        for path in ("mlflow.db", "mlruns", ".prefect/prefect.db"):
            assert not (place.root / path).exists()

        password = postgres.partition(":")[2].partition("@")[0]
        processes = [process for _, process in remains.find(place.folder)]
        lines = [" ".join(process.cmdline()) for process in processes]
        assert any("mlflow server" in line for line in lines)
        assert password not in said + "".join(lines)
        known = {name for name, process in remains.find(place.folder) if knows(process, password)}
        assert known == {"supervisord", "prefect", "mlflow"}
        assert place.segtrail("down").stdout == "stopped\n"
        files = [path for path in place.root.rglob("*") if path.is_file()]
        assert place.folder / "mlflow.log" in files
        assert not [path for path in files if password.encode() in path.read_bytes()]


def knows(process: psutil.Process, password: str) -> bool:
    return any(password in value for value in process.environ().values())
