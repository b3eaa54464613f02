"""The gate when the champion segments the same, and when it segments something else."""

import pandas as pd
import pytest
import yaml

from components.gate import judge
from components.gating.history import decided_before, split_of
from lineage import forced, ledger, provenance
from model.examples import Example
from segtrail import split_ledger, tombstones
from segtrail.artifacts import Evaluation, Examples, Model
from segtrail.errors import StageError
from segtrail.files import sha256_bytes, sha256_file, write_json, write_text
from segtrail.images import encode_png
from segtrail.saved_model import digest
from segtrail.workspace import Workspace
from serving import config

N = 6


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """An evaluated candidate of two classes, which answers half of each right."""
    import numpy as np
    import tensorflow as tf

    workspace = Workspace(tmp_path, tmp_path)
    params = {
        "datasets": {
            "cells": {
                "adapter": "folders", "masks": "classes", "classes": ["cytoplasm", "nucleus"],
                "slices": {}, "splits": {},
            }
        },
        "recipes": {
            "r": {
                "dataset": "cells", "classes": ["cytoplasm", "nucleus"], "preprocessing": {},
                "network": {}, "training": {"steps": 1}, "objects": {}, "validation": {},
                "serving": {},
                "gate": {
                    "absolute": [{"metric": "iou_nucleus", "min": 0.4}],
                    "relative": [{"metric": "iou_nucleus", "margin": 0.05}],
                },
            }
        },
    }  # fmt: skip
    write_text(workspace.params, yaml.safe_dump(params))
    write_text(Model.of(workspace, "r").root / "saved_model.pb", "the candidate")
    candidate = digest(Model.of(workspace, "r").root)
    evaluation, examples = Evaluation.of(workspace, "r"), Examples.of(workspace, "r")
    write_text(examples.manifest, "not read")
    known = {"model_digest": candidate, "examples_digest": sha256_file(examples.manifest)}
    write_json(evaluation.metrics, known)
    image = np.zeros((8, 9), np.uint8)
    mask = np.repeat([0, 1, 2], 3)[None].repeat(8, 0).astype(np.uint8)
    rows = []
    with tf.io.TFRecordWriter(str(examples.records("test"))) as writer:
        for number in range(N):
            example = Example(f"i{number}", encode_png(image), encode_png(mask), "x", f"g{number}")
            writer.write(example.serialize())
            scores = dict.fromkeys(("iou", "dice", "iou_cytoplasm", "iou_nucleus"), 0.5)
            rows.append(
                {"image": example.image, "sha256": sha256(example), "slice": "x",
                 "group": example.group, **scores}
            )  # fmt: skip
    pd.DataFrame(rows).to_parquet(evaluation.per_image)
    return workspace


def sha256(example: Example) -> str:
    return sha256_bytes(example.image_bytes)


