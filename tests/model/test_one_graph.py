"""The transform graph is the same in training, evaluation and serving, to the last bit."""

import cv2
import numpy as np
import pytest

from model.preprocessing import level_histogram
from model.scaling import shrink
from segtrail.colour import to_channels
from segtrail.grey import to_grey
from segtrail.images import decode_image
from segtrail.settings.preprocessing import Preprocessing


def decoded(png):
    return decode_image(bytes(png), "answer")


def test_channels_equal_opencvs_and_the_graphs(images):
    from model.decoding_graph import to_channels as in_graph

    for image in images:
        grey, colours = image, image[..., :3]
        if image.ndim == 3:
            grey = cv2.cvtColor(colours.copy(), cv2.COLOR_RGB2GRAY)
        else:
            colours = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        np.testing.assert_array_equal(to_grey(image), grey)
        np.testing.assert_array_equal(to_channels(image, "rgb"), colours)
        pixels = image if image.ndim == 3 else image[..., None]
        np.testing.assert_array_equal(in_graph(pixels, "grey")[..., 0], grey)
        np.testing.assert_array_equal(in_graph(pixels, "rgb"), colours)


@pytest.mark.parametrize("sixteen_bit", ["used-bits", "full-range", "percentiles"])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.parametrize("bits", [8, 9, 12, 16])
def test_decoding_in_the_graph_equals_opencvs_for_any_depth(encode, colour, bits, sixteen_bit):
    from model.decoding_graph import decode

    generator = np.random.default_rng(1)
    for shape in ((9, 7), (9, 7, 3), (9, 7, 4)):
        pixels = generator.integers(0, 1 << bits, shape).astype(
            np.uint8 if bits == 8 else np.uint16
        )
        if shape[-1] == 4:
            pixels[..., 3] = np.iinfo(pixels.dtype).max  # alpha says nothing of the depth
        data = encode(pixels)
        expected = to_channels(decode_image(data, "x"), colour, sixteen_bit)
        options = Preprocessing(colour=colour, sixteen_bit=sixteen_bit)
        np.testing.assert_array_equal(decode(data, options).numpy(), expected)
        if sixteen_bit != "full-range" or bits in (8, 16):
            assert expected.max() >= 128  # the highest bits are in use
        else:
            assert expected.max() < 1 << (bits - 8)


def test_a_grey_image_with_alpha_decodes_to_its_grey_levels():
    import tensorflow as tf

    from model.decoding_graph import decode

    for dtype in (np.uint8, np.uint16):
        pixels = np.arange(48).reshape(4, 6, 2).astype(dtype) * 5
        data = tf.io.encode_png(pixels).numpy()
        got = decode(data, Preprocessing(colour="rgb")).numpy()
        np.testing.assert_array_equal(got, to_channels(pixels[..., 0], "rgb"))
        np.testing.assert_array_equal(decode(data, Preprocessing()).numpy()[..., 0], got[..., 0])


def test_a_hot_pixel_does_not_darken_an_image_stretched_by_percentiles():
    pixels = np.random.default_rng(1).integers(100, 300, (60, 50)).astype(np.uint16)
    pixels[3, 4] = 65535
    assert to_channels(pixels, "grey", "used-bits").max() == 255
    assert np.median(to_channels(pixels, "grey", "used-bits")) == 0
    stretched = to_channels(pixels, "grey", "percentiles")
    assert 100 < np.median(stretched) < 155
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_sixteen_bits_come_through_raw16_as_through_a_file(case, session, encode):
    served = session(case.exported)
    pixels = np.random.default_rng(6).integers(0, 4096, (40, 33, 3)).astype(np.uint16)
    raw = served.run("raw16", {"images": pixels[None]})["probabilities"][0]
    answer = served.run("serving_default", {"image_bytes": [encode(pixels)]})
    shown = np.dstack([decoded(png) for png in answer["probability_png"][0]])
    np.testing.assert_array_equal(shown, np.round(raw * 255))
    eight = served.run("raw", {"images": (pixels >> 4).astype(np.uint8)[None]})["probabilities"][0]
    np.testing.assert_array_equal(raw, eight)


