"""Classes of which an image has one: the graph keeps what the reference keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.components import largest
from segtrail.images import decode_image
from segtrail.task import Task, class_planes, own_places

PLANES = arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)))
OVERLAP = Task("multilabel", ("disc", "cup"), ((1,), (2,)))
EXCLUDE = Task("classes", ("cytoplasm", "nucleus"), ((1,), (2,)))


@settings(deadline=None)
@given(PLANES)
def test_what_is_kept_is_one_component_and_none_is_larger(plane) -> None:
    from scipy import ndimage

    kept = largest(plane)
    assert not (kept & ~plane).any()
    labels, count = ndimage.label(plane)
    sizes = np.bincount(labels.ravel(), minlength=1)[1:]
    assert kept.sum() == (sizes.max() if count else 0)
    assert ndimage.label(kept)[1] == min(count, 1)


@pytest.mark.parametrize("task", [OVERLAP, EXCLUDE], ids=lambda task: task.masks)
@pytest.mark.parametrize("of", [["{0}"], ["{1}"], ["{0}", "{1}"]], ids=len)
def test_the_graph_keeps_what_the_reference_keeps(task, of) -> None:
    from model.largest_graph import keep_largest

    names = [each.format(*task.classes) for each in of]
    rng = np.random.default_rng(4)
    for share in (0.0, 0.2, 0.55, 0.9):
        shape = tuple(rng.integers(1, 60, 2))
        mask = rng.integers(0, 3 if task is EXCLUDE else 4, shape) * (rng.random(shape) < share)
        got = keep_largest(mask.astype(np.uint8), task, names).numpy()
        was, now = (class_planes(m, task.masks, own_places(2)) for m in (mask, got))
        for k, name in enumerate(task.classes):
            expected = largest(was[..., k]) if name in names else was[..., k]
            np.testing.assert_array_equal(now[..., k], expected)


def test_a_served_mask_has_one_piece_of_each_such_class(
    make_case, session, encode, images, tmp_path
) -> None:
    from model.export import export

    case = make_case("multilabel")
    objects = case.recipe.objects.model_copy(update={"largest": ["disc"]})
    recipe = case.recipe.model_copy(update={"objects": objects})
    facts = {"recipe": "test", "data_version": "d.dir"}
    out = tmp_path / "saved"
    export(case.network, case.layer, recipe, case.task, facts, out, encode(images[0]))
    pieces = 0
    for image in images:
        request = {"image_bytes": [encode(image)]}
        answers = [session(each).run("serving_default", request) for each in (case.exported, out)]
        masks = [decode_image(bytes(answer["mask_png"][0]), "answer") for answer in answers]
        was, now = (case.task.answered_planes(mask) for mask in masks)
        np.testing.assert_array_equal(now[..., 0], largest(was[..., 0]))
        np.testing.assert_array_equal(now[..., 1], was[..., 1])
        pieces += was[..., 0].sum() > now[..., 0].sum()
    assert pieces  # else nothing was dropped
