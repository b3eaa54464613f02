"""`segtrail status`, on a workspace made by hand."""

from pathlib import Path

import pytest

from cli import main
from cli.status import print_table
from segtrail import deliveries
from segtrail.files import sha256_file, write_json, write_text
from segtrail.params import dump, load_recipe
from segtrail.split_ledger import Row, to_csv
from segtrail.workspace import Workspace
from serving import config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params.yaml", "dvc.yaml"):
        text = (ROOT / name).read_text().replace("127.0.0.1:8500", "127.0.0.1:9")
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGTRAIL_HOME", raising=False)
    return tmp_path


def row(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(f"{name} "))


def test_an_empty_workspace(workspace, capsys):
    assert main._run(["status"]) == 0
    out = capsys.readouterr().out
    assert "data.dvc): none yet" in out
    assert row(out, "synthetic") == ["synthetic", *"00000"]
    assert row(out, "demo")[:7] == ["demo", *"------"]
    assert "servers: none of segtrail up" in out
    assert not (workspace / ".segtrail").exists()


def test_what_is_there_is_shown(workspace, capsys):
    data = workspace / "data/synthetic"
    rows = ["train", "train", "validation", "test"]
    ledger = {f"i{i}": Row(f"i{i}", "x", "x", split=split) for i, split in enumerate(rows)}
    ledger["gone"] = Row("gone", "x", "x", split="test", removed="2")
    write_text(data / "splits.csv", to_csv(ledger))
    brought = [deliveries.Row(n, "a", "x", "Ada", "CC0-1.0", 4, 0) for n in (1, 2)]
    write_text(data / "deliveries.csv", deliveries.to_csv(brought))
    write_text(workspace / "data.dvc", "outs:\n- md5: 0123456789abcdef.dir\n  path: data\n")
    artifacts = workspace / "artifacts/demo"
    write_json(artifacts / "validation/result.json", {"passed": False})
    write_json(artifacts / "training/run.json", {"steps": 123})
    slices = {"all": {"mean_iou": 0.8125, "ap_50": 0.5}}
    write_json(artifacts / "evaluation/metrics.json", {"slices": slices})
    write_json(artifacts / "gate/verdict.json", {"verdict": "fail"})
    write_json(artifacts / "infra/result.json", {"passed": True})
    config.set_champion(
        workspace / "serving/models.config", "demo", workspace / "serving/models/demo", 3
    )
    assert main._run(["status"]) == 0
    out = capsys.readouterr().out
    assert "0123456789ab" in out
    assert row(out, "synthetic") == ["synthetic", "4", "2", "1", "1", "2"]
    demo = " ".join(row(out, "demo"))
    assert "NOT VALID 123 steps IoU 0.812 AP50 0.500 fail serves v3 127.0.0.1:9: none" in demo


def test_scores_of_another_model_than_the_last_trained_are_stale(workspace, capsys):
    artifacts = workspace / "artifacts/demo"
    slices = {"all": {"mean_iou": 0.8125, "ap_50": 0.5}}
    write_json(artifacts / "evaluation/metrics.json", {"slices": slices, "model_digest": "a"})
    for digest, says in (("a", "AP50 0.500 -"), ("b", "AP50 0.500, stale")):
        run = {"steps": 123, "steps_done": 60, "model_digest": digest}
        write_json(artifacts / "training/run.json", run)
        assert main._run(["status"]) == 0
        demo = " ".join(row(capsys.readouterr().out, "demo"))
        assert f"60 steps IoU 0.812 {says}" in demo


def test_a_verdict_on_another_model_or_by_other_rules_is_stale(workspace, capsys):
    artifacts = workspace / "artifacts/demo"
    gate = dump(load_recipe(Workspace.at(workspace), "demo").gate)
    write_json(artifacts / "training/run.json", {"steps": 9, "model_digest": "a"})
    before = gate | {"confidence": 0.5}
    for model, asked, limits, says in (
        ("a", gate, gate["limits"], "pass serves, limits: fail -"),
        ("b", gate, gate["limits"], "pass, stale serves, limits: fail, stale -"),
        ("a", before, gate["limits"], "pass, stale serves, limits: fail -"),
        ("a", gate, {"latency_ms": 1.0, "size_mb": None}, "pass serves, limits: fail, stale -"),
    ):
        verdict = {"verdict": "pass", "model_digest": model, "gate": asked}
        write_json(artifacts / "gate/verdict.json", verdict)
        served = {"passed": True, "verdict": "fail", "model_digest": model, "limits": limits}
        write_json(artifacts / "infra/result.json", served)
        assert main._run(["status"]) == 0
        assert says in " ".join(row(capsys.readouterr().out, "demo"))


