"""The embedded server over the wire, with TF Serving's own messages and stubs."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time

import grpc
import numpy as np
import pytest

pytest.importorskip("tensorflow_serving")

from segtrail.errors import ServingError
from segtrail.images import encode_png
from serving import config, launch
from serving.client import SegmentationClient

PNG = encode_png(np.array([[0, 100, 200]], np.uint8))
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Stubs:
    """TF Serving's generated stubs and messages."""

    def __init__(self, channel: grpc.Channel) -> None:
        from tensorflow_serving.apis import (
            get_model_metadata_pb2,
            get_model_status_pb2,
            model_management_pb2,
            model_service_pb2_grpc,
            predict_pb2,
            prediction_service_pb2_grpc,
        )

        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(channel)
        self.Predict = predict_pb2.PredictRequest
        self.Metadata = get_model_metadata_pb2.GetModelMetadataRequest
        self.Status = get_model_status_pb2.GetModelStatusRequest
        self.Reload = model_management_pb2.ReloadConfigRequest

    def request(self, name="tiny", inputs=None, **spec):
        import tensorflow as tf

        request = self.Predict()
        request.model_spec.name = name
        for key, value in spec.items():
            if key == "version":
                request.model_spec.version.value = value
            else:
                setattr(request.model_spec, key, value)
        for key, value in ({"image_bytes": [PNG]} if inputs is None else inputs).items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        return request


@pytest.fixture(scope="module")
def stubs(live):
    with grpc.insecure_channel(live.target) as channel:
        yield Stubs(channel)


def refused(method, request) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as e:
        method(request, timeout=30)
    assert "\n" not in e.value.details()
    return e.value.code(), e.value.details()


def test_a_prediction_in_tf_servings_own_form(stubs):
    response = stubs.prediction.Predict(stubs.request(), timeout=30)
    assert (response.model_spec.name, response.model_spec.signature_name) == (
        "tiny", "serving_default",
    )  # fmt: skip
    assert response.model_spec.version.value == 1
    assert set(response.outputs) == {
        "mask_png", "probability_png", "height", "width", "labels_png", "count",
    }  # fmt: skip
    assert list(response.outputs["width"].int64_val) == [3]
    assert not response.outputs["width"].tensor_content
    raw = stubs.request(inputs={"images": np.zeros((1, 2, 2, 1), np.uint8)}, signature_name="raw")
    assert list(stubs.prediction.Predict(raw).outputs["probabilities"].float_val) == [0] * 4


@pytest.mark.parametrize(
    ("spec", "code", "says"),
    [
        ({"name": "unknown"}, grpc.StatusCode.NOT_FOUND, "Latest(unknown)"),
        ({"version": 9}, grpc.StatusCode.NOT_FOUND, "Specific(tiny, 9)"),
        ({"name": ""}, INVALID, "no name"),
        ({"version_label": "x"}, INVALID, "Unrecognized servable version label: x"),
        ({"signature_name": "x"}, grpc.StatusCode.FAILED_PRECONDITION, 'key "x" not found'),
        ({"inputs": {}}, INVALID, "Missing but required: {image_bytes}"),
        ({"inputs": {"image_bytes": [PNG], "x": [1]}}, INVALID, "Sent extra: {x}"),
        ({"inputs": {"x": [PNG]}}, INVALID, "alias not found in signature: x"),
        ({"inputs": {"image_bytes": [1.0]}}, INVALID, "expected a tensor of type string"),
        ({"inputs": {"image_bytes": [[PNG]]}}, INVALID, "shape"),
        ({"inputs": {"image_bytes": [PNG, b"not an image"]}}, INVALID, "Unknown image file format"),
    ],
)
def test_status_codes_of_predict(stubs, spec, code, says):
    found, details = refused(stubs.prediction.Predict, stubs.request(**spec))
    assert found == code
    assert says in details


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        (["count", "x"], "output tensor alias not found in signature: x"),
        (["count", "count"], "duplicate output tensor alias: count"),
    ],
)
def test_status_codes_of_the_output_filter(stubs, outputs, says):
    request = stubs.request()
    request.output_filter.extend(outputs)
    code, details = refused(stubs.prediction.Predict, request)
    assert code == INVALID
    assert says in details


