"""Large images in tiles: what a network sees, how tiles are joined, and how little it changes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from model.tiling_graph import MARGIN, Tiling, in_tiles
from segtrail.images import decode_image, encode_png
from segtrail.settings.network import Network

NETWORKS = [
    {"depth": 3},
    {"depth": 2, "stem_stride": 2},
    {"depth": 3, "decoder": "transposed"},
    {"depth": 2, "decoder": "transposed", "up_kernel": 3},
    {"name": "residual_unet", "depth": 3},
    {"name": "attention_unet", "depth": 2},
    {"name": "unet_plus_plus", "depth": 3},
]


def options_of(given):
    return TypeAdapter(Network).validate_python({"base_filters": 2, **given})


def seen_from(network, side, at):
    """Returns how far from an impulse the answer changes; weights are all positive."""
    rng = np.random.default_rng(1)
    for variable in network.variables:
        if len(variable.shape) == 4:
            share = rng.normal(1, 0.1, variable.shape) / np.prod(variable.shape[:3])
            variable.assign(np.abs(share))
    image = rng.random((1, side, side, 1)).astype(np.float32)
    before = np.asarray(network(image))
    image[0, at, at] += 1e4
    y, x, _ = np.nonzero(np.asarray(network(image))[0] != before[0])
    return max(at - y.min(), y.max() - at, at - x.min(), x.max() - at)


@pytest.mark.parametrize("given", NETWORKS, ids=str)
def test_a_network_sees_as_far_as_is_said_and_hardly_less(given):
    from model.networks.registry import build
    from model.receptive_field import radius

    options = options_of(given)
    network, multiple = build(options, 1, 1), options.down_scale
    said = radius(network)
    side = (2 * said // multiple + 4) * multiple
    middle = side // 2 // multiple * multiple
    seen = max(seen_from(network, side, middle + k) for k in (0, multiple // 2, multiple - 1))
    assert 0.9 * said <= seen <= said


def test_no_end_is_said_of_what_is_not_known():
    import keras

    from model.networks.registry import build
    from model.receptive_field import radius

    inputs = keras.Input((None, None, 1))
    everywhere = keras.layers.GlobalAveragePooling2D(keepdims=True)(inputs)
    assert radius(keras.Model(inputs, keras.layers.Add()([inputs, everywhere]))) is None
    assert radius(build(options_of({"name": "inception_unet"}), 1, 1)) > 1000


@given(
    st.floats(0.02, 20), st.sampled_from([2, 16, 32, 64]), st.one_of(st.none(), st.integers(0, 999))
)
def test_tiles_overlap_by_what_the_network_sees_but_move_on(megapixels, multiple, radius):
    tiling = Tiling.of(megapixels, multiple, radius)
    assert tiling.side % multiple == tiling.margin % multiple == tiling.ramp % multiple == 0
    assert tiling.stride >= min(tiling.side // 2, multiple)
    assert tiling.margin <= MARGIN
    if megapixels * 1e6 >= (4 * max(multiple, 16)) ** 2:  # others the settings refuse
        assert tiling.side**2 <= tiling.whole
    if tiling.side >= 2048:
        assert tiling.margin >= min(64, 64 if radius is None else radius)


def test_tiles_add_up_to_the_image_whatever_its_size():
    import tensorflow as tf

    sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))

    @settings(deadline=None, max_examples=60)
    @given(sizes, st.sampled_from([4, 8]), st.integers(0, 40))
    def check(size, multiple, radius):
        tiling = replace(Tiling.of(0.02, multiple, radius), whole=10_000)
        asked = []

        def see(rows, columns):
            asked.append((len(rows), len(columns)))
            both = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), -1)
            return tf.cast(both, tf.float32)

        spec = tf.TensorSpec([None, None, 2], tf.float32)
        got = in_tiles(see, tf.identity, *map(tf.constant, size), 2, spec, tiling)
        expected = np.stack(np.indices(size), -1)
        np.testing.assert_allclose(got, expected, atol=1e-3)
        padded = [-(-n // multiple) * multiple for n in size]
        if padded[0] * padded[1] <= tiling.whole:
            assert asked == [tuple(padded)]
        else:
            assert all(max(sides) <= tiling.side for sides in asked)
        assert all(h % multiple == w % multiple == 0 for h, w in asked)

    check()


@pytest.fixture(scope="module")
def exported(make_case, encode, images, tmp_path_factory):
    """Exports a kind's network, to which images up to some megapixels are shown whole."""
    from model.export import export

    def run(kind, megapixels):
        case = make_case(kind)
        options = case.recipe.network.model_copy(update={"whole_megapixels": megapixels})
        recipe = case.recipe.model_copy(update={"network": options})
        out = tmp_path_factory.mktemp("saved") / kind
        facts = {"recipe": "test", "data_version": "d.dir"}
        export(case.network, case.layer, recipe, case.task, facts, out, encode(images[0]))
        return out

    return run


