"""The transform graph is the same in training, evaluation and serving, to the last bit."""

import cv2
import numpy as np
import pytest

from model.preprocessing import grey_level_histogram
from segtrail.grey import to_grey
from segtrail.recipe import Network, Recipe
from segtrail.session import SessionModel

RECIPE = Recipe.model_validate(
    {
        "dataset": "synthetic",
        "classes": ["nucleus"],
        "preprocessing": {},
        "network": {"base_filters": 4, "depth": 2},
        "training": {"steps": 1, "crop": 32},
        "objects": {"threshold": 0.5, "border_threshold": 0.7, "min_size": 2},
        "validation": {},
        "serving": {},
        "gate": {"absolute": [{"metric": "mean_iou", "min": 0.1}]},
    }
)


@pytest.fixture(scope="module")
def layer(graph_folder):
    import tensorflow_transform as tft

    return tft.TFTransformOutput(str(graph_folder)).transform_features_layer()


@pytest.fixture(scope="module")
def network():
    import keras

    from model.unet import build_unet

    keras.utils.set_random_seed(5)
    return build_unet(RECIPE.network, 1, 2)


@pytest.fixture(scope="module")
def exported(layer, network, images, encode, tmp_path_factory):
    from model.export import export

    folder = tmp_path_factory.mktemp("model") / "saved"
    facts = {"recipe": "test", "data_version": "d.dir"}
    export(network, layer, RECIPE, facts, folder, encode(images[0]))
    return folder


@pytest.fixture(scope="module")
def served(exported):
    return SessionModel(exported)


def reference(image, layer, network):
    """What the served model must answer, computed step by step outside of it."""
    import tensorflow as tf

    from model.preprocessing import normalise
    from model.unet import down_scale

    grey = to_grey(image)
    x = normalise(layer, tf.constant(grey[..., None]), tf.constant(grey_level_histogram(grey)))
    step = down_scale(RECIPE.network)
    padding = [(0, -grey.shape[0] % step), (0, -grey.shape[1] % step), (0, 0)]
    x = np.pad(x.numpy(), padding, mode="reflect")
    return tf.sigmoid(network(x[None], training=False))[0, : grey.shape[0], : grey.shape[1]].numpy()


def test_grey_levels_equal_opencvs_and_the_graphs(images):
    from model.serving_graph import to_grey as in_graph

    for image in images:
        expected = image
        if image.ndim == 3:
            expected = cv2.cvtColor(image[..., :3].copy(), cv2.COLOR_RGB2GRAY)
        np.testing.assert_array_equal(to_grey(image), expected)
        pixels = image if image.ndim == 3 else image[..., None]
        np.testing.assert_array_equal(in_graph(pixels)[..., 0], expected)


def test_decoding_in_the_graph_equals_opencvs_for_8_and_16_bit(encode):
    from model.serving_graph import decode_grey
    from segtrail.images import decode_image

    generator = np.random.default_rng(1)
    for shape in ((9, 7), (9, 7, 3), (9, 7, 4)):
        for dtype in (np.uint8, np.uint16):
            data = encode(generator.integers(0, np.iinfo(dtype).max, shape).astype(dtype))
            got = decode_grey(data).numpy()[..., 0]
            np.testing.assert_array_equal(got, to_grey(decode_image(data, "x")))


def test_training_evaluation_and_serving_see_the_same_numbers(
    images, layer, network, served, encode
):
    for image in images:
        expected = reference(image, layer, network)
        pixels = image if image.ndim == 3 else image[..., None]
        raw = served.run("raw", {"images": pixels[None]})["probabilities"][0]
        np.testing.assert_allclose(raw, expected[..., :1], rtol=0, atol=1e-5)
        answer = served.run("serving_default", {"image_bytes": [encode(image)]})
        shown = cv2.imdecode(np.frombuffer(answer["probability_png"][0, 0], np.uint8), -1)
        np.testing.assert_array_equal(shown, np.round(raw[..., 0] * 255))


def test_the_layer_gives_the_same_bits_for_a_tile_as_within_its_image(images, layer):
    import tensorflow as tf

    from model.preprocessing import normalise

    grey = to_grey(images[0])[..., None]
    histogram = tf.constant(grey_level_histogram(grey))
    eager = normalise(layer, tf.constant(grey), histogram).numpy()
    dataset = tf.data.Dataset.from_tensors(grey).map(lambda g: normalise(layer, g, histogram))
    np.testing.assert_array_equal(next(iter(dataset)).numpy(), eager)
    tile = normalise(layer, tf.constant(grey[8:40, 16:48]), histogram).numpy()
    np.testing.assert_array_equal(tile, eager[8:40, 16:48])


def test_the_contract_names_and_types(served):
    signature = served.signatures["serving_default"]
    assert list(signature.inputs) == ["image_bytes"]
    types = {name: info.dtype for name, info in signature.outputs.items()}
    string, int64 = 7, 9
    assert types == {
        "mask_png": string, "probability_png": string, "labels_png": string,
        "count": int64, "height": int64, "width": int64,
    }  # fmt: skip
    assert set(served.signatures) == {"serving_default", "raw", "metadata"}
    said = served.run("metadata", {})
    assert said["class_names"].tolist() == [b"nucleus"]
    assert said["data_version"] == b"d.dir"


def test_mixed_sizes_and_no_images_in_one_request(served, images, encode):
    answer = served.run("serving_default", {"image_bytes": [encode(i) for i in images]})
    assert answer["height"].tolist() == [image.shape[0] for image in images]
    assert answer["width"].tolist() == [image.shape[1] for image in images]
    assert answer["probability_png"].shape == (len(images), 1)
    assert len(served.run("serving_default", {"image_bytes": []})["mask_png"]) == 0


def test_objects_in_the_answer_equal_the_reference(served, images, layer, network, encode):
    from model.objects import label_objects

    for image in images:
        planes = reference(image, layer, network)
        expected = label_objects(planes[..., 0] > 0.5, planes[..., 1] > 0.7, RECIPE.objects)
        answer = served.run("serving_default", {"image_bytes": [encode(image)]})
        got = cv2.imdecode(np.frombuffer(answer["labels_png"][0], np.uint8), -1)
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got, expected)
        assert answer["count"][0] == expected.max()


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\nbroken"])
def test_a_damaged_image_is_an_invalid_argument(served, data):
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        served.run("serving_default", {"image_bytes": [data]})


def test_no_random_fingerprint_is_exported_and_warm_up_requests_are(exported):
    from segtrail.saved_model import file_digests

    assert "fingerprint.pb" not in file_digests(exported)
    assert "assets.extra/tf_serving_warmup_requests" in file_digests(exported)


def test_a_fresh_process_can_load_it_and_says_why_when_not(exported, images, encode, tmp_path):
    import shutil

    from model.verify import verify_in_fresh_process
    from segtrail.errors import StageError

    verify_in_fresh_process(exported, encode(images[0]))
    broken = tmp_path / "broken"
    shutil.copytree(exported, broken)
    (broken / "variables" / "variables.index").unlink()
    with pytest.raises(StageError, match="session loader"):
        verify_in_fresh_process(broken, encode(images[0]))


@pytest.mark.parametrize("stem", [1, 2])
def test_the_network_answers_at_the_size_of_its_input(stem):
    from model.unet import build_unet, down_scale

    options = Network(base_filters=2, depth=3, stem_stride=stem)
    side = down_scale(options) * 3
    answer = build_unet(options, 1, 2)(np.zeros((1, side, 2 * side, 1), np.float32))
    assert answer.shape == (1, side, 2 * side, 2)
