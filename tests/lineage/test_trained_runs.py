"""Trainings that were never promoted, in a real git and DVC repository."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lineage import dvc_files, trained_runs
from segtrail.errors import LineageError
from segtrail.files import tree_digests, write_text

DVC_YAML = """stages:
  train:
    foreach: [r, other]
    do:
      cmd: python train.py ${item}
      deps: [given]
      outs:
        - artifacts/${item}/model
        - artifacts/${item}/training
"""
TRAIN = """import json, pathlib, sys
recipe, text = sys.argv[1], open("given").read()
folder = pathlib.Path("artifacts", recipe)
(folder / "model/variables").mkdir(parents=True)
(folder / "training").mkdir()
(folder / "model/saved_model.pb").write_text(text)
(folder / "model/variables/v").write_text(text * 2)
(folder / "training/run.json").write_text(json.dumps({"mlflow_run_id": text * 4 + recipe}))
"""


@pytest.fixture
def repository(tmp_path):
    environment = os.environ | {
        "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@t", "DVC_NO_ANALYTICS": "1",
        "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip

    def run(*command):
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)

    run("git", "init", "-q")
    run(sys.executable, "-m", "dvc", "init", "-q")
    write_text(tmp_path / "dvc.yaml", DVC_YAML)
    write_text(tmp_path / "train.py", TRAIN)
    for text in ("aa", "ab", "ab", "b"):  # the third changes nothing
        write_text(tmp_path / "given", text)
        run(sys.executable, "-m", "dvc", "repro", "-q")
        run("git", "add", "-A")
        run("git", "commit", "-q", "--allow-empty", "-m", text)
    return tmp_path


@pytest.mark.slow
def test_each_training_is_found_by_how_its_run_id_begins(repository):
    runs = trained_runs.every(repository, "r")
    assert [run.run_id for run in runs] == ["bbbbr", "ababababr", "aaaaaaaar"]
    assert trained_runs.find(repository, "r", "ab") == runs[1]
    with pytest.raises(LineageError, match="2 runs of r begin with 'a'; there are bbbbr, abababab"):
        trained_runs.find(repository, "r", "a")
    for beginning in ("c", ""):
        with pytest.raises(LineageError, match="no run of r begins with"):
            trained_runs.find(repository, "r", beginning)
    assert trained_runs.every(repository, "unknown") == []

    trained_runs.restore(repository, runs[2], repository / "old")
    assert sorted(tree_digests(repository / "old")) == ["saved_model.pb", "variables/v"]
    assert (repository / "old/saved_model.pb").read_text() == "aa"

    cache = dvc_files.cache_folder(repository)
    md5 = dvc_files.read_listing(cache, runs[2].model_md5)["saved_model.pb"]
    path = dvc_files.object_path(cache, md5)
    path.chmod(0o644)
    path.write_text("changed")
    with pytest.raises(LineageError, match="the content's md5 is"):
        trained_runs.restore(repository, runs[2], repository / "again")
    path.unlink()
    with pytest.raises(LineageError, match="not in DVC's cache"):
        trained_runs.restore(repository, runs[2], repository / "again")


def test_a_listing_that_leads_out_of_the_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(dvc_files, "cache_folder", lambda root: tmp_path)
    run = trained_runs.TrainedRun("a" * 32, "0" * 40, "0" * 32 + ".dir")
    for name in ("../x", "/x", "a/../../x"):
        monkeypatch.setattr(dvc_files, "read_listing", lambda cache, md5, name=name: {name: "0"})
        with pytest.raises(LineageError, match="out of its folder"):
            trained_runs.restore(tmp_path, run, tmp_path / "folder")
