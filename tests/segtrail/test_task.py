"""What a recipe may segment of its dataset, and what a mask's values mean."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from segtrail.errors import ConfigError
from segtrail.params import dump, load_params
from segtrail.settings.preprocessing import Preprocessing
from segtrail.task import Task, class_planes, load_task
from segtrail.workspace import Workspace


def params(masks="classes", known=("cytoplasm", "nucleus"), learnt=("cytoplasm", "nucleus"),
           absolute=None, relative=None, **sections):  # fmt: skip
    return {
        "datasets": {
            "cells": {
                "adapter": "folders",
                "masks": masks,
                "classes": list(known),
                "slices": {},
                "splits": {},
            }
        },
        "recipes": {
            "r": {
                "dataset": "cells",
                "classes": learnt if isinstance(learnt, dict) else list(learnt),
                "preprocessing": {},
                "network": {},
                "training": {"steps": 1},
                "objects": {},
                "validation": {},
                "serving": {},
                "gate": {
                    "absolute": absolute or [{"metric": "mean_iou", "min": 0.5}],
                    "relative": relative or [],
                },
            }
            | sections
        },
    }


def load(raw, folder: Path):
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return load_params(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"learnt": ["nucleos"]}, "recipes.r.classes: the dataset 'cells' has no 'nucleos'; "
         "expected one or more of cytoplasm, nucleus. Did you mean 'nucleus'?"),
        ({"learnt": ["cytoplasm", "nucleous"]}, "Did you mean 'nucleus'?"),
        ({"learnt": ["nucleus", "cytoplasm"]}, "recipes.r.classes is nucleus, cytoplasm; expected "
         "the order of the dataset 'cells': cytoplasm, nucleus"),
        ({"learnt": {"n": ["nucleus"], "c": ["cytoplasm"]}}, "is n, c; expected the order of the "
         "dataset 'cells': c, n"),
        ({"learnt": ["nucleus", "nucleus"]}, "recipes.r.classes: names nucleus twice"),
        ({"learnt": {"cell": ["cytoplasm", "nucleus"], "kern": ["nucleus"]}},
         "recipes.r.classes: nucleus is in cell and in kern"),
        ({"learnt": {"cell": ["nucleus", "nucleus"]}}, "classes: nucleus is twice in cell"),
        ({"learnt": {"background": ["nucleus"]}},
         "recipes.r.classes: 'background' is no class: it is what is 0 in the masks"),
        ({"known": ["background", "nucleus"], "learnt": ["nucleus"]},
         "datasets.cells.classes: 'background' is no class"),
        ({"learnt": []}, "recipes.r.classes: got []; expected at least 1 item"),
        ({"learnt": ["White Cell"]}, "got 'White Cell'; expected lower-case letters, digits and"),
        ({"learnt": {"cell": []}}, "recipes.r.classes.cell: got []"),
        ({"learnt": {"cell": ["nucleos"]}}, "recipes.r.classes: the dataset 'cells' has no"),
        ({"learnt": {"cell": "nucleus"}}, "recipes.r.classes.cell: got 'nucleus'"),
        ({"objects": {"grow": 3}}, "recipes.r.objects.grow is read where objects are told apart"),
        ({"objects": {"watershed": {}}}, "recipes.r.objects.watershed is for one class of masks"),
        ({"objects": {"largest": ["cell"]}}, "recipes.r.objects.largest names cell; expected "
         "classes of the recipe: cytoplasm, nucleus"),
        ({"objects": {"largest": ["n"]}, "known": ["n"], "learnt": ["n"], "masks": "instances"},
         "recipes.r.objects.largest is for classes of which an image has one; the masks of the "
         "dataset 'cells' hold instances"),
        ({"preprocessing": {"tile": 208}, "network": {"depth": 5}, "training": {"steps": 1}},
         "preprocessing.tile (208) must be a multiple of 32"),
        ({"absolute": [{"metric": "ap_50", "min": 0.5}]},
         "recipes.r.gate asks for ap_50, which needs instances; the masks of the dataset 'cells' "
         "hold classes. Use mean_iou"),
        ({"relative": [{"metric": "ap_50"}], "masks": "multilabel"}, "hold multilabel"),
        ({"absolute": [{"metric": "count_error", "max": 3}]}, "asks for count_error"),
        ({"absolute": [{"metric": "iou_cell", "min": 0.5}]},
         "recipes.r.gate asks for iou_cell; the recipe's classes are cytoplasm, nucleus"),
        ({"learnt": ["nucleus"], "relative": [{"metric": "dice_cytoplasm"}]},
         "asks for dice_cytoplasm; the recipe's classes are nucleus"),
        ({"absolute": [{"metric": "mean_iuo", "min": 0.5}]}, "absolute.0.metric: got 'mean_iuo'; "
         "expected mean_iou, mean_dice, mean_precision"),
        ({"absolute": [{"metric": "iou_nucleus", "min": 80}]}, "iou_nucleus is between 0 and 1"),
        ({"relative": [{"margin": 1.5}]}, "nothing would be refused"),
    ],
)  # fmt: skip
def test_what_a_recipe_cannot_have_is_refused(tmp_path, changes, says):
    with pytest.raises(ConfigError) as caught:
        load(params(**changes), tmp_path)
    assert says in caught.value.message
    assert "the file: " not in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"absolute": [{"metric": "iou_nucleus", "min": 0.5}]},
        {"learnt": ["nucleus"], "relative": [{"metric": "dice_nucleus"}]},
        {"masks": "instances", "known": ["nucleus"], "learnt": ["nucleus"],
         "absolute": [{"metric": "ap_50", "min": 0.5}, {"metric": "iou_nucleus", "min": 0.5}]},
        {"known": [f"c{i}" for i in range(8)], "learnt": [f"c{i}" for i in range(8)]},
    ],
)  # fmt: skip
def test_what_it_can_have_is_taken(tmp_path, changes):
    load(params(**changes), tmp_path)


def test_the_task_of_a_recipe_knows_the_places_of_its_classes_in_the_datasets_masks(tmp_path):
    load(params(known=("a", "b", "c"), learnt=("a", "c")), tmp_path)
    task = load_task(Workspace(tmp_path, tmp_path), "r")
    assert task == Task("classes", ("a", "c"), ((1,), (3,)))
    assert task.planes == ("a", "c")
    assert not task.has_objects
    mask = np.array([[0, 1, 2, 3]], np.uint16)
    assert task.true_planes(mask)[0].tolist() == [
        [False, False], [True, False], [False, False], [False, True],
    ]  # fmt: skip
    assert task.answered_planes(mask)[0, :, 1].tolist() == [False, False, True, False]


def test_several_classes_can_be_learnt_as_one(tmp_path):
    load(params(known=("a", "b", "c"), learnt={"ab": ["a", "b"], "c": ["c"]}), tmp_path)
    task = load_task(Workspace(tmp_path, tmp_path), "r")
    assert task == Task("classes", ("ab", "c"), ((1, 2), (3,)))
    mask = np.array([[0, 1, 2, 3]], np.uint16)
    assert task.true_planes(mask)[0].astype(int).tolist() == [[0, 0], [1, 0], [1, 0], [0, 1]]
    bits = np.array([[0, 1, 2, 3, 4, 6]], np.uint8)
    planes = class_planes(bits, "multilabel", task.numbers)
    assert planes[0].astype(int).tolist() == [[0, 0], [1, 0], [1, 0], [1, 0], [0, 1], [1, 1]]


def test_the_order_within_a_merged_class_does_not_matter(tmp_path):
    tasks = []
    for learnt in ({"ac": ["a", "c"], "b": ["b"]}, {"ac": ["c", "a"], "b": ["b"]}):
        load(params(known=("a", "b", "c"), learnt=learnt), tmp_path)
        tasks.append(load_task(Workspace(tmp_path, tmp_path), "r"))
    assert tasks[0] == tasks[1] == Task("classes", ("ac", "b"), ((1, 3), (2,)))


@pytest.mark.parametrize("given", ["nucleus", [1, 2], None])
def test_classes_are_a_list_or_a_mapping(tmp_path, given):
    raw = params()
    raw["recipes"]["r"]["classes"] = given
    with pytest.raises(ConfigError, match=r"classes: got .*; expected a list of names, such as"):
        load(raw, tmp_path)


@pytest.mark.parametrize("learnt", [["a", "c"], {"ab": ["a", "b"], "c": ["c"]}])
def test_classes_are_written_as_they_were_given(tmp_path, learnt):
    recipe = load(params(known=("a", "b", "c"), learnt=learnt), tmp_path).recipes["r"]
    assert dump(recipe)["classes"] == learnt


def test_instances_are_one_class_and_a_border():
    task = Task("instances", ("nucleus",), ((1,),))
    assert task.planes == ("nucleus", "border")
    labels = np.array([[0, 1, 65535]], np.uint16)
    assert task.true_planes(labels)[0, :, 0].tolist() == [False, True, True]


def test_classes_that_overlap_are_bits():
    mask = np.array([[0, 1, 3, 128]], np.uint8)
    planes = class_planes(mask, "multilabel", [[1], [2], [8]])
    assert planes[0].astype(int).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_colours_are_not_inverted_unless_it_is_asked():
    assert Preprocessing().invert_bright
    assert not Preprocessing.model_validate({"colour": "rgb"}).invert_bright
    asked = {"colour": "rgb", "invert_bright": True}
    assert Preprocessing.model_validate(asked).invert_bright
