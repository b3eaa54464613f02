"""What an app developer uses: one image or many, in threads or in an event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import grpc
import numpy as np
import pytest

from segtrail.errors import DataError, SegtrailError, ServingError
from segtrail.images import encode_png
from serving import config, launch, questions
from serving.async_client import AsyncSegmentationClient
from serving.client import SegmentationClient
from serving.image_input import decoded
from serving.prediction import Prediction
from serving.questions import Which

IMAGE = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def client(live):
    with SegmentationClient(live.target, "tiny") as client:
        yield client


def test_bytes_paths_and_arrays_give_the_same(client, tmp_path):
    path = tmp_path / "cells.png"
    path.write_bytes(encode_png(IMAGE))
    done, tiff = cv2.imencode(".tiff", IMAGE)
    assert done
    png = encode_png(IMAGE)
    for image in (
        png, bytearray(png), memoryview(png), path, str(path), IMAGE, tiff.tobytes(),
        bytearray(tiff.tobytes()),
    ):  # fmt: skip
        found = client.segment(image)
        np.testing.assert_array_equal(found.mask, IMAGE > 127)
        assert (found.count, found.version) == (1, 1)
    assert client.segment(np.stack([IMAGE] * 3, -1)).mask.any()
    assert client.segment(IMAGE, outputs=["count"]).mask_png is None


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((2, 2), np.float32), "expected uint8 or uint16 pixels; received float32"),
        (np.zeros((2, 2, 5), np.uint8), "received (2, 2, 5)"),
        ("no-such.png", "no-such.png: cannot be read: No such file"),
        (b"hello", "the image: not an image"),
        (bytearray(), "the image: the file is empty"),
        (np.zeros((0, 0), np.uint8), "the image: expected [H, W], [H, W, 3] or [H, W, 4]; "),
        (np.zeros((4, 0, 3), np.uint8), "received (4, 0, 3)"),
        (None, "an array of its pixels; received NoneType"),
        (3, "received int"),
        ([[1, 2]], "received list"),
        ("a\0b", "'a\\x00b': cannot be read: embedded null byte"),
        (".", ".: cannot be read: Is a directory"),
    ],
)
def test_what_is_no_image_is_told_before_it_is_sent(client, image, says):
    with pytest.raises(DataError) as e:
        client.segment(image)
    assert says in e.value.message


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.tif"
    assert cv2.imwritemulti(str(path), [IMAGE] * 3)
    return path


def test_a_stack_is_not_segmented_by_its_first_page(client, stack):
    for image, name in ((stack, str(stack)), (stack.read_bytes(), "the image")):
        with pytest.raises(DataError) as e:
            client.segment(image)
        assert e.value.message == f"{name}: a TIFF of 3 pages; expected one image"
        assert "save the pages as files" in (e.value.hint or "")
    (error,) = client.segment_many([stack], return_errors=True)
    assert f"{stack}: a TIFF of 3 pages" in str(error)


def test_images_and_answers_of_more_than_67_million_pixels_are_read():
    large = encode_png(np.zeros((8193, 8193), np.uint8))
    assert decoded(large, "x").shape == (8193, 8193)
    assert Prediction(1, mask_png=large).mask.shape == (8193, 8193)
    header = large[:16] + (11_000).to_bytes(4) + (11_000).to_bytes(4) + large[24:]
    with pytest.raises(DataError, match=r"x: 11000x11000 pixels by its header; at most 120,000"):
        decoded(header, "x")


def test_a_model_must_be_named(live):
    with SegmentationClient(live.target) as client, pytest.raises(ValueError, match="which model"):
        client.segment(IMAGE)


def test_a_version_or_a_label(client):
    assert client.segment(IMAGE, version=1).version == 1
    with pytest.raises(ServingError, match="version 9 is not served"):
        client.segment(IMAGE, version=9)
    with pytest.raises(ServingError, match=r"'tiny' label 'x': INVALID_ARGUMENT"):
        client.segment(IMAGE, label="x")
    with pytest.raises(ValueError, match="a version or a label"):
        client.segment(IMAGE, version=1, label="stable")


@pytest.fixture
def silent():
    """The target of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_who_does_not_answer_in_time(silent):
    with (
        SegmentationClient(silent, "tiny") as client,
        pytest.raises(ServingError, match=r"model 'tiny': no answer within 0.3 s") as e,
    ):
        client.segment(IMAGE, timeout=0.3)
    assert e.value.hint == "allow more time: timeout= of the client, --timeout of segtrail predict"


def test_any_time_is_time_enough(client):
    assert client.segment(IMAGE, timeout=float("inf")).count == 1


