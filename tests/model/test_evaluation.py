"""Evaluation of exported models, through their own signatures."""

import numpy as np
import pandas as pd
import pytest

from model.evaluation import score, segments
from model.examples import Example
from model.summary import intervals, metrics_in, summarise, values
from segtrail.errors import StageError
from segtrail.images import encode_png
from segtrail.settings.metrics import metrics_of
from segtrail.settings.objects import Objects
from segtrail.task import Task


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
    answers = list(score(model, make_examples(case), task, Objects()))
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
        assert ("count_canny" in row) == task.has_objects
        assert "rand_f" not in row
        assert (answer.labels is not None) == task.has_objects


def test_metrics_are_means_and_of_objects_only_where_there_are_some(case, session, make_examples):
    examples = make_examples(case)
    answers = score(session(case.exported), examples, case.task, Objects())
    rows = pd.DataFrame(answer.row for answer in answers)
    got = summarise(rows)
    assert {name: part["n"] for name, part in got.items()} == {"all": 6, "even": 3, "odd": 3}
    names = metrics_of(case.task.masks, case.task.classes)
    assert set(got["all"]) == {*names, "n"}
    assert sorted(metrics_in(rows)) == sorted(names)
    ends = intervals(rows)
    for name in names:
        assert got["all"][name] == pytest.approx(values(rows, name).mean())
        if ends["all"][name] is not None:
            low, high = ends["all"][name]
            assert low - 1e-9 <= got["all"][name] <= high + 1e-9
        assert ends["odd"].keys() == set(names)
    assert got["odd"]["mean_iou"] == pytest.approx(rows.loc[rows["slice"] == "odd", "iou"].mean())


def test_a_model_of_other_classes_is_not_scored(make_case, session, make_examples):
    case = make_case("classes")
    other = session(make_case("multilabel").exported)
    assert segments(other) == ("multilabel", ("disc", "cup"))
    with pytest.raises(StageError, match="found one of multilabel of disc, cup") as caught:
        next(score(other, make_examples(case), case.task, Objects()))
    assert "expected a model of classes of cytoplasm, nucleus" in caught.value.message


class Answers:
    """Answers with masks that are given, as a model of one class does."""

    def __init__(self, masks, probabilities=()):
        self.masks, self.probabilities = iter(masks), iter(probabilities)

    def run(self, signature, _, outputs=None):
        if signature == "metadata":
            return {"masks": b"classes", "class_names": np.array([b"cell"])}
        mask = next(self.masks)
        probability = next(self.probabilities, mask * np.uint8(255))
        return {"mask_png": [encode_png(mask)], "probability_png": [[encode_png(probability)]]}


def cells(*boxes):
    mask = np.zeros((60, 80), np.uint8)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = 1
    return mask


def one_class_answers(true, said):
    examples = [
        Example(f"i{n}", encode_png(mask * 200), encode_png(mask), "x", f"g{n}")
        for n, mask in enumerate(true)
    ]
    return list(score(Answers(said), examples, CELL, Objects(min_size=20)))


CELL = Task("classes", ("cell",), ((1,),))
APART = cells((5, 5, 25, 30), (30, 5, 55, 30), (5, 40, 55, 75))


def test_the_components_of_one_class_are_counted_and_grouped_pixels_scored():
    joined = APART.copy()
    joined[25:30, 5:30] = 1
    speck = APART.copy()
    speck[0:2, 77:79] = 1  # 4 pixels are no cell
    answers = one_class_answers([APART] * 3, [APART, joined, speck])
    rows = pd.DataFrame(answer.row for answer in answers)
    assert rows["count_true"].tolist() == [3, 3, 3]
    assert rows["count_predicted"].tolist() == [3, 2, 3]
    assert rows["count_canny"].tolist()[:2] == [3, 2]
    assert rows["rand_f"][0] == 1
    pairs = [n * (n - 1) for n in (500, 625, 1750)]
    precision = sum(pairs) / (1125 * 1124 + pairs[2])
    assert rows["rand_f"][1] == pytest.approx(2 * precision / (precision + 1))
    assert rows["rand_f"][2] == 1  # a speck where there is no true cell is no pair
    got = summarise(rows)["all"]
    assert got["count_error"] == pytest.approx(1 / 3)
    assert got["rand_f"] == pytest.approx(rows["rand_f"].mean())
    assert set(got) - {"n"} == set(metrics_of("classes", ["cell"]))