def test_training_evaluation_and_serving_see_the_same_numbers(
    images, case, session, reference, encode
):
    served, classes = session(case.exported), len(case.task.classes)
    for image in images:
        expected = reference(image, case)
        pixels = image if image.ndim == 3 else image[..., None]
        raw = served.run("raw", {"images": pixels[None]})["probabilities"][0]
        np.testing.assert_allclose(raw, expected[..., :classes], rtol=0, atol=1e-5)
        answer = served.run("serving_default", {"image_bytes": [encode(image)]})
        shown = np.dstack([decoded(png) for png in answer["probability_png"][0]])
        np.testing.assert_array_equal(shown, np.round(raw * 255))


def test_the_layer_gives_the_same_bits_for_a_tile_as_within_its_image(images, case):
    import tensorflow as tf

    from model.preprocessing import normalise

    layer, options = case.layer, case.recipe.preprocessing
    pixels = shrink(to_channels(images[0], options.colour), options.scale)
    histogram = tf.constant(level_histogram(pixels))
    eager = normalise(layer, tf.constant(pixels), histogram).numpy()
    dataset = tf.data.Dataset.from_tensors(pixels).map(lambda p: normalise(layer, p, histogram))
    np.testing.assert_array_equal(next(iter(dataset)).numpy(), eager)
    tile = normalise(layer, tf.constant(pixels[8:30, 16:32]), histogram).numpy()
    np.testing.assert_array_equal(tile, eager[8:30, 16:32])


