"""TF Serving's wire protocol, as much of it as segtrail speaks, without TensorFlow."""

from serving.protocol.model_server_config_pb2 import (
    ModelConfig,
    ModelServerConfig,
)
from serving.protocol.model_service_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
)
from serving.protocol.predict_pb2 import (
    DataType,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    ModelSpec,
    PredictRequest,
    PredictResponse,
    SignatureDefMap,
    TensorProto,
    TensorShapeProto,
)
from serving.protocol.server_config_pb2 import (
    BatchingParameters,
    MonitoringConfig,
    SSLConfig,
)

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"

__all__ = [
    "GET_MODEL_METADATA",
    "GET_MODEL_STATUS",
    "PREDICT",
    "BatchingParameters",
    "DataType",
    "GetModelMetadataRequest",
    "GetModelMetadataResponse",
    "GetModelStatusRequest",
    "GetModelStatusResponse",
    "ModelConfig",
    "ModelServerConfig",
    "ModelSpec",
    "ModelVersionStatus",
    "MonitoringConfig",
    "PredictRequest",
    "PredictResponse",
    "SSLConfig",
    "SignatureDefMap",
    "TensorProto",
    "TensorShapeProto",
]