def serve(workspace: Workspace, classes: list[str], masks: str | None) -> None:
    """Makes a champion that answers the true mask of the examples, whatever it is asked."""
    import tensorflow as tf

    class Champion(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def answer(self, image_bytes):
            mask = tf.tile(tf.repeat(tf.constant([[0, 1, 2]], tf.uint8), 3, 1), [8, 1])
            png = tf.io.encode_png(mask[..., None])
            probability = tf.fill([tf.size(image_bytes), len(classes)], png)
            return {
                "mask_png": tf.repeat(png, tf.size(image_bytes)),
                "probability_png": probability,
            }

        @tf.function(input_signature=[])
        def metadata(self):
            said = {"class_names": tf.constant(classes)}
            return said | ({"masks": tf.constant(masks)} if masks else {})

    champion, folder = Champion(), workspace.models / "r" / "1"
    signatures = {"serving_default": champion.answer, "metadata": champion.metadata}
    tf.saved_model.save(champion, str(folder), signatures)
    config.set_champion(workspace.models_config, "r", folder.parent, 1)


def said(workspace: Workspace) -> list[str]:
    return [rule["verdict"] for rule in judge(workspace, "r")["rules"]]


def test_a_class_is_compared_with_the_champions(workspace):
    serve(workspace, ["cytoplasm", "nucleus"], "classes")
    assert said(workspace) == ["pass", "fail"]  # 0.5 against the champion's 1


@pytest.mark.parametrize(
    ("classes", "masks", "tells"),
    [
        (["cytoplasm", "nucleus"], "multilabel", "multilabel of cytoplasm, nucleus"),
        (["nucleus"], None, "instances of nucleus"),
    ],
)
def test_a_champion_of_something_else_is_no_evidence(workspace, capsys, classes, masks, tells):
    serve(workspace, classes, masks)
    assert said(workspace) == ["pass", "insufficient evidence"]
    assert f"the champion v1 segments {tells}, the recipe classes of" in capsys.readouterr().out


@pytest.mark.parametrize("min_size", [0, 30])
def test_the_champions_objects_are_counted_as_the_recipe_says(workspace, min_size):
    params = yaml.safe_load(workspace.params.read_text())
    params["recipes"]["r"] |= {
        "classes": {"cell": ["cytoplasm", "nucleus"]},
        "objects": {"min_size": min_size},
        "gate": {"absolute": [{"metric": "mean_iou", "min": 0.4}], "relative": [{}]},
    }
    write_text(workspace.params, yaml.safe_dump(params))
    serve(workspace, ["cell"], "classes")
    judge(workspace, "r")
    (kept,) = (workspace.scratch / "scores" / "r").glob("*/per_image.parquet")
    # the champion answers one strip of 24 pixels
    assert set(pd.read_parquet(kept)["count_predicted"]) == {1 if min_size == 0 else 0}


def test_a_champion_that_does_not_load_is_no_evidence_and_the_verdict_tells_the_way_out(workspace):
    serve(workspace, ["cytoplasm", "nucleus"], "classes")
    write_text(workspace.models / "r" / "1" / "saved_model.pb", "damaged")
    verdict = judge(workspace, "r")
    assert verdict["verdict"] == "insufficient evidence"
    note = verdict["notes"][0]
    assert "the champion v1 does not answer" in note
    assert "segtrail rollback r --by NAME --reason TEXT" in note
    assert not list((workspace.scratch / "scores").rglob("*.parquet"))


def test_the_champion_itself_is_not_compared_with_itself(workspace):
    folder = workspace.models / "r" / "1"
    write_text(folder / "saved_model.pb", "the candidate")
    config.set_champion(workspace.models_config, "r", folder.parent, 1)
    verdict = judge(workspace, "r")
    assert (verdict["verdict"], len(verdict["rules"])) == ("pass", 1)
    assert verdict["notes"][0] == "the candidate is the champion, v1: nothing to compare"


def test_the_first_model_is_judged_by_absolute_rules_and_the_verdict_says_so(workspace):
    verdict = judge(workspace, "r")
    assert (verdict["verdict"], len(verdict["rules"])) == ("pass", 1)
    assert "the first model is judged by the absolute rules alone" in verdict["notes"][0]


def test_how_often_the_test_images_decided_is_counted_over_all_recipes(workspace):
    split = judge(workspace, "r")["test_split"]
    assert split["images"] == N
    assert judge(workspace, "r")["test_split_decided_before"] == 0
    own = digest(Model.of(workspace, "r").root)
    for recipe, model, of in (
        ("r", "a" * 64, split), ("other", "b" * 64, split), ("r", "a" * 64, split),
        ("r", own, split), ("r", "c" * 64, {"digest": "f" * 64, "images": N}),
    ):  # fmt: skip
        ledger.append(
            workspace.ledger(recipe), ledger.REJECTED, version=None, model_digest=model,
            by="t", details={"test_split": of},
        )  # fmt: skip
    verdict = judge(workspace, "r")
    assert verdict["test_split_decided_before"] == 2
    assert any("have decided on 2 other models before" in note for note in verdict["notes"])


def test_the_order_and_the_names_of_the_test_images_do_not_matter():
    rows = pd.DataFrame({"image": ["a", "b"], "sha256": ["1" * 64, "2" * 64]})
    assert split_of(rows) == split_of(rows[::-1].assign(image=["x", "y"]))
    assert split_of(rows)["digest"] != split_of(rows[:1])["digest"]


def test_a_test_split_less_what_was_erased_is_the_same(tmp_path):
    """a to d came first, e with delivery 2; b was erased by 3, c by 4; d was removed by 5."""
    workspace = Workspace(tmp_path, tmp_path)
    states = ("abcd", "abcde", "acde", "ade", "ae")
    came, gone = {"e": "2"}, {"b": "3", "c": "4", "d": "5"}
    rows = {
        image: split_ledger.Row(
            image, image * 64, "", delivery=came.get(image, "1"), split="test",
            removed=gone.get(image, ""),
        )
        for image in "abcde"
    }  # fmt: skip
    rows["x"] = split_ledger.Row("x", "x" * 64, "", delivery="1", split="train", removed="3")
    folder = workspace.dataset("cells")
    write_text(folder / "splits.csv", split_ledger.to_csv(rows))
    graves = [
        tombstones.Row(image, image * 64, "", "", "", int(number), "withdrawn", "Ada")
        for image, number in (("b", "3"), ("x", "3"), ("c", "4"))
    ]
    write_text(folder / "tombstones.csv", tombstones.to_csv(graves))
    splits = {of: split_of(pd.DataFrame({"sha256": [i * 64 for i in of]})) for of in states}
    for number, of in enumerate(states):
        ledger.append(
            workspace.ledger("r"), ledger.REJECTED, version=None, model_digest=f"{number}" * 64,
            by="t", details={"test_split": splits[of]},
        )  # fmt: skip
    counted = {
        of: decided_before(workspace, "cells", splits[of]["digest"], "candidate") for of in states
    }
    assert counted == {"abcd": 1, "abcde": 3, "acde": 3, "ade": 3, "ae": 1}


def test_rules_that_changed_since_the_champion_are_shown(workspace, monkeypatch):
    from components.gating import history

    gate = {
        "absolute": [{"metric": "mean_iou", "min": 0.8, "max": None}],
        "correction": "holm",
        "relative": [{"metric": "ap_50", "margin": 0.01}],
    }
    before = gate | {"absolute": [{"metric": "mean_iou", "min": 0.9, "max": None}], "seed": 3}
    built = {"externalParameters": {"params": {"gate": before}}}
    statement = {"predicate": {"buildDefinition": built}}
    monkeypatch.setattr(history.provenance, "load", lambda path: statement)
    assert history.changed_rules(workspace, "r", 4, gate) == [
        "new since v4: absolute: {metric: mean_iou, min: 0.8}",
        "gone since v4: absolute: {metric: mean_iou, min: 0.9}",
        "gone since v4: seed: 3",
    ]
    assert history.changed_rules(workspace, "r", 4, before) == []


def test_a_champion_without_provenance_is_told(workspace):
    serve(workspace, ["cytoplasm", "nucleus"], "classes")
    notes = judge(workspace, "r")["notes"]
    assert any("by which rules v1 was promoted cannot be told" in note for note in notes)


def test_the_ledgers_word_is_in_the_verdict_and_no_longer_when_the_rules_change(workspace):
    params = yaml.safe_load(workspace.params.read_text())
    rule = params["recipes"]["r"]["gate"]["absolute"][0]
    rule["min"] = 0.9
    write_text(workspace.params, yaml.safe_dump(params))
    verdict = judge(workspace, "r")
    assert (verdict["verdict"], verdict["forced"]) == ("fail", None)
    ledger.append(
        workspace.ledger("r"), ledger.FORCED, version=None, by="Grace",
        model_digest=verdict["model_digest"], details=forced.details(verdict, "it is urgent"),
    )  # fmt: skip
    found = judge(workspace, "r")
    assert found["verdict"] == "fail"
    assert (found["forced"]["by"], found["forced"]["reason"]) == ("Grace", "it is urgent")
    rule["min"] = 0.8
    write_text(workspace.params, yaml.safe_dump(params))
    assert judge(workspace, "r")["forced"] is None


def test_an_evaluation_of_other_masks_is_refused(workspace):
    write_text(Examples.of(workspace, "r").manifest, "mended")
    with pytest.raises(StageError, match="of other test images or masks than there are now"):
        judge(workspace, "r")


def test_a_champion_whose_classes_were_made_up_otherwise_is_no_evidence(workspace):
    params = yaml.safe_load(workspace.params.read_text())
    params["recipes"]["r"] |= {
        "classes": {"cell": ["nucleus"]},
        "gate": {"absolute": [{"metric": "mean_iou", "min": 0.4}], "relative": [{}]},
    }
    write_text(workspace.params, yaml.safe_dump(params))
    serve(workspace, ["cell"], "classes")
    built = {
        "buildType": provenance.BUILD_TYPE,
        "externalParameters": {
            "params": {"gate": {}, "classes": {"cell": ["cytoplasm", "nucleus"]}}
        },
    }
    subject = {"name": provenance.ROOT, "digest": {"sha256": "a" * 64}}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": built, "runDetails": {"builder": {"id": "b"}}},
    }
    write_json(workspace.models / "r" / "1" / provenance.IN_MODEL, statement)
    verdict = judge(workspace, "r")
    assert [rule["verdict"] for rule in verdict["rules"]] == ["pass", "insufficient evidence"]
    assert (
        "v1 learnt the classes cell (cytoplasm + nucleus), the recipe has cell (nucleus)"
        in (verdict["notes"][0])
    )