def test_the_output_filter_chooses(stubs):
    request = stubs.request()
    request.output_filter.append("height")
    assert set(stubs.prediction.Predict(request).outputs) == {"height"}


def test_a_tensor_that_cannot_be_parsed(stubs):
    request = stubs.request(
        inputs={"images": np.zeros((1, 2, 2, 1), np.uint8)}, signature_name="raw"
    )
    request.inputs["images"].tensor_content = b"abc"
    code, details = refused(stubs.prediction.Predict, request)
    assert code == INVALID
    assert "images" in details


def test_status_codes_of_the_other_calls(stubs):
    assert refused(stubs.prediction.Predict, stubs.Predict()) == (INVALID, "Missing ModelSpec")
    assert refused(stubs.model.GetModelStatus, stubs.Status())[0] == INVALID
    metadata = stubs.Metadata()
    assert refused(stubs.prediction.GetModelMetadata, metadata) == (INVALID, "Missing ModelSpec")
    metadata.model_spec.name = "tiny"
    assert "at least one" in refused(stubs.prediction.GetModelMetadata, metadata)[1]
    metadata.metadata_field.append("x")
    assert refused(stubs.prediction.GetModelMetadata, metadata)[0] == INVALID
    status = stubs.Status()
    status.model_spec.name = "tiny"
    (one,) = stubs.model.GetModelStatus(status).model_version_status
    assert (one.version, one.state, one.status.error_code) == (1, 30, 0)
    status.model_spec.version.value = 9
    assert refused(stubs.model.GetModelStatus, status)[0] == grpc.StatusCode.NOT_FOUND
    assert refused(stubs.model.HandleReloadConfigRequest, stubs.Reload())[0] == INVALID
    from tensorflow_serving.apis import classification_pb2

    classify = stubs.prediction.Classify
    code, _ = refused(classify, classification_pb2.ClassificationRequest())
    assert code == grpc.StatusCode.UNIMPLEMENTED


