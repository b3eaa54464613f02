"""Heads against numpy: probabilities, and where each class is."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.heads import chosen, mean_of_heads, probabilities, split_heads
from segtrail.settings.loss import SOFTMAX, head_of

logits = hnp.arrays(np.float32, (3, 4, 3), elements=st.floats(-1e4, 1e4, width=32))


def softmax_with_background(x):
    every = np.concatenate([np.zeros_like(x[..., :1]), x], -1).astype(np.float64)
    e = np.exp(every - every.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True))[..., 1:]


@settings(max_examples=25, deadline=None)
@given(logits)
def test_softmax_is_that_of_one_class_more_whose_logit_is_zero(x):
    got = np.asarray(probabilities(x, "softmax"))
    np.testing.assert_allclose(got, softmax_with_background(x), rtol=1e-3, atol=1e-6)
    assert (got.sum(-1) <= 1 + 1e-5).all()


@settings(max_examples=25, deadline=None)
@given(logits)
def test_sigmoid_takes_each_plane_on_its_own(x):
    got = np.asarray(probabilities(x, "sigmoid"))
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_of_one_class_both_heads_are_the_same():
    x = np.linspace(-30, 30, 61, dtype=np.float32).reshape(1, 61, 1)
    one, other = (np.asarray(probabilities(x, head)) for head in ("sigmoid", "softmax"))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_loss_tells_the_head():
    assert {name: head_of(name) for name in (*SOFTMAX, "bce_dice", "focal", "tversky")} == {
        "cross_entropy": "softmax", "cross_entropy_dice": "softmax", "categorical_focal": "softmax",
        "bce_dice": "sigmoid", "focal": "sigmoid", "tversky": "sigmoid",
    }  # fmt: skip


shares = hnp.arrays(np.float32, (5, 3), elements=st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.6, 0.9]))


@settings(max_examples=50, deadline=None)
@given(shares, st.sampled_from(["sigmoid", "softmax"]), st.sampled_from([0.4, 0.5, 0.7]))
def test_an_exclusive_class_is_the_first_of_the_most_probable(p, head, threshold):
    got = np.asarray(chosen(p, head, True, threshold))
    for row, found in zip(p, got, strict=True):
        # summed as float32, as they are: 0.2 + 0.3 may be a little more than 0.5 otherwise
        certain = row[0] + row[1] + row[2] if head == "softmax" else row.max()
        expected = np.arange(3) == row.argmax() if certain > np.float32(threshold) else [False] * 3
        np.testing.assert_array_equal(found, expected)


@settings(max_examples=20, deadline=None)
@given(shares)
def test_classes_that_may_overlap_are_where_they_pass_the_threshold(p):
    np.testing.assert_array_equal(chosen(p, "sigmoid", False, 0.5), p > 0.5)


def test_where_two_classes_meet_softmax_leaves_no_gap_of_background():
    p = np.array([[0.48, 0.47]], np.float32)
    assert np.asarray(chosen(p, "softmax", True, 0.5)).tolist() == [[True, False]]
    assert np.asarray(chosen(p, "sigmoid", True, 0.5)).tolist() == [[False, False]]


def test_heads_of_deep_supervision_are_split_and_averaged():
    x = np.arange(2 * 6, dtype=np.float32).reshape(1, 1, 2, 6)
    parts = split_heads(x, 2)
    assert len(parts) == 3
    np.testing.assert_array_equal(parts[1], x[..., 2:4])
    np.testing.assert_allclose(mean_of_heads(x, 2), x[..., 2:4])
    assert mean_of_heads(x, 6) is x
    with pytest.raises(ValueError, match=r"multiple of 4 channels.*received 6"):
        split_heads(x, 4)


@pytest.mark.parametrize("masks", ["classes", "multilabel"])
@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_an_answers_mask_shows_what_is_chosen(masks, head):
    from model.serving_graph import draw
    from segtrail.settings.objects import Objects
    from segtrail.task import Task

    task = Task(masks, ("a", "b", "c"), (1, 2, 3))
    x = np.random.default_rng(1).normal(0, 2, (20, 30, 3)).astype(np.float32)
    p = np.asarray(probabilities(x, head))
    drawn = draw(p, task, Objects(threshold=0.4), head).numpy()
    np.testing.assert_array_equal(drawn[..., :3], np.round(p * 255))
    planes = task.answered_planes(drawn[..., 3])
    np.testing.assert_array_equal(planes, chosen(p, head, masks == "classes", 0.4))


def test_a_model_of_exclusive_classes_is_exported_with_the_softmax_of_its_loss(
    make_case, session, images, encode, tmp_path
):
    from model.export import export
    from segtrail.images import decode_image

    case = make_case("classes")
    training = case.recipe.training.model_copy(update={"loss": "cross_entropy"})
    recipe, out = case.recipe.model_copy(update={"training": training}), tmp_path / "saved"
    facts = {"recipe": "test", "data_version": "d.dir"}
    export(case.network, case.layer, recipe, case.task, facts, out, encode(images[0]))
    pixels = images[1]
    served, other = session(out), session(case.exported)
    sure, alone = (
        model.run("raw", {"images": pixels[None]})["probabilities"][0] for model in (served, other)
    )
    logits = np.log(alone / (1 - alone))
    np.testing.assert_allclose(sure, softmax_with_background(logits), atol=1e-5)
    got = served.run("serving_default", {"image_bytes": [encode(pixels)]}, ["mask_png"])
    shown = case.task.answered_planes(decode_image(bytes(got["mask_png"][0]), "mask"))
    expected = chosen(sure, "softmax", True, recipe.objects.threshold)
    np.testing.assert_array_equal(shown, expected)
