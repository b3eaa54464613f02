"""What the embedded server does about hostile input, impatience and crowds; batching and TLS."""

from __future__ import annotations

import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

pytest.importorskip("tensorflow_serving")

from certificates import Authority
from google.protobuf import text_format

from segtrail.errors import ServingError
from segtrail.images import encode_png
from serving import launch, protocol
from serving.client import SegmentationClient
from serving.failures import TlsError
from serving.protocol import tensors
from serving.tls import Tls

PNG = encode_png(np.array([[0, 100, 200]], np.uint8))
CODE = grpc.StatusCode
MOST_PIXELS = 1_000_000
MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Guarded:
    """A server that batches, speaks TLS with known clients only, and has low limits."""

    target: str
    authority: Authority
    tls: Tls
    pid: int
    log: Path


@pytest.fixture(scope="module")
def guarded(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    authority = Authority()
    server, ours = authority.sign("models.example"), authority.sign("app")
    ssl = protocol.SSLConfig(
        server_key=server.key.decode(), server_cert=server.certificate.decode(),
        custom_ca=authority.pem.decode(), client_verify=True,
    )  # fmt: skip
    (folder / "ssl.config").write_text(text_format.MessageToString(ssl))
    (folder / "batching.config").write_text(
        "max_batch_size { value: 16 } batch_timeout_micros { value: 20000 } "
        "num_batch_threads { value: 2 } max_enqueued_batches { value: 100 }"
    )
    (folder / "monitoring.config").write_text("prometheus_config { enable: true }")
    more = [
        f"--ssl_config_file={folder}/ssl.config", "--enable_batching=true",
        f"--batching_parameters_file={folder}/batching.config", "--rest_api_port=8501",
        f"--monitoring_config_file={folder}/monitoring.config",
        f"--max_image_pixels={MOST_PIXELS}", "--max_concurrent_requests=8",
        f"--grpc_channel_arguments=grpc.max_receive_message_length={MOST_BYTES}",
    ]  # fmt: skip
    tls = Tls(authority.pem, ours.key, ours.certificate, "models.example")
    log = folder / "log"
    with launch.running_server("tiny", base_path=tiny, log=log, more=more, tls=tls) as running:
        yield Guarded(running.target, authority, tls, running.pid, log)


@pytest.fixture
def ask(guarded):
    """Sends a request, ours or any bytes, and returns the status, or the counts, and the words."""
    with grpc.secure_channel(
        guarded.target, guarded.tls.credentials(), options=guarded.tls.options()
    ) as channel:
        predict = channel.unary_unary(
            protocol.PREDICT,
            request_serializer=lambda sent: (
                sent if isinstance(sent, bytes) else sent.SerializeToString()
            ),
            response_deserializer=protocol.PredictResponse.FromString,
        )

        def send(sent, timeout=30.0):
            try:
                answer = predict(sent, timeout=timeout)
            except grpc.RpcError as e:
                return e.code(), e.details()
            return tensors.to_array(answer.outputs["count"]).tolist(), ""

        yield send


def asking(*images: bytes):
    request = protocol.PredictRequest(model_spec=protocol.ModelSpec(name="tiny"))
    request.inputs["image_bytes"].CopyFrom(tensors.strings(images))
    return request


def claiming(width: int, height: int) -> bytes:
    """A PNG whose header says so, with the right checksum, and nothing behind it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    checksum = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum + end


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (b"", "image_bytes[1]: not an image"),
        (b"GIF89a" + bytes(20), "image_bytes[1]: not an image"),
        (PNG[:-8], "image_bytes[1]: cut short"),
        (PNG[:40] + bytes([PNG[40] ^ 1]) + PNG[41:], "image_bytes[1]: damaged"),
        (claiming(30_000, 30_000), "image_bytes[1]: 30000x30000 pixels by its header; at most"),
        (claiming(10, 10), "image_bytes[1]: "),  # whole, but without pixels: the decoder finds it
        (b"\xff\xd8\xff" + bytes(90), "image_bytes[1]: "),
    ],
)  # fmt: skip
def test_which_image_is_bad_is_said(ask, image, says):
    code, details = ask(asking(PNG, image))
    assert code == CODE.INVALID_ARGUMENT
    assert details.startswith(says)
    assert "\n" not in details


def test_a_neighbour_in_the_same_batch_does_not_fail(ask):
    """The damage is one that only the decoder finds, after the batch was made."""
    found, start = {}, threading.Barrier(6)

    def send(number):
        start.wait()
        found[number] = ask(asking(claiming(10, 10) if number == 3 else PNG))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.pop(3)[0] == CODE.INVALID_ARGUMENT
    assert list(found.values()) == [([1], "")] * 5


def test_mixed_sizes_come_back_in_order(ask):
    bright = [encode_png(np.full((k + 1, 5), 40 * k, np.uint8)) for k in range(7)]
    assert ask(asking(*bright))[0] == [0, 0, 1, 1, 1, 1, 1]  # version 2: brighter than 63


def test_a_request_larger_than_a_batch_or_a_message(ask):
    code, details = ask(asking(*[PNG] * 17))
    assert (code, "larger than maximum input batch size 16" in details) == (
        CODE.INVALID_ARGUMENT, True,
    )  # fmt: skip
    assert ask(asking(PNG + bytes(MOST_BYTES)))[0] == CODE.RESOURCE_EXHAUSTED


def test_a_deadline_is_kept(ask):
    assert ask(asking(PNG), timeout=0.001)[0] == CODE.DEADLINE_EXCEEDED
    assert ask(asking(PNG))[0] == [1]


def test_a_crowd_is_turned_away_and_the_next_is_answered(guarded, ask):
    big = encode_png(np.full((900, 900), 255, np.uint8))
    codes = []

    def send():
        codes.append(ask(asking(*[big] * 4))[0])

    threads = [threading.Thread(target=send) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [code for code in codes if code == CODE.RESOURCE_EXHAUSTED]
    assert refused
    assert len(refused) + codes.count([1] * 4) == 40
    assert ask(asking(PNG))[0] == [1]


@pytest.mark.slow
def test_a_thousand_hostile_requests_leave_it_alive(guarded, ask):
    """Random bytes, damaged requests and images: each gets a status, and memory stays."""
    generator = np.random.default_rng(7)
    whole = asking(PNG, PNG).SerializeToString()
    before, codes = memory_mib(guarded.pid), set()
    wrong = [
        {"image_bytes": np.zeros(3, np.float32)}, {"image_bytes": np.array([[PNG]], object)},
        {"images": np.zeros((1, 3), np.uint8)}, {},
    ]  # fmt: skip
    for number in range(1000):
        kind = number % 5
        if kind == 0:
            sent = generator.bytes(int(generator.integers(1, 3000)))
        elif kind == 1:
            sent = bytearray(whole)
            sent[int(generator.integers(len(whole)))] ^= 1 << int(generator.integers(8))
            sent = bytes(sent)
        elif kind == 2:
            sent = asking(PNG[: int(generator.integers(len(PNG)))])
        elif kind == 3:
            sent = asking(claiming(*(int(n) for n in generator.integers(1, 60_000, 2))))
        else:
            sent = asking()
            sent.inputs.clear()
            for name, value in wrong[number // 5 % 4].items():
                sent.inputs[name].CopyFrom(tensors.to_proto(value))
        code, details = ask(sent)
        codes.add(code if isinstance(code, grpc.StatusCode) else "answered")
        if kind in (2, 3, 4):
            assert code == CODE.INVALID_ARGUMENT, (number, code, details)
    known = {CODE.INVALID_ARGUMENT, CODE.NOT_FOUND, CODE.FAILED_PRECONDITION, CODE.INTERNAL}
    assert codes <= known | {"answered"}
    assert ask(asking(PNG))[0] == [1]
    assert memory_mib(guarded.pid) < before + 200


def memory_mib(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        (kib,) = (line.split()[1] for line in lines if line.startswith("VmRSS"))
    return int(kib) / 1024


def test_who_has_no_certificate_is_not_let_in(guarded):
    known, ours = guarded.authority.pem, (guarded.tls.key, guarded.tls.certificate)
    strangers = Authority().sign("app")
    theirs, name = (strangers.key, strangers.certificate), "models.example"
    for tls, found, option in (
        (None, "the server speaks TLS; this client does not", "--tls-ca"),
        (Tls(known, name=name), "client_verify. and is shown none", "--tls-certificate"),
        (Tls(known, *theirs, name), "client_verify. and does not know", "--tls-certificate"),
        (Tls(known, *ours, "another.example"), "is for models.example, not for another.example",
         "--tls-name models.example"),
        (Tls(known, *ours), "is for models.example, not for 127.0.0.1", "--tls-name"),
        (Tls(Authority().pem, *ours, name), "not signed by the authorities given", "--tls-ca"),
    ):  # fmt: skip
        with (
            SegmentationClient(guarded.target, timeout=3, tls=tls) as client,
            pytest.raises(TlsError, match=found) as e,
        ):
            client.served_version("tiny")
        assert option in (e.value.hint or "")


def test_our_client_over_tls_from_files(guarded, tmp_path):
    for name in ("ca", "key", "certificate"):
        (tmp_path / name).write_bytes(getattr(guarded.tls, name))
    files = {name: tmp_path / name for name in ("key", "certificate")} | {"ca": f"{tmp_path}/ca"}
    with SegmentationClient(
        guarded.target, tls=Tls.of_files(**files, name="models.example")
    ) as client:
        assert client.predict("tiny", [PNG])[0].count == 1
        assert client.metadata("tiny")["recipe"] == "tiny"  # not batched: it has no inputs
    with pytest.raises(ServingError, match="come together"):
        Tls.of_files(key=tmp_path / "key")
    (tmp_path / "key").write_bytes(b"0")
    with pytest.raises(ServingError, match="expected a PEM file"):
        Tls.of_files(**files)


def test_what_needs_tf_serving_itself_is_said(guarded):
    text = guarded.log.read_text()
    assert "--rest_api_port is without effect" in text
    assert "--monitoring_config_file is without effect" in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("server_key: 'key.pem' server_cert: 'x'", "expected the text of a PEM file"),
        ("server_key {", "Error parsing text-format tensorflow.serving.SSLConfig"),
        (
            "server_key: '-----BEGIN' server_cert: '-----BEGIN' client_verify: true",
            "expected custom_ca",
        ),
    ],
)
def test_a_bad_ssl_config_is_refused(tmp_path, text, says):
    from serving.embedded.config_files import credentials

    path = tmp_path / "ssl.config"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        credentials(path)
