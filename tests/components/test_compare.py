"""Two models side by side."""

import re
import shutil
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from evaluated import IMAGES, evaluated

from components.compare import compare
from components.reporting import changes
from components.scoring.pairs import pair
from lineage import ledger, trained_runs
from segtrail.artifacts import Evaluation, Model, Verdict
from segtrail.errors import ConfigError, StageError
from segtrail.files import write_json, write_text
from segtrail.saved_model import digest
from segtrail.workspace import Workspace
from serving import config


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return evaluated(tmp_path, "classes")


def store(workspace: Workspace, version: int, classes: tuple[str, ...] = ("cell",)) -> None:
    """Stores a model that finds every cell: they are what is bright in these images."""
    import tensorflow as tf

    class Threshold(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def answer(self, image_bytes):
            def bright(png, value):
                where = tf.io.decode_png(png, channels=1) > 100
                return tf.io.encode_png(tf.cast(where, tf.uint8) * tf.constant(value, tf.uint8))

            masks = tf.map_fn(lambda png: bright(png, 1), image_bytes)
            probabilities = tf.map_fn(lambda png: bright(png, 255), image_bytes)
            return {"mask_png": masks, "probability_png": probabilities[:, None]}

        @tf.function(input_signature=[])
        def metadata(self):
            return {"class_names": tf.constant(classes), "masks": tf.constant("classes")}

    model, folder = Threshold(), workspace.models / "r" / str(version)
    signatures = {"serving_default": model.answer, "metadata": model.metadata}
    tf.saved_model.save(model, str(folder), signatures)


def test_a_stored_version_is_asked_and_what_differs_for_sure_is_said(workspace, capsys):
    store(workspace, 3)
    path = compare(workspace, "r", "candidate", "v3")
    assert path == workspace.artifacts("r") / "compare" / "candidate-v3.html"
    page = path.read_text(encoding="utf-8")
    assert "<h1>r: candidate against v3</h1>" in page
    said = capsys.readouterr().out
    assert re.search(r"mean_iou +all .*candidate is worse", said)
    assert page.count('class="card"') == 3
    assert "v3 is better" in page
    assert "<h3>candidate is better" not in page  # v3 finds all there is, everywhere
    assert "v3: IoU 1.000" in page
    assert set(re.findall(r'(?:src|href)="([^:"]*:)', page)) == {"data:"}
    scored = list((workspace.scratch / "scores" / "r").glob("*/per_image.parquet"))
    assert len(scored) == 1
    before = scored[0].stat().st_mtime_ns
    compare(workspace, "r", "v3", "candidate")  # the other way round, from the same scores
    assert scored[0].stat().st_mtime_ns == before
    assert re.search(r"mean_iou +all .*v3 is better", capsys.readouterr().out)


def test_the_champion_has_a_number(workspace, capsys):
    store(workspace, 2)
    config.set_champion(workspace.models_config, "r", workspace.models / "r", 2)
    assert compare(workspace, "r", "candidate", "champion").name == "candidate-v2.html"
    with pytest.raises(ConfigError, match="are the same model: v2"):
        compare(workspace, "r", "champion", "2")


def cells(page: str) -> dict[str, list[str]]:
    """Returns the rows of the table under "Models": what is told, by what it is."""
    table = page.split("<h2>Models</h2>")[1].split("</table>")[0]
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in table.split("<tr>")[1:]]
    return {what: told for what, *told in rows}


def test_which_models_they_are(workspace):
    store(workspace, 2)
    mine, other = digest(Model.of(workspace, "r").root), digest(workspace.models / "r/2")
    ledger.append(
        workspace.ledger("r"), ledger.DONE, version=2, model_digest=other, by="Grace",
        details={"git_commit": "c" * 40}, at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    )  # fmt: skip
    told = cells(compare(workspace, "r", "candidate", "v2").read_text(encoding="utf-8"))
    assert told[""] == ["candidate", "v2"]
    assert told["SHA-256 of the model"] == [mine[:12], other[:12]]
    assert told["git commit"] == ["not committed yet", "c" * 12]
    assert told["promoted"] == ["no", "2026-01-02 03:04 UTC by Grace"]
    assert told["data version"][1] == "-"  # this version has no provenance


def test_a_version_that_was_forced_is_shown_as_such(workspace):
    store(workspace, 2)
    word = {"by": "Grace", "reason": "a drill", "at": "2026-01-02T03:04:05+00:00", "entry": 1}
    ledger.append(
        workspace.ledger("r"), ledger.DONE, version=2, model_digest="d" * 64, by="Grace",
        details={"forced": word},
    )  # fmt: skip
    page = compare(workspace, "r", "candidate", "v2").read_text(encoding="utf-8")
    assert "v2 was FORCED by Grace (claimed) on 2026-01-02: a drill" in page