def textured(height, width):
    """Returns an image, uint8 `[H, W, 3]`, of blots on an uneven ground."""
    import cv2

    rng = np.random.default_rng(7)
    blots = cv2.GaussianBlur(rng.random((height, width, 3)).astype(np.float32), (0, 0), 4)
    ground = np.linspace(0, 40, width)[None, :, None]
    return np.clip((blots - 0.5) * 1200 + 110 + ground, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "megapixels"), [("instances", 0.03), ("classes", 0.08), ("multilabel", 0.02)]
)
def test_an_image_in_tiles_is_answered_as_if_it_were_seen_whole(
    exported, session, kind, megapixels
):
    image = textured(430, 387)
    tiles, whole = (session(exported(kind, most)) for most in (megapixels, 64))
    raw = [model.run("raw", {"images": image[None]})["probabilities"] for model in (tiles, whole)]
    assert np.abs(raw[0] - raw[1]).max() < 1e-5
    assert raw[1].std() > 0.01
    answers = [
        model.run("serving_default", {"image_bytes": [encode_png(image)]})
        for model in (tiles, whole)
    ]
    for name, one, other in [(n, answers[0][n][0], answers[1][n][0]) for n in answers[0]]:
        if not name.endswith("_png"):
            assert one == other
            continue
        pngs = zip(np.ravel([one]), np.ravel([other]), strict=True)
        planes = [[decode_image(bytes(p), name).astype(int) for p in pair] for pair in pngs]
        differ = np.mean([a != b for a, b in planes])
        assert differ < 1e-4, name  # of what lies on a threshold


def test_tiles_too_small_for_what_a_network_sees_are_hardly_another_answer():
    import keras
    import tensorflow as tf

    from model.networks.registry import build
    from model.receptive_field import radius

    options = options_of({"depth": 4, "base_filters": 4})
    keras.utils.set_random_seed(3)
    network = build(options, 1, 1)
    image = textured(500, 460)[..., :1].astype(np.float32) / 50 - 3
    small = Tiling.of(0.06, options.down_scale, radius(network))
    assert small.margin < radius(network)

    def answered(tiling):
        def see(rows, columns):
            tile = tf.gather(tf.gather(image, rows), columns, axis=1)
            return tf.sigmoid(network(tile[None])[0])

        spec = tf.TensorSpec([None, None, 1], tf.float32)
        return in_tiles(see, tf.identity, tf.constant(500), tf.constant(460), 1, spec, tiling)

    whole = answered(replace(small, whole=10**9))
    apart = [
        float(np.abs(answered(t) - whole).max()) for t in (small, replace(small, margin=0, ramp=16))
    ]
    assert apart[0] < 0.05  # of a network that was never trained, which weighs what is far as near
    assert 2 * apart[0] < apart[1]


def test_tiles_too_small_to_overlap_are_refused():
    with pytest.raises(ValidationError, match=r"whole_megapixels \(0\.1\).*at least 0\.27"):
        options_of({"depth": 6, "stem_stride": 2, "whole_megapixels": 0.1})
    assert options_of({"depth": 6, "stem_stride": 2, "whole_megapixels": 0.27})
