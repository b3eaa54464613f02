"""The command line as a whole: quick to start, helpful, and clear when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cli import main

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "apache_beam", "cv2", "dvc", "great_expectations", "grpc", "keras", "mlflow", "numpy",
    "pandas", "prefect", "pydantic", "rich", "tensorflow", "yaml",
}  # fmt: skip
GROUP = typer.main.get_command(main.app)
COMMANDS = sorted(GROUP.commands)


def segtrail(*arguments: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments], cwd=cwd, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


def test_help_imports_nothing_heavy():
    script = (
        "import json, sys; from cli import main\n"
        "code = main._run(['--help'])\n"
        "print(json.dumps([code, sorted({m.split('.')[0] for m in sys.modules})]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert not HEAVY & set(modules)


def test_the_overview_says_each_command_in_full():
    done = segtrail("--help", COLUMNS="80")
    listed = done.stdout.split("Commands:")[1]
    assert "..." not in listed
    for name, command in GROUP.commands.items():
        assert command.hidden or f"\n  {name} " in listed


def test_what_belongs_to_the_pipeline_is_there():
    expected = {
        "ingest", "examples", "validate", "transform", "train", "evaluate", "gate",
        "infra-validate", "promote", "retrain", "deploy", "serve", "predict", "audit", "status",
        "history", "demo",
    }  # fmt: skip
    assert expected <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_by_an_example(name, capsys):
    assert main._run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    assert f"\n    segtrail {name}" in text or name == "deploy"
    assert all(len(line) <= 100 for line in text.splitlines())


def test_a_wrong_word_gets_the_near_one(capsys):
    assert main._run(["retrian"]) == 2
    assert "Did you mean 'retrain'" in capsys.readouterr().err


def test_outside_a_workspace_it_says_where_to_go(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main._run(["status"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "no segtrail workspace here" in err
    assert "\n  -> run this in a clone" in err
    assert "Traceback" not in err


def test_a_misspelt_recipe_is_usage(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main._run(["retrain", "--recipe", "dmeo"]) == 2
    assert "Did you mean 'demo'?" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["transform", "train", "evaluate", "augment"])
def test_a_misspelt_recipe_is_told_before_tensorflow_is_imported(stage):
    code = (
        "import sys; from cli import main; "
        f"print(main._run([{stage!r}, '--recipe', 'dmeo']), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "False"]
    assert "Did you mean 'demo'?" in done.stderr


def test_debugging_shows_the_traceback(tmp_path):
    quiet = segtrail("status", cwd=tmp_path)
    assert quiet.returncode == 1
    assert "Traceback" not in quiet.stderr
    loud = segtrail("status", cwd=tmp_path, SEGTRAIL_DEBUG="1")
    assert "Traceback" in loud.stderr
    assert "WorkspaceError" in loud.stderr


def test_a_reader_that_leaves_is_no_error():
    script = f"{sys.executable} -m cli --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode in (0, 1)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("KeyboardInterrupt", 130),
        ("RejectedError", 3),
        ("InsufficientEvidenceError", 4),
        ("ConfigError", 2),
        ("DataError", 1),
    ],
)
def test_exit_codes(name, code, monkeypatch, capsys):
    from segtrail import errors

    def command() -> None:
        kind = getattr(errors, name, KeyboardInterrupt)
        raise kind("what happened")

    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr(main, "app", app)
    assert main._run([]) == code
    err = capsys.readouterr().err
    assert ("error: " in err) == (code in (1, 2))
    assert "Traceback" not in err


def test_a_bug_is_not_hidden():
    script = (
        "import typer; from cli import main\n"
        "main.app = typer.Typer(pretty_exceptions_enable=False)\n"
        "@main.app.command()\ndef command() -> None:\n    raise KeyError('a bug')\n"
        "main.main([])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "KeyError: 'a bug'" in done.stderr


def test_a_failure_of_the_system_names_file_and_cause(tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "data.dvc").mkdir()
    quiet = segtrail("status", cwd=tmp_path)
    assert quiet.returncode == 1
    assert f"error: {tmp_path / 'data.dvc'}: Is a directory\n  -> " in quiet.stderr
    assert "Traceback" not in quiet.stderr
    loud = segtrail("status", cwd=tmp_path, SEGTRAIL_DEBUG="1")
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr
    assert "IsADirectoryError" in loud.stderr


def test_version(capsys):
    from segtrail import __version__

    assert main._run(["--version"]) == 0
    assert capsys.readouterr().out == f"segtrail {__version__}\n"


def test_runner_options_are_key_and_value(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    arguments = ["transform", "--recipe", "demo", "--runner-option", "=workers"]
    assert main._run(arguments) == 2
    assert "expected KEY=VALUE or KEY, got '=workers'" in capsys.readouterr().err
