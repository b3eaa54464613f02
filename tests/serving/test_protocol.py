"""The messages are TF Serving's own on the wire, and need no TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving import protocol
from serving.protocol import tensors

NUMBERS = [
    "float32", "float64", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip
arrays = st.sampled_from(NUMBERS).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


@given(arrays)
def test_numbers_round_trip(array):
    back = tensors.to_array(tensors.to_proto(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.binary()))
def test_strings_round_trip(values):
    assert tensors.to_array(tensors.strings(values)).tolist() == values
    assert tensors.to_array(tensors.to_proto(np.array(values, object))).tolist() == values


def test_a_short_value_list_repeats_its_last_value():
    tensor = tensors.to_proto(np.zeros((2, 3), np.float32))
    tensor.ClearField("tensor_content")
    tensor.float_val.extend([1, 2])
    assert tensors.to_array(tensor).tolist() == [[1, 2, 2], [2, 2, 2]]


@pytest.mark.parametrize("field", ["content", "values"])
def test_values_that_do_not_fit_the_shape_are_refused(field):
    tensor = tensors.to_proto(np.zeros(2, np.float32))
    if field == "content":
        tensor.tensor_content = bytes(12)
    else:
        tensor.ClearField("tensor_content")
        tensor.float_val.extend([1, 2, 3])
    with pytest.raises(ValueError, match="3 values"):
        tensors.to_array(tensor)


def test_a_type_without_counterpart_is_refused():
    with pytest.raises(TypeError, match="complex64"):
        tensors.to_proto(np.zeros(2, np.complex64))


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


@settings(max_examples=40, deadline=None)
@given(array=arrays)
def test_tensorflow_reads_our_tensors_and_we_read_tensorflows(tf, array):
    from tensorflow.core.framework import tensor_pb2

    theirs = tensor_pb2.TensorProto.FromString(tensors.to_proto(array).SerializeToString())
    read = tf.make_ndarray(theirs)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)
    written = tf.make_tensor_proto(array).SerializeToString()
    np.testing.assert_array_equal(tensors.to_array(protocol.TensorProto.FromString(written)), array)


def test_a_predict_request_is_tf_servings_byte_for_byte(tf):
    from tensorflow_serving.apis import predict_pb2

    def fill(request):
        request.model_spec.name = "nuclei"
        request.model_spec.version.value = 7
        request.model_spec.signature_name = "serving_default"
        request.output_filter.extend(["mask_png", "count"])
        return request

    ours, theirs = fill(protocol.PredictRequest()), fill(predict_pb2.PredictRequest())
    ours.inputs["image_bytes"].CopyFrom(tensors.strings([b"a", b"\xff\0"]))
    theirs.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(np.array([b"a", b"\xff\0"], object)))
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(
        deterministic=True
    )
    assert protocol.PredictRequest.FromString(theirs.SerializeToString()) == ours


def test_a_version_label_is_tf_servings(tf):
    from tensorflow_serving.apis import model_pb2

    theirs = model_pb2.ModelSpec(name="m", version_label="stable")
    ours = protocol.ModelSpec(name="m", version_label="stable")
    assert ours.SerializeToString() == theirs.SerializeToString()


def test_a_predict_response_of_tf_serving_is_read(tf):
    from tensorflow_serving.apis import predict_pb2

    theirs = predict_pb2.PredictResponse()
    theirs.model_spec.name = "nuclei"
    theirs.model_spec.version.value = 3
    theirs.outputs["count"].dtype = tf.int64.as_datatype_enum
    theirs.outputs["count"].tensor_shape.dim.add().size = 2
    theirs.outputs["count"].int64_val.extend([5, 9])
    ours = protocol.PredictResponse.FromString(theirs.SerializeToString())
    assert ours.model_spec.version.value == 3
    assert tensors.to_array(ours.outputs["count"]).tolist() == [5, 9]
    back = predict_pb2.PredictResponse.FromString(ours.SerializeToString())
    assert back == theirs


def test_status_and_metadata_are_tf_servings(tf):
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

    status = get_model_status_pb2.GetModelStatusResponse()
    one = status.model_version_status.add(version=4, state=50)
    one.status.error_code, one.status.error_message = 13, "no variables"
    ours = protocol.GetModelStatusResponse.FromString(status.SerializeToString())
    assert ours.model_version_status[0].state == protocol.ModelVersionStatus.END
    assert ours.model_version_status[0].status.error_message == "no variables"
    assert ours.SerializeToString() == status.SerializeToString()

    signature = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    signature.inputs["image_bytes"].name = "x:0"
    signature.inputs["image_bytes"].dtype = tf.string.as_datatype_enum
    signature.inputs["image_bytes"].tensor_shape.dim.add().size = -1
    map_ = get_model_metadata_pb2.SignatureDefMap()
    map_.signature_def["serving_default"].CopyFrom(signature)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.metadata["signature_def"].Pack(map_)
    read = protocol.GetModelMetadataResponse.FromString(response.SerializeToString())
    ours_map = protocol.SignatureDefMap.FromString(read.metadata["signature_def"].value)
    info = ours_map.signature_def["serving_default"].inputs["image_bytes"]
    assert (info.name, info.dtype, info.tensor_shape.dim[0].size) == ("x:0", 7, -1)
    assert ours_map.SerializeToString() == map_.SerializeToString()


def test_the_client_starts_fast_and_without_tensorflow():
    program = (
        "import sys, time; start = time.process_time(); import serving.client, serving.config;"
        "heavy = {'tensorflow', 'tensorflow_serving', 'pandas', 'cv2'} & set(sys.modules);"
        "print(time.process_time() - start); assert not heavy, heavy"
    )
    root = Path(protocol.__file__).parents[2]
    seconds = min(
        float(
            subprocess.run(
                [sys.executable, "-c", program], cwd=root, check=True, capture_output=True
            ).stdout
        )
        for _ in range(3)
    )
    assert seconds < 0.5
