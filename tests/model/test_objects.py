"""Objects: the Python reference against its definition, and the graph against the reference."""

import zipfile
from pathlib import Path

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.objects import label_objects
from segtrail.images import decode_image
from segtrail.settings.objects import Objects

planes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)
options = st.builds(Objects, grow=st.integers(0, 3), min_size=st.integers(0, 6))


def flood_fill(mask):
    """Connected components by 4 neighbours, the slow and obvious way, in raster order."""
    labels, count = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        todo = [start]
        while todo:
            y, x = todo.pop()
            inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
            if inside and mask[y, x] and not labels[y, x]:
                labels[y, x] = count
                todo += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return labels


@given(planes)
def test_without_growing_objects_are_the_components_in_raster_order(both):
    foreground, border = both
    found = label_objects(foreground, border, Objects(grow=0, min_size=0))
    np.testing.assert_array_equal(found, flood_fill(foreground & ~border))


@given(planes, options)
def test_ids_are_consecutive_within_foreground_and_large_enough(both, chosen):
    foreground, border = both
    found = label_objects(foreground, border, chosen)
    ids, sizes = np.unique(found[found > 0], return_counts=True)
    assert ids.tolist() == list(range(1, len(ids) + 1))
    assert (sizes >= chosen.min_size).all()
    assert not found[~foreground].any()


@given(planes)
def test_growing_only_adds_pixels(both):
    foreground, border = both
    before = label_objects(foreground, border, Objects(grow=0, min_size=0))
    after = label_objects(foreground, border, Objects(grow=2, min_size=0))
    np.testing.assert_array_equal(after[before > 0], before[before > 0])


def test_two_touching_discs_are_two_objects_that_cover_the_foreground():
    canvas = np.zeros((40, 60), np.uint8)
    a, b = cv2.circle(canvas.copy(), (20, 20), 12, 1, -1), cv2.circle(canvas, (42, 20), 12, 1, -1)
    foreground = (a | b) > 0
    border = np.zeros_like(foreground)
    border[:, 30:33] = True
    found = label_objects(foreground, border, Objects(grow=3, min_size=10))
    assert found.max() == 2
    assert (found > 0).sum() >= foreground.sum() - 4


def test_all_foreground_without_any_background_is_one_object():
    full = np.ones((5, 7), bool)
    assert (label_objects(full, ~full, Objects()) == 1).all()


@pytest.fixture(scope="module")
def graph():
    import tensorflow as tf

    from model import objects_graph

    made = {}

    def run(foreground, border, chosen):
        if chosen not in made:
            made[chosen] = tf.function(
                lambda f, b: objects_graph.label_objects(f, b, chosen),
                input_signature=[tf.TensorSpec([None, None], tf.bool)] * 2,
            )
        labels, count = made[chosen](foreground, border)
        return labels.numpy(), int(count)

    return run


def test_the_graph_equals_the_reference_on_random_planes(graph):
    chosen_options = [Objects(grow=g, min_size=m) for g, m in ((0, 0), (2, 4), (3, 1))]

    @settings(deadline=None, max_examples=150)
    @given(planes, st.sampled_from(chosen_options))
    def check(both, chosen):
        labels, count = graph(*both, chosen)
        expected = label_objects(*both, chosen)
        np.testing.assert_array_equal(labels, expected)
        assert count == expected.max(initial=0)

    check()


def test_the_graph_equals_the_reference_on_large_winding_objects(graph):
    generator = np.random.default_rng(3)
    noise = cv2.GaussianBlur(generator.random((300, 260)).astype(np.float32), (0, 0), 5)
    foreground, border = noise > 0.49, np.abs(noise - 0.52) < 0.002
    chosen = Objects(grow=3, min_size=8)
    labels, count = graph(foreground, border, chosen)
    np.testing.assert_array_equal(labels, label_objects(foreground, border, chosen))
    assert count > 5


