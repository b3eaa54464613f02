"""Evaluation of exported models, through their own signatures."""

import numpy as np
import pandas as pd
import pytest

from model.evaluation import metrics, score, segments, summarise, values
from model.examples import Example
from segtrail.errors import StageError
from segtrail.images import encode_png


@pytest.fixture(scope="module")
def make_examples(images, encode):
    """Examples whose true masks are random in what the kind allows."""

    def run(case):
        generator = np.random.default_rng(4)
        highest = {"instances": 3, "classes": 3, "multilabel": 7}[case.task.masks]
        return [
            Example(
                image=f"image-{number}",
                image_bytes=encode(image),
                mask_bytes=encode_png(
                    generator.integers(0, highest + 1, image.shape[:2]).astype(np.uint16)
                ),
                slice="odd" if number % 2 else "even",
                group=f"g{number}",
            )
            for number, image in enumerate(images)
        ]

    return run


def test_scores_are_of_the_recipes_classes_in_the_datasets_masks(case, session, make_examples):
    model, task = session(case.exported), case.task
    answers = list(score(model, make_examples(case), task))
    assert [answer.row["image"] for answer in answers] == [f"image-{n}" for n in range(6)]
    for answer in answers:
        row = answer.row
        true = task.true_planes(answer.true)
        for k, name in enumerate(task.classes):
            # the dataset of the test has one class more, before those that are learnt
            number = {"instances": answer.true > 0, "classes": answer.true == k + 2,
                      "multilabel": answer.true >> (k + 1) & 1 > 0}  # fmt: skip
            np.testing.assert_array_equal(true[..., k], number[task.masks])
            mask = answer.mask.astype(int)
            predicted = mask == k + 1 if task.masks == "classes" else mask >> k & 1 > 0
            either = (true[..., k] | predicted).sum()
            both = (true[..., k] & predicted).sum()
            assert row[f"iou_{name}"] == (both / either if either else 1)
        assert row["iou"] == pytest.approx(np.mean([row[f"iou_{n}"] for n in task.classes]))
        assert ("ap_50" in row) == ("count_true" in row) == task.has_objects
        assert (answer.labels is not None) == task.has_objects


def test_metrics_are_means_and_of_objects_only_where_there_are_some(case, session, make_examples):
    examples = make_examples(case)
    rows = pd.DataFrame(a.row for a in score(session(case.exported), examples, case.task))
    got = summarise(rows)
    assert {name: part["n"] for name, part in got.items()} == {"all": 6, "even": 3, "odd": 3}
    names = {"mean_iou", "mean_dice"}
    names |= {f"{kind}_{name}" for kind in ("iou", "dice") for name in case.task.classes}
    if case.task.has_objects:
        names |= {"ap_50", "count_error"}
    assert set(got["all"]) == names | {"n"}
    for name, value in metrics(rows).items():
        assert value == pytest.approx(values(rows, name).mean())
    assert got["odd"]["mean_iou"] == pytest.approx(rows.loc[rows["slice"] == "odd", "iou"].mean())


def test_a_model_of_other_classes_is_not_scored(make_case, session, make_examples):
    case = make_case("classes")
    other = session(make_case("multilabel").exported)
    assert segments(other) == ("multilabel", ("disc", "cup"))
    with pytest.raises(StageError, match="found one of multilabel of disc, cup") as caught:
        next(score(other, make_examples(case), case.task))
    assert "expected a model of classes of cytoplasm, nucleus" in caught.value.message
