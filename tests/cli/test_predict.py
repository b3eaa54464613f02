"""`segtrail predict` and `segtrail status` against a server that is not there, and one that is."""

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import grpc
import numpy as np
import pytest

from cli import main
from segtrail import overlay
from segtrail.images import decode_image, encode_png
from serving import protocol
from serving.protocol import tensors

LABELS = np.zeros((40, 50), np.uint16)
LABELS[5:15, 5:15] = 1
LABELS[20:30, 20:35] = 2


MASKS = {  # what a model's masks hold, by its name
    "cells": ("instances", ["nucleus"]),
    "cells-canary": ("classes", ["nucleus"]),
    "old": (None, ["nucleus"]),
    "blood": ("classes", ["cytoplasm", "nucleus"]),
    "eyes": ("multilabel", ["disc", "cup"]),
    "else": ("depths", ["near"]),
}


def answer(request: bytes) -> bytes:
    """Two rectangles, for any image of 40 by 50; as TF Serving's version 7 of any model."""
    asked = protocol.PredictRequest.FromString(request)
    masks, classes = MASKS[asked.model_spec.name]
    found = protocol.PredictResponse()
    found.model_spec.name = asked.model_spec.name
    found.model_spec.version.value = 7
    if asked.model_spec.signature_name == "metadata":
        outputs = {"class_names": [name.encode() for name in classes]}
        if masks:
            found.outputs["masks"].CopyFrom(tensors.to_proto(np.array(masks.encode(), object)))
    else:
        n = len(tensors.to_array(asked.inputs["image_bytes"]))
        mask = LABELS > 0 if masks in ("instances", None) else LABELS
        outputs = {
            "mask_png": [encode_png(mask.astype(np.uint8))] * n,
            "height": np.full(n, 40, np.int64),
            "width": np.full(n, 50, np.int64),
        }
        if masks in ("instances", None):
            outputs |= {"labels_png": [encode_png(LABELS)] * n, "count": np.full(n, 2, np.int64)}
        # as TF Serving does, nothing is left out in silence
        assert set(asked.output_filter) <= set(outputs)
    for name, value in outputs.items():
        made = tensors.strings(value) if isinstance(value, list) else tensors.to_proto(value)
        found.outputs[name].CopyFrom(made)
    return found.SerializeToString()


@pytest.fixture
def target() -> Iterator[str]:
    """A gRPC server on a loopback port that gives `answer`."""
    service, _, method = protocol.PREDICT.strip("/").partition("/")
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer(request))
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "cells.png"
    path.write_bytes(encode_png(np.full((40, 50), 90, np.uint8)))
    return path


def nobody() -> str:
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


def test_it_writes_mask_and_overlay_and_one_line(target, image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # no workspace needed
    arguments = ["predict", str(image), "--recipe", "cells", "--target", target, "--out", "out"]
    assert main._run(arguments) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "2 objects, cells v7, " in line
    assert " ms" in line
    mask = decode_image((tmp_path / "out/cells.mask.png").read_bytes(), "mask")
    assert np.array_equal(mask, LABELS > 0)
    picture = decode_image((tmp_path / "out/cells.overlay.png").read_bytes(), "overlay")
    assert picture.shape[2] == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "cells.mask.png", "cells.overlay.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("old", "2 objects, old v7, "),
        ("blood", "cytoplasm 5.0%, nucleus 7.5%, blood v7, "),
        ("eyes", "disc 5.0%, cup 7.5%, eyes v7, "),
    ],
)
def test_it_says_what_a_model_of_that_kind_finds(target, image, tmp_path, capsys, recipe, says):
    arguments = ["predict", str(image), "--recipe", recipe, "--target", target]
    assert main._run([*arguments, "--out", str(tmp_path)]) == 0
    assert says in capsys.readouterr().out
    picture = decode_image((tmp_path / "cells.overlay.png").read_bytes(), "overlay")
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    expected = {overlay.PREDICTED} if recipe == "old" else set(overlay.CLASSES[:2])
    assert colours == {(90, 90, 90)} | expected


def test_the_canary_is_asked_under_its_own_name(target, image, tmp_path, capsys):
    arguments = ["predict", str(image), "--recipe", "cells", "--target", target, "--canary"]
    assert main._run([*arguments, "--out", str(tmp_path)]) == 0
    assert "nucleus 5.0%, cells-canary v7, " in capsys.readouterr().out


def test_a_model_of_something_else_is_not_asked(target, image, tmp_path, capsys):
    arguments = ["predict", str(image), "--recipe", "else", "--target", target]
    assert main._run([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert "else tells masks 'depths' of classes ['near']; expected" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bad_image_does_not_stop_the_others(target, image, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    arguments = ["predict", str(bad), str(tmp_path / "none.png"), str(image), "--recipe", "cells"]
    assert main._run([*arguments, "--target", target, "--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "2 objects" in out
    assert f"error: {bad}" in err
    assert "none.png: cannot be read: No such file" in err


def test_a_tiff_is_asked_like_any_other(target, tmp_path, capsys):
    path = tmp_path / "deep.tif"
    cv2.imwrite(str(path), np.full((40, 50), 900, np.uint16))
    arguments = ["predict", str(path), "--recipe", "cells", "--target", target]
    assert main._run([*arguments, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "deep.overlay.png").exists()


def test_a_stack_is_refused_before_it_is_asked(target, tmp_path, capsys):
    path = tmp_path / "stack.tif"
    cv2.imwritemulti(str(path), [np.full((40, 50), 90, np.uint8)] * 2)
    arguments = ["predict", str(path), "--recipe", "cells", "--target", target]
    assert main._run([*arguments, "--out", str(tmp_path)]) == 1
    assert f"error: {path}: a TIFF of 2 pages; expected one image" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_it_waits_as_long_as_is_said(image, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        arguments = ["--target", f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "0.4"]
        assert main._run(["predict", str(image), "--recipe", "cells", *arguments]) == 1
    assert "no answer within 0.4 s\n  -> allow more time" in capsys.readouterr().err


def test_what_is_no_address_is_told(image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main._run(["predict", str(image), "--recipe", "cells", "--target", "nowhere"]) == 2
    assert "--target: got 'nowhere'; expected host:port" in capsys.readouterr().err


def test_same_names_would_overwrite_each_other(image, tmp_path, capsys):
    other = tmp_path / "b" / image.name
    assert main._run(["predict", str(image), str(other), "--recipe", "x"]) == 2
    assert "several images would be written as cells.mask.png" in capsys.readouterr().err


def test_without_a_server_it_says_how_to_start_one(image, tmp_path, capsys):
    where = nobody()
    arguments = ["predict", str(image), "--recipe", "cells", "--target", where]
    assert main._run([*arguments, "--out", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert f"error: {where}: no model server answers" in err
    assert "-> segtrail serve" in err
    assert not (tmp_path / "out").exists()
