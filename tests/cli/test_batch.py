"""`segtrail batch` on the command line."""

from __future__ import annotations

import json

import miniature
import numpy as np
import pytest
from miniature import RECIPE

from cli import main
from components.promote import promote
from segtrail import run_log
from segtrail.files import read_json
from segtrail.images import encode_png


@pytest.fixture(scope="module")
def workspace(template, tmp_path_factory):
    """A workspace whose v1, a real SavedModel, serves. Not to be changed."""
    folder = tmp_path_factory.mktemp("batch-cli")
    made = miniature.copy(template, folder / "workspace")
    (model,) = miniature.save_models(folder / "models", [100]).values()
    with pytest.MonkeyPatch.context() as patch:
        miniature.put_server_on_path(folder / "bin", patch)
        miniature.retrain(made, 100, saved_model=model)
        promote(made, RECIPE)
    return made


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encode_png(np.full((9, 9), 80 * number, np.uint8)))
    (folder / "bad.tif").write_text("no image")
    return folder


def test_bad_images_are_counted_in_the_last_line_and_are_no_failure(
    workspace, images, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(workspace.root)
    arguments = ["batch", str(images), str(tmp_path / "out"), "--recipe", RECIPE]
    assert main._run([*arguments, "--version", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"demo v1: 4 images of {images}"
    assert said[-1].startswith("demo v1: 3 images, 1 objects in ")
    assert said[-1].endswith(f"0 kept, 1 bad: see {tmp_path / 'out' / 'bad.csv'}")
    log = [json.loads(line) for line in run_log.find(workspace, "last").read_text().splitlines()]
    assert [line["message"] for line in log] == [line.strip() for line in said]
    assert {(line["recipe"], line["step"]) for line in log} == {(RECIPE, "batch")}
    assert main._run(arguments) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith(", 3 done before")
    assert "; 0 segmented, 3 kept, 1 bad" in said[-1]
    assert read_json(tmp_path / "out" / "batch.json")["counts"]["kept"] == 3


def test_what_is_wrong_is_told_with_what_to_do(workspace, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(workspace.root)
    out = str(tmp_path / "out")
    for arguments, code, says in (
        ([str(tmp_path / "none"), out, "--recipe", RECIPE], 1, "expected a folder of images"),
        ([str(images), out, "--recipe", "dmeo"], 2, "Did you mean 'demo'?"),
        ([str(images), out, "--recipe", RECIPE, "--version", "9"], 2, "segtrail history demo"),
        ([str(images), out, "--recipe", RECIPE, "--runner", "Flink"], 2, "'FlinkRunner'"),
        ([str(images), out, "--recipe", RECIPE, "--runner-option", "=2"], 2, "KEY=VALUE or KEY"),
    ):
        assert main._run(["batch", *arguments]) == code
        assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