def test_larger_images_have_more_time():
    large = questions.predict(Which("tiny"), [np.zeros((1000, 3000), np.uint8)] * 2)
    assert large.seconds(None, None) == 60 + 10 * 6
    assert large.seconds(None, 5.0) == 5
    assert large.seconds(7.0, 5.0) == 7
    assert questions.metadata(Which("tiny")).seconds() == 60


def test_who_does_not_answer_in_time_in_an_event_loop(silent):
    async def ask():
        async with AsyncSegmentationClient(silent, "tiny", timeout=0.3) as client:
            await client.segment(IMAGE)

    with pytest.raises(ServingError, match=r"no answer within 0.3 s"):
        asyncio.run(ask())


def brightening(count):
    return [np.full((k + 1, 9), 255 * k // (count - 1), np.uint8) for k in range(count)]


def test_many_come_in_order_and_are_taken_as_they_are_needed(client):
    images, taken = brightening(40), []

    def one_after_another():
        for number, image in enumerate(images):
            taken.append(number)
            yield image

    sizes, ahead = [], []
    for answer in client.segment_many(one_after_another(), concurrency=3):
        sizes.append(answer.size)
        ahead.append(len(taken) - len(sizes))
    assert sizes == [(k + 1, 9) for k in range(40)]
    assert max(ahead) <= 3
    assert list(client.segment_many([])) == []


def test_an_error_among_many(client):
    images = [IMAGE, b"hello", IMAGE]
    first, error, last = client.segment_many(images, return_errors=True)
    assert isinstance(error, DataError)
    assert error.message.startswith("images[1]: not an image")
    assert (first.count, last.count) == (1, 1)
    answers = client.segment_many(images)
    assert next(answers).count == 1
    with pytest.raises(DataError, match="not an image"):
        next(answers)


def test_each_error_among_many_names_its_image(client, live, tmp_path):
    cut = tmp_path / "cut.png"
    cut.write_bytes(encode_png(IMAGE)[:60])
    images = [cut, cut.read_bytes(), np.zeros((0, 0), np.uint8), None, IMAGE]
    says = [f"INVALID_ARGUMENT: {cut}: cut short", "INVALID_ARGUMENT: images[1]: cut short",
            "images[2]: expected [H, W]", "images[3]: expected an image's path"]  # fmt: skip

    async def ask():
        async with AsyncSegmentationClient(live.target, "tiny") as client:
            return [each async for each in client.segment_many(images, return_errors=True)]

    for found in (list(client.segment_many(images, return_errors=True)), asyncio.run(ask())):
        assert [isinstance(each, SegtrailError) for each in found] == [True] * 4 + [False]
        for error, expected in zip(found, says, strict=False):
            assert expected in str(error)


def test_both_clients_take_the_same():
    def methods(of):
        found = inspect.getmembers(of, inspect.isfunction)
        return {
            name: list(inspect.signature(method).parameters.values())
            for name, method in found if not name.startswith("_") or name == "__init__"
        }  # fmt: skip

    sync = methods(SegmentationClient)
    del sync["wait_until_available"]  # of those who start servers
    assert methods(AsyncSegmentationClient) == sync


def test_the_clients_model_is_asked_where_none_is_named(client, live):
    async def ask():
        async with AsyncSegmentationClient(live.target, "tiny") as client:
            return [
                await client.metadata(), await client.signatures(), await client.served_version(),
                await client.status(), [each.count for each in await client.predict("", [IMAGE])],
                await client.call("", {}, "metadata"),
            ]  # fmt: skip

    found = [
        client.metadata(), client.signatures(), client.served_version(), client.status(),
        [each.count for each in client.predict("", [IMAGE])], client.call("", {}, "metadata"),
    ]  # fmt: skip
    assert found[0]["recipe"] == "tiny"
    assert found[3] == {1: "AVAILABLE"}
    assert asyncio.run(ask()) == found
    assert client.wait_until_available() == 1


def test_the_same_in_an_event_loop(live):
    async def ask():
        images = brightening(20)
        async with AsyncSegmentationClient(live.target, "tiny") as client:
            assert (await client.segment(IMAGE)).count == 1
            assert [a.size async for a in client.segment_many(images, concurrency=3)] == [
                (k + 1, 9) for k in range(20)
            ]
            found = [
                answer
                async for answer in client.segment_many([IMAGE, b"hello"], return_errors=True)
            ]
            assert isinstance(found[1], DataError)
            with pytest.raises(DataError):
                async for _ in client.segment_many([b"hello", IMAGE]):
                    pass
            with pytest.raises(ServingError, match="is not served"):
                await client.segment(IMAGE, version=9)
            assert (await client.metadata())["recipe"] == "tiny"
            assert await client.served_version() == 1
            assert [status.state for status in await client.statuses()] == ["AVAILABLE"]

    asyncio.run(ask())


def test_only_a_server_that_is_not_there_is_asked_again(tmp_path):
    """A server that comes up meanwhile is found; one that refuses is believed."""
    asked = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            def refuse(_, context):
                asked.append(details.method)
                code = grpc.StatusCode.UNAVAILABLE if len(asked) < 3 else grpc.StatusCode.INTERNAL
                context.abort(code, "not now")

            return grpc.unary_unary_rpc_method_handler(refuse)

    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with (
            SegmentationClient(f"127.0.0.1:{port}", "tiny") as client,
            pytest.raises(ServingError, match="INTERNAL: not now"),
        ):
            client.segment(IMAGE)
    finally:
        server.stop(0)
    assert len(asked) == 3


def test_contours_are_those_of_the_objects():
    labels = np.zeros((40, 50), np.uint16)
    cv2.circle(labels, (12, 12), 6, 1, -1)
    cv2.rectangle(labels, (30, 5), (40, 9), 2, -1)
    labels[20, 3] = 4  # 3 has no pixel
    found = Prediction(1, labels_png=encode_png(labels)).contours
    assert [outline.dtype for outline in found] == [np.int32] * 4
    for number, outline in enumerate(found, start=1):
        drawn = np.zeros(labels.shape, np.uint8)
        if len(outline):
            cv2.drawContours(drawn, [outline], 0, 1, -1)
        np.testing.assert_array_equal(drawn, labels == number)
    assert Prediction(1, labels_png=encode_png(labels * 0)).contours == []


@pytest.mark.slow
def test_a_thousand_images_while_the_version_moves(live, tiny, tmp_path):
    """Each answer is whole, by the one or the other; only those under way together may mix."""
    import shutil

    shutil.copytree(tiny, live.models / "many")
    config.set_champion(live.config, "many", live.models / "many", 1)

    def move():  # without a version, the highest that is loaded answers
        time.sleep(0.3)
        config.set_champion(live.config, "many", live.models / "many", 1, beside=2)

    moving = threading.Thread(target=move)
    between = np.full((3, 3), 100, np.uint8)  # foreground for version 2 alone
    with SegmentationClient(live.target, "many") as client:
        client.wait_until_available("many", 1)
        moving.start()
        asked = client.segment_many([between] * 1000, concurrency=4)
        found = [(a.version, a.count) for a in asked]
        moving.join()
        client.wait_until_available("many", 2)
        found += [(a.version, a.count) for a in client.segment_many([between] * 20)]
    config.withdraw(live.config, "many")
    assert set(found) == {(1, 0), (2, 1)}
    # Four are under way at once: of these, the one sent first need not be the first to be seen.
    last_by_old = len(found) - found[::-1].index((1, 0))
    assert last_by_old - found.index((2, 1)) <= 4


@pytest.mark.slow
def test_the_base_install_alone_is_the_client(live, tmp_path):
    """In an environment with what `pip install segtrail` brings, and nothing else."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin/python"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
         *project["dependencies"]],
        capture_output=True, text=True, env=clean, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no package index to install from: {done.stderr[-200:]}")
    (tmp_path / "cells.png").write_bytes(encode_png(IMAGE))
    program = (
        "import sys; from serving.client import SegmentationClient\n"
        f"with SegmentationClient({live.target!r}, 'tiny') as client:\n"
        "    found = client.segment('cells.png')\n"
        "    print(found.count, found.mask.sum(), len(found.contours))\n"
        "assert not {'tensorflow', 'mlflow', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [python, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=clean | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", str((IMAGE > 127).sum()), "1"]


def test_other_spellings_of_an_address_are_asked(live):
    for target in (f"dns:///{live.target}", f"ipv4:{live.target}"):
        with SegmentationClient(target, "tiny") as client:
            assert client.served_version() == 1


def test_what_is_no_address_is_told_before_anything_is_asked():
    async def make():
        AsyncSegmentationClient("http://127.0.0.1:8500", "tiny")

    with pytest.raises(ServingError, match=r"address: got '127\.0\.0\.1'; expected host:port"):
        SegmentationClient("127.0.0.1", "tiny")
    with pytest.raises(ServingError, match="without http://"):
        asyncio.run(make())


def test_nobody_listens():
    target = f"127.0.0.1:{launch.free_port()}"

    async def ask():
        async with AsyncSegmentationClient(target, "tiny", timeout=5) as client:
            await client.segment(IMAGE)

    with pytest.raises(ServingError, match="no model server answers"):
        asyncio.run(ask())
