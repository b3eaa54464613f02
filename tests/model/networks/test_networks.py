"""What holds for every network: sizes, training, precision, the way into a SavedModel."""

import numpy as np
import pytest


def test_the_answer_has_the_size_of_the_input_for_odd_multiples(options):
    from model.networks.registry import build

    step = options.down_scale
    network = build(options, 2, 3)
    for height, width in ((step, step), (3 * step, step), (step, 5 * step)):
        answer = network(np.zeros((1, height, width, 2), np.float32))
        assert answer.shape == (1, height, width, 3)
        assert answer.dtype == "float32"


def test_a_graph_for_any_size_gives_what_the_network_gives(options):
    import tensorflow as tf

    from model.networks.registry import build

    network, step = build(options, 1, 2), options.down_scale
    graph = tf.function(
        lambda x: network(x, training=False),
        input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32)],
    )
    for height, width in ((step, 3 * step), (2 * step, step)):
        x = np.random.default_rng(1).normal(size=(2, height, width, 1)).astype(np.float32)
        answer = graph(x).numpy()
        assert answer.shape == (2, height, width, 2)
        np.testing.assert_allclose(answer, network(x, training=False).numpy(), atol=1e-5)


def test_every_pixel_of_the_image_matters_and_every_output_differs(options):
    import keras
    import tensorflow as tf

    from model.networks.registry import build

    keras.utils.set_random_seed(2)
    network = build(options, 1, 2)
    step = options.down_scale
    side = max(4 // step, 1) * step  # the average of a single pixel is that pixel
    x = tf.Variable(np.random.default_rng(1).normal(size=(1, side, side, 1)).astype(np.float32))
    with tf.GradientTape() as tape:
        # a power, since normalisation keeps the sum of its outputs
        total = tf.reduce_sum(network(x, training=True) ** 2)
    gradient = tape.gradient(total, x).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient != 0).mean() > 0.9
    answer = network(x).numpy()
    assert not np.allclose(answer[..., 0], answer[..., 1])


def test_every_weight_learns(options):
    import keras
    import tensorflow as tf

    from model.networks.registry import build

    keras.utils.set_random_seed(2)
    network = build(options, 1, 2)
    side = 2 * options.down_scale
    x = np.random.default_rng(1).normal(size=(2, side, side, 1)).astype(np.float32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network(x, training=True) ** 2)
    gradients = tape.gradient(total, network.trainable_weights)
    names = [
        weight.path
        for weight, gradient in zip(network.trainable_weights, gradients, strict=True)
        if gradient is None
    ]
    assert not names