def test_a_watershed_tells_apart_what_a_gap_joins(tmp_path):
    from model.evaluated_objects import ObjectWriter

    joined = APART.copy()
    joined[25:30, 15:18] = 1
    probability = np.where(APART > 0, 250, 20).astype(np.uint8)
    probability[25:30, 15:18] = 150
    options = Objects.model_validate({"min_size": 20, "watershed": {"smooth": 0.5}})
    example = Example("i", encode_png(APART), encode_png(APART), "x", "g")
    (answer,) = score(Answers([joined], [probability]), [example], CELL, options)
    assert (answer.row["count_predicted"], answer.row["count_canny"]) == (3, 2)
    assert answer.row["rand_f"] == 1
    with ObjectWriter(tmp_path / "objects.parquet") as writer:
        writer.write(answer, answer.mask, CELL, options)
    table = pd.read_parquet(tmp_path / "objects.parquet")
    assert len(table) == 3
    assert table["area"].sum() == joined.sum()


def test_every_predicted_object_is_in_the_table(tmp_path):
    from model.evaluated_objects import ObjectWriter

    missed, nothing = cells((5, 5, 25, 30), (28, 5, 57, 30)), cells()
    answers = one_class_answers([APART] * 3, [APART, nothing, missed])
    with ObjectWriter(tmp_path / "objects.parquet") as writer:
        for answer in answers:
            writer.write(answer, answer.mask, CELL, Objects(min_size=20))
    table = pd.read_parquet(tmp_path / "objects.parquet")
    assert table["image"].tolist() == ["i0"] * 3 + ["i2"] * 2
    assert set(table["class"]) == {"cell"}
    assert table["matched"].all()
    assert table["iou"].tolist()[:4] == [1] * 4
    assert table["iou"].tolist()[4] == pytest.approx(25 * 25 / (29 * 25))
    assert sorted(table["area"][:3]) == [500, 625, 1750]


def test_a_table_of_no_objects_at_all_can_be_read(tmp_path):
    from model.evaluated_objects import ObjectWriter

    with ObjectWriter(tmp_path / "objects.parquet") as writer:
        for answer in one_class_answers([APART], [cells()]):
            writer.write(answer, answer.mask, CELL, Objects())
    assert len(pd.read_parquet(tmp_path / "objects.parquet")) == 0


def test_instances_are_in_the_table_as_the_model_labels_them(
    make_case, session, make_examples, tmp_path
):
    from model.evaluated_objects import ObjectWriter
    from segtrail.images import decode_image

    case = make_case("instances")
    answers = list(score(session(case.exported), make_examples(case), case.task, Objects()))
    with ObjectWriter(tmp_path / "objects.parquet") as writer:
        for answer in answers:
            image = decode_image(answer.example.image_bytes, "x")
            writer.write(answer, image, case.task, case.recipe.objects)
    table = pd.read_parquet(tmp_path / "objects.parquet")
    counts = table.groupby("image").size().to_dict()
    rows = [answer.row for answer in answers]
    assert counts == {r["image"]: r["count_predicted"] for r in rows if r["count_predicted"]}
    for answer in answers:
        mine = table[table["image"] == answer.example.image]
        for label, sure in zip(mine["label"], mine["confidence"], strict=True):
            p = answer.probability[answer.labels == label].mean() / 255
            assert sure == pytest.approx(p)
    matched = table[table["matched"]].groupby("image").size().to_dict()
    for row in rows:
        found = matched.get(row["image"], 0)
        wanted = row["count_true"] + row["count_predicted"] - found
        assert row["ap_50"] == pytest.approx(found / wanted)