def test_examples_of_other_data_are_stale(workspace, capsys):
    ledger = workspace / "data/synthetic/splits.csv"
    write_text(ledger, to_csv({"a": Row("a", "x", "x", split="train")}))
    examples = workspace / "artifacts/demo/examples"
    write_json(examples / "data_version.json", {"split_ledger_sha256": sha256_file(ledger)})
    write_json(workspace / "artifacts/demo/validation/result.json", {"passed": True})
    assert main._run(["status"]) == 0
    assert row(capsys.readouterr().out, "demo")[1:3] == ["valid", "-"]
    write_text(ledger, to_csv({"b": Row("b", "x", "x", split="train")}))
    assert main._run(["status"]) == 0
    assert row(capsys.readouterr().out, "demo")[1:3] == ["valid,", "stale"]


def test_the_slices_of_a_dataset(workspace, capsys):
    assert main._run(["status", "--dataset", "synthetic"]) == 0
    assert "no image yet" in capsys.readouterr().out
    rows = [("a", "dark-grey", "train"), ("b", "dark-grey", "test"), ("c", "blue", "train")]
    ledger = {i: Row(i, "x", "x", slice=s, group="g", split=to) for i, s, to in rows}
    write_text(workspace / "data/synthetic/splits.csv", to_csv(ledger))
    assert main._run(["status", "--dataset", "synthetic"]) == 0
    out = capsys.readouterr().out
    assert row(out, "fluorescence") == ["fluorescence", "2", "1", "0", "1"]
    assert row(out, "blue") == ["blue", "1", "1", "0", "0"]
    assert row(out, "all") == ["all", "3", "2", "0", "1"]
    assert "stay in one split: 1" in out


def test_an_unknown_adapter_and_data_of_no_dataset_are_shown(workspace, capsys):
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("adapter: wbc", "adapter: wbcs"))
    write_text(workspace / "data/mine/splits.csv", to_csv({}))
    assert main._run(["status"]) == 2
    out = capsys.readouterr().out
    assert "NOT ok" in out
    assert "datasets.wbc: " in out
    assert "wbcs" in out
    assert "data/ also has, though params.yaml does not name them: mine" in out


def test_what_is_damaged_is_shown_as_damaged(workspace, capsys):
    artifacts = workspace / "artifacts/demo"
    write_text(artifacts / "validation/result.json", "{")
    write_text(artifacts / "training/run.json", "[]")
    (artifacts / "evaluation").mkdir()
    (artifacts / "evaluation/metrics.json").write_bytes(b"\xff\xfe")
    write_text(artifacts / "gate/verdict.json", "null")
    write_text(artifacts / "infra/result.json", '{"passed": true}')
    write_text(workspace / "data.dvc", "outs: [")
    write_text(workspace / "data/synthetic/splits.csv", "image\na\n")
    assert main._run(["status"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "(data.dvc): damaged" in out
    assert row(out, "synthetic") == ["synthetic", *["damaged"] * 5]
    assert row(out, "demo")[:6] == ["demo", *["damaged"] * 4, "serves"]


def test_a_wrong_key_is_named(workspace, capsys):
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("    network:", "    netwrok:", 1))
    assert main._run(["status"]) == 2
    err = capsys.readouterr().err
    assert "netwrok: unknown key" in err
    assert "Did you mean 'network'?" in err


def test_columns_line_up(capsys):
    print_table(("a", "long head"), [("wide cell", "x"), ("y", "z")])
    assert capsys.readouterr().out == "a          long head\nwide cell  x\ny          z\n"