def test_the_normalised_channels_have_mean_0_and_deviation_1_whatever_the_colours(make_case):
    import tensorflow as tf

    from model.preprocessing import normalise

    layer = make_case("classes").layer
    noise = np.random.default_rng(2).integers(0, 40, (50, 60, 3))
    pixels = (noise + np.array([10, 100, 200])).astype(np.uint8)
    got = normalise(layer, tf.constant(pixels), tf.constant(level_histogram(pixels))).numpy()
    np.testing.assert_allclose(got.mean((0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(got.std((0, 1)), 1, atol=1e-4)


def test_square_roots_are_what_is_normalised_where_it_is_asked(learn, tmp_path):
    import tensorflow as tf
    import tensorflow_transform as tft

    from model.preprocessing import normalise

    generator = np.random.default_rng(8)
    images = [generator.integers(0, 120, (40, 50)).astype(np.uint8) for _ in range(3)]
    images.append(255 - images[0])  # bright: inverted first
    for normalisation in ("image", "dataset"):
        options = Preprocessing(intensity="sqrt", normalisation=normalisation)
        graph = learn(images, options, tmp_path / normalisation)
        layer = tft.TFTransformOutput(str(graph)).transform_features_layer()
        roots = [np.sqrt(255.0 * image) for image in [*images[:3], images[0]]]
        for image, root in zip(images, roots, strict=True):
            image = image[..., None]
            got = normalise(layer, tf.constant(image), tf.constant(level_histogram(image)))
            over = root if normalisation == "image" else np.concatenate(roots)
            expected = (root - over.mean()) / over.std()
            np.testing.assert_allclose(got[..., 0], expected, atol=1e-4)


def test_bright_colour_images_are_inverted_as_a_whole_where_it_is_asked(make_case):
    import tensorflow as tf

    from model.preprocessing import normalise

    pixels = np.random.default_rng(2).integers(0, 100, (20, 30, 3)).astype(np.uint8)
    for kind, sign in (("classes", -1), ("multilabel", 1)):
        layer = make_case(kind).layer
        dark, bright = (
            normalise(layer, tf.constant(p), tf.constant(level_histogram(p))).numpy()
            for p in (pixels, 255 - pixels)
        )
        np.testing.assert_allclose(bright, sign * dark, atol=1e-5)


def test_the_contract_names_and_types(case, session):
    served = session(case.exported)
    signature = served.signatures["serving_default"]
    assert list(signature.inputs) == ["image_bytes"]
    types = {name: info.dtype for name, info in signature.outputs.items()}
    string, int64 = 7, 9
    expected = {"mask_png": string, "probability_png": string, "height": int64, "width": int64}
    if case.task.has_objects:
        expected |= {"labels_png": string, "count": int64}
    assert types == expected
    assert set(served.signatures) == {"serving_default", "raw", "raw16", "metadata"}
    said = served.run("metadata", {})
    assert [name.decode() for name in said["class_names"]] == list(case.task.classes)
    assert said["masks"].decode() == case.task.masks
    assert said["data_version"] == b"d.dir"


def test_mixed_sizes_and_no_images_in_one_request(case, session, images, encode):
    served = session(case.exported)
    answer = served.run("serving_default", {"image_bytes": [encode(i) for i in images]})
    assert answer["height"].tolist() == [image.shape[0] for image in images]
    assert answer["width"].tolist() == [image.shape[1] for image in images]
    assert answer["probability_png"].shape == (len(images), len(case.task.classes))
    for image, png in zip(images, answer["mask_png"], strict=True):
        assert decoded(png).shape == image.shape[:2]
    assert len(served.run("serving_default", {"image_bytes": []})["mask_png"]) == 0


def test_the_mask_follows_from_the_probabilities(case, session, images, encode):
    served, threshold = session(case.exported), case.recipe.objects.threshold
    seen = set()
    for image in images:
        pixels = image if image.ndim == 3 else image[..., None]
        raw = served.run("raw", {"images": pixels[None]})["probabilities"][0]
        if case.task.masks == "classes":
            expected = np.where(raw.max(-1) > threshold, raw.argmax(-1) + 1, 0)
        else:
            expected = ((raw > threshold) << np.arange(raw.shape[-1])).sum(-1)
        answer = served.run("serving_default", {"image_bytes": [encode(image)]}, ["mask_png"])
        mask = decoded(answer["mask_png"][0])
        np.testing.assert_array_equal(mask, expected)
        assert mask.dtype == np.uint8
        seen |= set(mask.ravel().tolist())
    # an untrained network says everything somewhere
    assert seen == {0, 1} if case.task.has_objects else seen >= {0, 1, 2}


def test_objects_in_the_answer_equal_the_reference(make_case, session, images, reference, encode):
    from model.objects import label_objects

    case = make_case("instances")
    for image in images:
        planes = reference(image, case)
        expected = label_objects(planes[..., 0] > 0.5, planes[..., 1] > 0.7, case.recipe.objects)
        answer = session(case.exported).run("serving_default", {"image_bytes": [encode(image)]})
        got = decoded(answer["labels_png"][0])
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got, expected)
        assert answer["count"][0] == expected.max()


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\nbroken"])
def test_a_damaged_image_is_an_invalid_argument(make_case, session, data):
    import tensorflow as tf

    served = session(make_case("instances").exported)
    with pytest.raises(tf.errors.InvalidArgumentError):
        served.run("serving_default", {"image_bytes": [data]})


def test_no_random_fingerprint_is_exported_and_warm_up_requests_are(case):
    from segtrail.saved_model import file_digests

    assert "fingerprint.pb" not in file_digests(case.exported)
    assert "assets.extra/tf_serving_warmup_requests" in file_digests(case.exported)


def test_a_fresh_process_can_load_it_and_says_why_when_not(make_case, images, encode, tmp_path):
    import shutil

    from model.verify import verify_in_fresh_process
    from segtrail.errors import StageError

    verify_in_fresh_process(make_case("multilabel").exported, encode(images[0]))
    broken = tmp_path / "broken"
    shutil.copytree(make_case("instances").exported, broken)
    (broken / "variables" / "variables.index").unlink()
    with pytest.raises(StageError, match="session loader"):
        verify_in_fresh_process(broken, encode(images[0]))