def test_health(live):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(live.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "ModelService", "PredictionService"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == 1
        with pytest.raises(grpc.RpcError) as e:
            stub.Check(health_pb2.HealthCheckRequest(service="x"))
    assert e.value.code() == grpc.StatusCode.NOT_FOUND


def until(true, seconds=30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def move(client, live, name, version) -> None:
    """Makes another version the champion; the label never is on one that is not loaded."""
    path, folder, old = live.config, live.models / name, config.champion(live.config, name)
    config.set_champion(path, name, folder, old, beside=version)
    client.wait_until_available(name, version)
    config.set_champion(path, name, folder, version, beside=old)
    until(lambda: client.served_version(name, "stable") == version)
    config.set_champion(path, name, folder, version)


def test_the_version_moves_while_requests_run_and_none_fails(live, tiny):
    shutil.copytree(tiny, live.models / "moving")
    config.set_champion(live.config, "moving", live.models / "moving", 1)
    answers, errors, stop = [], [], threading.Event()

    def ask():
        with SegmentationClient(live.target) as client:
            while not stop.is_set():
                try:
                    (answer,) = client.predict("moving", [PNG])
                except ServingError as e:
                    errors.append(e)
                    return
                answers.append((answer.version, int(answer.mask.sum())))

    with SegmentationClient(live.target) as client:
        client.wait_until_available("moving", 1)
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for version in (2, 1):  # a promotion and a rollback
                move(client, live, "moving", version)
                until(lambda version=version: client.status("moving")[3 - version] == "END")
                seen = len(answers)
                until(lambda seen=seen: errors or len(answers) > seen + 20)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert errors == []
        versions = [version for version, _ in answers]
        assert versions[0] == 1
        assert versions[-1] == 1
        assert set(answers) == {(1, 1), (2, 2)}  # each version answers with its own threshold
        config.withdraw(live.config, "moving")
        until(lambda: client.status("moving") == {1: "END", 2: "END"})
        with pytest.raises(ServingError, match="is not served"):
            client.predict("moving", [PNG])


def test_a_broken_version_is_told_and_the_old_one_answers(live, tiny):
    models = live.models / "broken"
    shutil.copytree(tiny, models)
    shutil.rmtree(models / "2" / "variables")
    config.set_champion(live.config, "broken", models, 1)
    with SegmentationClient(live.target) as client:
        client.wait_until_available("broken", 1)
        config.set_champion(live.config, "broken", models, 1, beside=2)
        with pytest.raises(ServingError, match="version 2 did not load"):
            client.wait_until_available("broken", 2)
        assert client.served_version("broken") == 1
        assert client.predict("broken", [PNG])[0].count == 1
    config.withdraw(live.config, "broken")


def test_a_bad_configuration_file_changes_nothing(live):
    good = live.config.read_text()
    live.config.write_text("model_config_list { nonsense")
    try:
        until(lambda: "Failed to reload the configuration" in live.log.read_text())
        with SegmentationClient(live.target) as client:
            assert client.served_version("tiny") == 1
    finally:
        live.config.write_text(good)


def test_a_server_of_one_model(tiny, tmp_path):
    """One start for two things: a reload request waits and says what failed; SIGTERM drains."""
    shutil.copytree(tiny, tmp_path / "tiny")
    shutil.copytree(tiny / "1", tmp_path / "bad" / "1")
    (tmp_path / "bad" / "1" / "assets.extra" / "tf_serving_warmup_requests").write_bytes(
        b"junk" * 9
    )
    with launch.running_server("tiny", base_path=tmp_path / "tiny", log=tmp_path / "log") as server:
        assert server.version == 2  # the latest
        assert "stand-in" in server.description
        with SegmentationClient(server.target) as client:
            check_reload(client, tmp_path)
            check_drain(client, server)


def check_reload(client, folder):
    """A request replaces the whole configuration."""
    from google.protobuf import text_format

    with grpc.insecure_channel(client.target) as channel:
        stubs = Stubs(channel)

        def reload(*models):
            request = stubs.Reload()
            text_format.Parse(f"config {{ model_config_list {{ {' '.join(models)} }} }}", request)
            stubs.model.HandleReloadConfigRequest(request, timeout=60)

        def model(name, path, rest=""):
            return (
                f'config {{ name: "{name}" base_path: "{path}" '
                f'model_platform: "tensorflow" {rest} }}'
            )

        def failing(*models):
            with pytest.raises(grpc.RpcError) as e:
                reload(*models)
            return e.value.code(), e.value.details()

        every = "model_version_policy { all {} }"
        tiny = folder / "tiny"
        stable = 'version_labels { key: "stable" value: 1 }'
        code, _ = failing(model("tiny", tiny, every + stable))
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert client.status("tiny") == {2: "AVAILABLE"}  # the versions were not taken either
        reload(model("tiny", tiny, every))
        reload(model("tiny", tiny, every + stable))
        assert client.status("tiny") == {1: "AVAILABLE", 2: "AVAILABLE"}
        assert client.predict("tiny", [PNG])[0].version == 2
        assert client.predict("tiny", [PNG], version=1)[0].version == 1
        labelled = stubs.request(version_label="stable")
        assert stubs.prediction.Predict(labelled).model_spec.version.value == 1
        status = stubs.Status()
        status.model_spec.name, status.model_spec.version_label = "tiny", "stable"
        found = stubs.model.GetModelStatus(status).model_version_status
        assert [v.version for v in found] == [2, 1]  # as in TF Serving, a label says nothing here

        code, says = failing(model("tiny", tiny), model("bad", folder / "bad"))
        assert code == grpc.StatusCode.UNKNOWN
        assert "Name: bad Version: 1" in says  # its warm-up requests are damaged
        code, _ = failing(model("tiny", tiny, 'version_labels { key: "a" value: 9 }'))
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert failing(model("tiny", "relative"))[0] == INVALID
        assert failing(model("tiny", tiny), model("tiny", tiny))[0] == INVALID
        reload(model("other", tiny))
        assert client.status("tiny") == {1: "END", 2: "END"}
        assert client.served_version("other") == 2


def check_drain(client, server):
    """What was asked before SIGTERM is answered."""
    image = encode_png(np.full((2000, 2000), 200, np.uint8))
    done: list[int] = []

    def ask():
        done.extend(a.count for a in client.predict("other", [image] * 8, outputs=["count"]))

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(0.5)
    assert asking.is_alive(), "answered before the signal: nothing to drain"
    os.kill(server.pid, signal.SIGTERM)
    asking.join(60)
    assert done == [1] * 8
    until(lambda: "Stopped." in server.log.read_text())
