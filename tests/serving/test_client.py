"""The client, against a server in another process."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from segtrail.errors import DataError, ServingError
from segtrail.images import encode_png
from serving import launch, questions
from serving.client import SegmentationClient
from serving.descriptions import TensorSpec
from serving.prediction import Prediction
from serving.questions import Which

IMAGE = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)


@pytest.fixture
def client(live):
    with SegmentationClient(live.target) as client:
        yield client


def test_predict_answers_each_image_in_order(client):
    small = np.zeros((5, 7), np.uint8)
    first, second = client.predict("tiny", [encode_png(IMAGE), encode_png(small)])
    np.testing.assert_array_equal(first.mask, IMAGE > 127)
    np.testing.assert_array_equal(first.labels, IMAGE > 127)
    np.testing.assert_array_equal(first.probabilities, IMAGE[..., None])
    assert (first.mask.dtype, first.labels.dtype, first.probabilities.dtype) == (
        np.uint8, np.uint16, np.uint8,
    )  # fmt: skip
    assert (first.count, first.size, first.version) == (1, (12, 20), 1)
    assert first.mask_png.startswith(b"\x89PNG")
    assert first.labels_png.startswith(b"\x89PNG")
    assert (second.count, second.size) == (0, (5, 7))
    assert second.mask.shape == (5, 7)


def test_no_image_is_no_answer(client):
    assert client.predict("tiny", []) == []


def test_only_the_outputs_asked_for_come(client):
    (answer,) = client.predict("tiny", [encode_png(IMAGE)], outputs=["count"])
    assert answer.count == 1
    assert answer.mask_png is None
    for name in ("mask", "labels", "probabilities"):
        with pytest.raises(ServingError, match="not asked for"):
            getattr(answer, name)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_tiff_is_sent_as_png_of_the_same_pixels(client, depth):
    done, tiff = cv2.imencode(".tiff", IMAGE.astype(depth) * (257 if depth == np.uint16 else 1))
    assert done
    (answer,) = client.predict("tiny", [tiff.tobytes()])
    np.testing.assert_array_equal(answer.mask, IMAGE > 127)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".png"])
def test_other_formats(client, suffix):
    done, data = cv2.imencode(suffix, np.full((9, 4), 200, np.uint8))
    assert done
    assert client.predict("tiny", [data.tobytes()])[0].mask.all()


def test_the_palette_of_a_bmp_is_honoured(client):
    """TensorFlow would take the indices for the pixels."""
    palette = b"".join(bytes([255 - i, 255 - i, 255 - i, 0]) for i in range(256))
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, 4, 1, 1, 8, 0, 4, 2835, 2835, 256, 0)
    data = b"BM" + struct.pack("<IHHI", start + 4, 0, 0, start) + header + palette
    (answer,) = client.predict("tiny", [data + bytes([0, 100, 200, 255])])
    assert answer.mask.tolist() == [[1, 1, 0, 0]]
    assert answer.probabilities[0, :, 0].tolist() == [255, 155, 55, 0]


def test_a_file_that_is_no_image_is_named(client):
    with pytest.raises(DataError, match=r"notes\.txt: not an image"):
        client.predict("tiny", [encode_png(IMAGE), b"hello"], names=["a.png", "notes.txt"])
    with pytest.raises(DataError, match=r"images\[1\]: the file is empty"):
        client.predict("tiny", [encode_png(IMAGE), b""])


def test_a_broken_image_is_the_servers_word_in_one_line(client):
    with pytest.raises(ServingError, match="INVALID_ARGUMENT") as e:
        client.predict("tiny", [encode_png(IMAGE)[:60]])
    assert "\n" not in e.value.message
    assert "node" not in e.value.message


def test_the_servers_words_name_the_image(client):
    cut = encode_png(IMAGE)[:60]
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: cut\.png: cut short"):
        client.predict("tiny", [encode_png(IMAGE), cut], names=["a.png", "cut.png"])
    with pytest.raises(ServingError, match=r"a\.png and 1 more: no answer within 1e-06 s") as e:
        asked = questions.predict(Which("tiny"), [IMAGE] * 2, names=["a.png", "b.png"])
        client._ask(asked, 1e-6)
    assert "fewer images at once" in e.value.hint


def test_any_signature_can_be_called(client):
    images = np.array([[[[0], [51]]]], np.uint8)
    answer = client.call("tiny", {"images": images}, "raw")
    np.testing.assert_allclose(answer["probabilities"], images / np.float32(255))
    assert answer["probabilities"].dtype == np.float32


def test_the_model_says_what_it_is(client):
    assert client.metadata("tiny") == {
        "class_names": ["nucleus"], "recipe": "tiny", "data_version": "abc", "threshold": 0.5,
    }  # fmt: skip
    found = client.signatures("tiny")
    assert {"serving_default", "raw", "metadata"} <= set(found)
    assert found["serving_default"].inputs == {"image_bytes": TensorSpec("string", (-1,))}
    assert found["raw"].outputs == {"probabilities": TensorSpec("float", (-1, -1, -1, 1))}
    assert client.served_version("tiny") == 1


def test_status(client):
    assert client.status("tiny") == {1: "AVAILABLE"}
    assert client.wait_until_available("tiny", 1) == 1
    assert client.wait_until_available("tiny") == 1


def test_waiting_ends(client):
    with pytest.raises(ServingError, match=r"version 9 not available after 0\.5 s \(v1 AVAILABLE"):
        client.wait_until_available("tiny", 9, timeout=0.5)


def test_a_model_that_is_not_served(client):
    for ask in (
        lambda: client.predict("tiny", [encode_png(IMAGE)], version=9),
        lambda: client.signatures("unknown"),
        lambda: client.status("unknown"),
    ):
        with pytest.raises(ServingError, match="is not served") as e:
            ask()
        assert "segtrail status" in (e.value.hint or "")


def test_no_server_says_how_to_start_one():
    target = f"127.0.0.1:{launch.free_port()}"
    with (
        SegmentationClient(target, timeout=5) as client,
        pytest.raises(ServingError, match=target) as e,
    ):
        client.predict("tiny", [encode_png(IMAGE)])
    assert "segtrail serve" in (e.value.hint or "")


@pytest.mark.parametrize(
    "answer",
    [
        Prediction(1, mask_png=b"not a PNG"),
        Prediction(1, mask_png=encode_png(np.zeros((2, 2), np.uint16))),
        Prediction(1, mask_png=encode_png(np.zeros((2, 2), np.uint8)), size=(2, 3)),
    ],
)
def test_an_answer_that_breaks_the_contract_is_an_error(answer):
    with pytest.raises(ServingError, match="mask_png of version 1"):
        _ = answer.mask
