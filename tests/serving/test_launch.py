"""Starting servers, and what is told when they do not start."""

from __future__ import annotations

import contextlib
import re
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segtrail.errors import ServingError
from serving import config, launch
from serving.client import SegmentationClient
from serving.failures import StartError

TF_SERVING_FLAGS = {
    "--allow_version_labels_for_unavailable_models",
    "--port",
    "--model_name",
    "--model_base_path",
    "--model_config_file",
    "--model_config_file_poll_wait_seconds",
}


def test_the_command_prefers_tf_serving(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    command = launch.server_command(8500, config=tmp_path / "models.config")
    assert command[:3] == [sys.executable, "-m", "serving.embedded"]
    binary = tmp_path / launch.TF_SERVING
    binary.write_text("#!/bin/sh\n")
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    with_binary = launch.server_command(8500, config=tmp_path / "models.config")
    assert with_binary == [str(binary), *command[3:]]
    assert str(binary) in launch.describe_server()
    assert {flag.partition("=")[0] for flag in command[3:]} <= TF_SERVING_FLAGS


def test_a_model_or_a_file_not_both(tmp_path):
    assert f"--model_base_path={tmp_path}" in launch.server_command(
        1, model_name="m", base_path=tmp_path
    )
    for wrong in (
        {},
        {"config": tmp_path, "model_name": "m", "base_path": tmp_path},
        {"model_name": "m"},
        {"base_path": tmp_path},
    ):
        with pytest.raises(ValueError, match="expected either"):
            launch.server_command(1, **wrong)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--model_config_file=/m", "--no_such_flag=1"], "no_such_flag"),
        (["--model_config_file=/m", "--batching_parameters_file=/b"], "--enable_batching"),
        (["--model_config_file=/m", "--ssl_config_file=/none"], "/none: cannot be read"),
        (["--model_config_file=/m", "--monitoring_config_file=/none"], "/none: cannot be read"),
        (["--model_config_file=/m", "--model_base_path=/m"], "give one of"),
        (["--model_base_path=relative"], "absolute"),
        (["--model_base_path=/m", "--enable_model_warmup=maybe"], "true or false"),
        ([], "give one of"),
    ],
)
def test_flags_that_make_no_sense(flags, says, capsys):
    from serving.embedded.flags import parse

    with pytest.raises(SystemExit) as e:
        parse(flags)
    assert e.value.code == 2
    assert says in capsys.readouterr().err


def test_flags_are_read():
    from serving.embedded.flags import parse

    flags = parse(
        ["--port=1", "--model_base_path=/m", "--enable_model_warmup=false",
         "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,a=b"]
    )  # fmt: skip
    assert (flags.port, flags.model_name, flags.enable_model_warmup) == (1, "default", False)
    assert flags.grpc_channel_arguments == (("grpc.max_connection_age_ms", 2000), ("a", "b"))


def test_a_bad_configuration_ends_the_server_with_tf_servings_words(tmp_path):
    pytest.importorskip("tensorflow_serving")
    path = tmp_path / "models.config"
    path.write_text("model_config_list {")
    words = "Error parsing text-format tensorflow.serving.ModelServerConfig"
    with (
        pytest.raises(ServingError, match=words) as e,
        launch.running_server("tiny", config=path, log=tmp_path / "log"),
    ):
        pass
    assert "ended with exit code 1" in e.value.message
    assert str(tmp_path / "log") in e.value.message


def test_a_model_that_cannot_be_loaded(tmp_path):
    """It is told with the log, and the server ends."""
    pytest.importorskip("tensorflow_serving")
    (tmp_path / "models" / "1").mkdir(parents=True)
    (tmp_path / "models" / "1" / "saved_model.pb").write_bytes(b"not a graph")
    with (
        pytest.raises(StartError, match="version 1 did not load") as e,
        launch.running_server(
            "tiny", base_path=tmp_path / "models", version=1, log=tmp_path / "log"
        ),
    ):
        pass
    assert "Cannot parse file" in e.value.said
    assert any(e.value.said in line for line in e.value.log)
    assert all(line in e.value.message for line in e.value.log)
    assert not any("Running gRPC ModelServer" in line for line in e.value.log)
    port = re.search(r"127\.0\.0\.1:(\d+)", (tmp_path / "log").read_text())
    assert port is not None
    with contextlib.closing(socket.socket()) as s:
        assert s.connect_ex(("127.0.0.1", int(port[1]))) != 0


def test_a_port_that_is_taken(live, tmp_path):
    """The server runs from any folder, and says at once that it cannot."""
    taken = live.target.rpartition(":")[2]
    done = subprocess.run(
        launch.server_command(int(taken), config=live.config),
        cwd=tmp_path,
        env=launch.server_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"Failed to start server on port {taken}" in done.stderr
    assert "in use" in done.stderr


def test_a_server_ends_with_the_process_that_started_it(tmp_path, monkeypatch):
    """However it ends: a killed promotion leaves no server of a load test behind."""
    import miniature

    miniature.put_server_on_path(tmp_path / "bin", monkeypatch)
    miniature.write_model(tmp_path / "m" / "1", 100)
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from serving.launch import running_server\n"
        "base = Path(sys.argv[1])\n"
        "with running_server('m', base_path=base / 'm', log=base / 'log') as server:\n"
        "    print(server.pid, server.target, flush=True)\n"
        "    time.sleep(600)\n"
    )
    root = str(Path(launch.__file__).parents[1])
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pid, target = starter.stdout.readline().split()
    with SegmentationClient(target) as client:
        assert client.served_version("m") == 1
    starter.kill()
    starter.wait()
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < end, "the server runs on"
        time.sleep(0.05)


def test_the_embedded_server_does_not_start_with_a_label_and_without_the_flag(tmp_path):
    """As TF Serving: at a start no label can be on a loaded version."""
    config.set_champion(tmp_path / "models.config", "m", tmp_path, 1)
    command = [sys.executable, "-m", "serving.embedded", "--port=0"]
    done = subprocess.run(
        [*command, f"--model_config_file={tmp_path / 'models.config'}"],
        capture_output=True, text=True, check=False, env=launch.server_environment(), timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Request to assign label to a version of model m" in done.stderr
    assert "--allow_version_labels_for_unavailable_models" in done.stderr