@pytest.fixture(scope="module")
def in_blocks():
    import tensorflow as tf

    from model import objects_graph

    made = {}

    def run(foreground, border, chosen, side):
        if (chosen, side) not in made:
            made[chosen, side] = tf.function(
                lambda f, b: objects_graph.label_objects(f, b, chosen, side),
                input_signature=[tf.TensorSpec([None, None], tf.bool)] * 2,
            )
        labels, count = made[chosen, side](foreground, border)
        return labels.numpy(), int(count)

    return run


def test_labelled_in_blocks_objects_are_the_same(in_blocks):
    chosen_options = [Objects(grow=g, min_size=m) for g, m in ((0, 0), (2, 4), (5, 1))]

    @settings(deadline=None, max_examples=200)
    @given(planes, st.sampled_from(chosen_options), st.sampled_from([3, 8]))
    def check(both, chosen, side):
        labels, count = in_blocks(*both, chosen, side)
        expected = label_objects(*both, chosen)
        np.testing.assert_array_equal(labels, expected)
        assert count == expected.max(initial=0)

    check()


def test_objects_that_wind_through_many_blocks_are_one(in_blocks):
    generator = np.random.default_rng(3)
    noise = cv2.GaussianBlur(generator.random((300, 260)).astype(np.float32), (0, 0), 5)
    foreground, border = noise > 0.49, np.abs(noise - 0.52) < 0.002
    chosen = Objects(grow=3, min_size=8)
    labels, count = in_blocks(foreground, border, chosen, 16)
    np.testing.assert_array_equal(labels, label_objects(foreground, border, chosen))
    spiral = np.zeros((99, 99), bool)
    for k in range(0, 49, 2):  # one line, wound inwards
        spiral[k, max(k - 1, 0) : 99 - k] = spiral[k : 99 - k, 98 - k] = True
        spiral[98 - k, k : 99 - k] = spiral[k + 2 : 99 - k, k] = True
    spiral[0, 0] = True
    chosen = Objects(grow=0, min_size=0)
    labels, count = in_blocks(spiral, np.zeros_like(spiral), chosen, 8)
    expected = label_objects(spiral, np.zeros_like(spiral), chosen)
    np.testing.assert_array_equal(labels, expected)
    assert count == expected.max() < 5


def test_more_objects_than_ids_keep_the_first_ones(in_blocks):
    dots = np.zeros((520, 520), bool)
    dots[::2, ::2] = True
    chosen = Objects(grow=0, min_size=0)
    labels, count = in_blocks(dots, np.zeros_like(dots), chosen, 128)
    np.testing.assert_array_equal(labels, label_objects(dots, np.zeros_like(dots), chosen))
    assert count == 65535


ARCHIVE = Path(__file__).resolve().parents[2].parent / "shared/data/dsb2018/stage1_train.zip"


def real_planes(every):
    """Yields where nuclei are, and where they nearly touch, of each `every`-th real image."""
    from model.targets import border_plane

    with zipfile.ZipFile(ARCHIVE) as archive:
        masks = {}
        for name in archive.namelist():
            if "/masks/" in name and name.endswith(".png"):
                masks.setdefault(name.split("/masks/")[0], []).append(name)
        for image in sorted(masks)[::every]:
            ids = np.zeros((1, 1), np.uint16)
            for number, name in enumerate(masks[image], 1):
                one = decode_image(archive.read(name), name) > 0
                ids = np.maximum(ids, one.astype(np.uint16) * number)
            yield ids > 0, border_plane(ids, 2)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not ARCHIVE.exists(), reason="../shared/data is not there")
def test_real_nuclei_have_the_same_ids_in_the_graph_at_once_and_in_blocks(graph, in_blocks):
    chosen, seen = Objects(grow=3, min_size=32), 0
    for foreground, border in real_planes(every=6):
        expected = label_objects(foreground, border, chosen)
        for labels, count in (
            graph(foreground, border, chosen), in_blocks(foreground, border, chosen, 100)
        ):  # fmt: skip
            np.testing.assert_array_equal(labels, expected)
            assert count == expected.max(initial=0)
        seen += count
    assert seen > 3000