def test_a_few_steps_reduce_the_loss(one_a_name, blobs):
    import keras

    from model.networks.registry import build

    images, masks = blobs
    keras.utils.set_random_seed(4)
    network = build(one_a_name, 1, 1)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    losses = [float(network.train_on_batch(images, masks)) for _ in range(12)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


def test_the_same_seed_gives_the_same_weights(options_of):
    import keras

    from model.networks.registry import build

    for name in ("unet", "residual_unet", "attention_unet", "unet_plus_plus"):
        made = []
        for _ in range(2):
            keras.utils.set_random_seed(9)
            made.append(build(options_of({"name": name, "base_filters": 2, "depth": 1}), 1, 1))
        for first, second in zip(*(one.get_weights() for one in made), strict=True):
            np.testing.assert_array_equal(first, second)


def test_logits_are_float32_in_mixed_precision_too(one_a_name):
    import keras

    from model.networks.registry import build, supervised

    side = one_a_name.down_scale
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build(one_a_name, 1, 2)
        both = [network, supervised(network)]
        dtypes = {str(layer.compute_dtype) for layer in network.layers}
    finally:
        keras.config.set_dtype_policy(before)
    assert "bfloat16" in dtypes
    for one in both:
        assert one(np.zeros((1, side, side, 1), np.float32)).dtype == "float32"


@pytest.mark.parametrize("stem", [1, 2])
def test_the_network_is_the_mean_of_the_heads_it_is_trained_by(options_of, stem):
    from model.networks.registry import build, supervised

    options = options_of(
        {"name": "unet_plus_plus", "base_filters": 2, "depth": 3, "stem_stride": stem}
    )
    network = build(options, 1, 2)
    whole = supervised(network)
    x = np.random.default_rng(0).normal(size=(2, 48, 32, 1)).astype(np.float32)
    logits = whole(x).numpy()
    assert logits.shape == (2, 48, 32, 2 * 3)
    parts = np.split(logits, 3, axis=-1)
    np.testing.assert_allclose(network(x).numpy(), np.mean(parts, axis=0), atol=1e-5)
    assert not np.allclose(parts[0], parts[1])
    assert {id(weight) for weight in whole.weights} == {id(weight) for weight in network.weights}


@pytest.mark.parametrize(
    "given",
    [
        {"base_filters": 2, "depth": 1},
        {"name": "unet_plus_plus", "base_filters": 2, "depth": 2, "deep_supervision": False},
        {"name": "unet_plus_plus", "base_filters": 2, "depth": 1},
    ],
)
def test_a_network_with_one_head_is_what_is_trained(options_of, given):
    from model.networks.registry import build, supervised

    network = build(options_of(given), 1, 1)
    assert supervised(network) is network


def test_training_the_heads_trains_the_network(options_of, blobs):
    import keras
    from keras import ops

    from model.networks.registry import build, supervised

    images, masks = blobs
    keras.utils.set_random_seed(4)
    network = build(options_of({"name": "unet_plus_plus", "base_filters": 4, "depth": 2}), 1, 1)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)

    def of_network():
        return float(loss(masks, network(images, training=True)))

    before, trained = of_network(), supervised(network)
    trained.compile(
        keras.optimizers.Adam(0.01),
        lambda true, logits: loss(ops.repeat(true, 2, -1), logits),
        jit_compile=False,
    )
    for _ in range(12):
        trained.train_on_batch(images, masks)
    assert of_network() < 0.8 * before


def test_the_whole_network_can_be_saved_and_read_as_keras_does(one_a_name, tmp_path):
    import keras

    from model.networks import blocks  # noqa: F401  registers its layers
    from model.networks.registry import build

    network = build(one_a_name, 1, 2)
    path = tmp_path / "network.keras"
    network.save(path)
    side = 2 * one_a_name.down_scale
    x = np.random.default_rng(0).normal(size=(1, side, side, 1)).astype(np.float32)
    again = keras.models.load_model(path)
    np.testing.assert_array_equal(again(x), network(x))


def test_a_session_gives_what_the_network_gives(
    one_a_name, make_case, images, encode, session, reference, tmp_path
):
    from dataclasses import replace

    import keras

    from model.export import export
    from model.networks.registry import build

    keras.utils.set_random_seed(6)
    case, out = make_case("instances"), tmp_path / "saved"
    recipe = case.recipe.model_copy(update={"network": one_a_name})
    network = build(one_a_name, 1, len(case.task.planes))
    facts = {"recipe": "test", "data_version": "d.dir"}
    export(network, case.layer, recipe, case.task, facts, out, encode(images[0]))
    case = replace(case, recipe=recipe, network=network)
    for image in images[:3]:
        expected = reference(image, case)[..., : len(case.task.classes)]
        pixels = image if image.ndim == 3 else image[..., None]
        answer = session(out).run("raw", {"images": pixels[None]})["probabilities"][0]
        np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.slow
def test_a_fresh_process_loads_the_network_with_layers_of_its_own(
    options_of, make_case, images, encode, tmp_path
):
    from model.export import export
    from model.networks.registry import build
    from model.verify import verify_in_fresh_process

    case, out = make_case("instances"), tmp_path / "saved"
    options = options_of({"name": "unet_plus_plus", "base_filters": 2, "stem_stride": 2})
    recipe = case.recipe.model_copy(update={"network": options})
    network = build(options, 1, len(case.task.planes))
    facts = {"recipe": "test", "data_version": "d.dir"}
    export(network, case.layer, recipe, case.task, facts, out, encode(images[0]))
    verify_in_fresh_process(out, encode(images[0]))