def test_a_candidate_that_was_forced_is_shown_as_such(workspace):
    store(workspace, 2)
    word = {"by": "Grace", "reason": "a drill", "at": "2026-01-02T03:04:05+00:00", "entry": 1}
    mine = digest(Model.of(workspace, "r").root)
    for model, shown in ((mine, True), ("f" * 64, False)):
        write_json(Verdict.of(workspace, "r").path, {"model_digest": model, "forced": word})
        page = compare(workspace, "r", "candidate", "v2").read_text(encoding="utf-8")
        assert ("the candidate was FORCED by Grace (claimed)" in page) == shown


def test_a_run_that_was_never_promoted_is_brought_back(workspace, monkeypatch):
    """What git and DVC find is `lineage.trained_runs`; here it is brought back and asked."""
    store(workspace, 1)
    run = trained_runs.TrainedRun("4f" * 16, "0" * 40, "ab" * 16 + ".dir")
    asked = []

    def find(root, recipe, beginning):
        asked.append((root, recipe, beginning))
        return run

    monkeypatch.setattr(trained_runs, "find", find)
    monkeypatch.setattr(
        trained_runs, "restore",
        lambda root, run, folder: shutil.copytree(
            workspace.models / "r/1", folder, dirs_exist_ok=True
        ),
    )  # fmt: skip
    path = compare(workspace, "r", "candidate", "run:4f4f")
    assert path.name == "candidate-run-4f4f4f4f.html"
    assert "run-4f4f4f4f: IoU 1.000" in path.read_text(encoding="utf-8")
    assert asked[0] == (workspace.root, "r", "4f4f")
    told = cells(path.read_text(encoding="utf-8"))
    assert told["MLflow run"][1:] == ["4f" * 16]
    assert told["git commit"] == ["not committed yet", "0" * 12]
    assert told["promoted"] == ["no", "no"]
    with pytest.raises(ConfigError, match="the same model: run-4f4f4f4f"):
        compare(workspace, "r", "run:4f", "run:4f4f4f")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("v9", "no stored version 'v9'; there are candidate, champion, v1"),
        ("../x", "no stored version"),
        ("champion", "has no champion yet"),
    ],
)
def test_what_is_not_there_is_named_beside_what_is(workspace, given, says):
    (workspace.models / "r" / "1").mkdir(parents=True)
    with pytest.raises(ConfigError, match=re.escape(says)):
        compare(workspace, "r", "candidate", given)


def test_a_version_that_cannot_be_asked_is_an_error_with_a_reason(workspace):
    write_text(workspace.models / "r" / "1" / "saved_model.pb", "damaged")
    with pytest.raises(StageError, match="r v1 does not answer"):
        compare(workspace, "r", "candidate", "v1")
    store(workspace, 2, ("nucleus",))
    with pytest.raises(StageError, match="v2 segments classes of nucleus, the recipe classes"):
        compare(workspace, "r", "candidate", "v2")
    assert not list((workspace.scratch / "scores").rglob("*.parquet"))


def test_a_candidate_that_was_trained_since_its_evaluation_is_refused(workspace):
    store(workspace, 1)
    write_text(workspace.artifacts("r") / "model" / "saved_model.pb", "another candidate")
    with pytest.raises(StageError, match="of another model than the candidate"):
        compare(workspace, "r", "candidate", "v1")


def test_less_of_an_error_is_better_and_of_a_bias_nothing_is(workspace):
    ours = pd.read_parquet(Evaluation.of(workspace, "r").per_image)
    theirs = ours.assign(
        hausdorff_95=ours["hausdorff_95"] + 2,
        count_predicted=ours["count_predicted"] + 2,
        iou=ours["iou"] - 0.1,
    )
    rows = {
        row["metric"]: row for row in changes.table(pair(ours, theirs)) if row["slice"] == "all"
    }
    assert rows["mean_hausdorff_95"]["verdict"] == changes.BETTER
    assert rows["mean_hausdorff_95"]["change"] == pytest.approx(-2)
    assert rows["mean_iou"]["verdict"] == changes.BETTER
    assert rows["count_bias"]["verdict"] == changes.OTHER_SIDE  # more is not better, but differs
    assert rows["mean_dice"]["verdict"] == changes.EITHER
    few = [row for row in changes.table(pair(ours, theirs)) if row["slice"] == "rare"]
    assert {row["verdict"] for row in few} == {changes.TOO_FEW}  # one image
    assert rows["mean_iou"]["n"] == IMAGES
    assert np.isfinite(rows["mean_iou"]["interval"]).all()


def test_models_that_were_asked_other_images_cannot_be_compared(workspace, monkeypatch):
    store(workspace, 1)
    path = Evaluation.of(workspace, "r").per_image
    pd.read_parquet(path).assign(sha256="f" * 64).to_parquet(path)
    with pytest.raises(StageError, match="no test image in common"):
        compare(workspace, "r", "candidate", "v1")
