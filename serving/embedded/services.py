"""The gRPC services PredictionService and ModelService, over a `Manager`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Any, NoReturn

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.embedded.call import Arrays, Call
from serving.embedded.loaded_model import LoadedModel
from serving.embedded.manager import Manager, State, Version
from serving.embedded.model_list import Wanted, wanted
from serving.embedded.refusal import INVALID_ARGUMENT, NOT_FOUND, UNKNOWN, Refusal


async def _answer(work: Awaitable[Any], context: grpc.aio.ServicerContext) -> Any:
    """Returns what `work` returns; a `Refusal` becomes the call's status."""
    try:
        return await work
    except Refusal as e:
        await context.abort(e.code, e.message)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata.

    Args:
        manager: Has the models.
        pool: Answers as many requests at once as it has threads; the others wait, and those
            whose client gives up meanwhile are not answered.
        compute: Computes a call: `LoadedModel.compute`, or a batcher's.
        keep: Gets the model's name and each call that was answered.
    """

    def __init__(
        self,
        manager: Manager[LoadedModel],
        pool: Executor,
        compute: Callable[[LoadedModel, Call], Arrays] = LoadedModel.compute,
        keep: Callable[[str, Call], None] | None = None,
    ) -> None:
        self._manager, self._pool, self._compute = manager, pool, compute
        self._keep = keep

    async def Predict(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        left = context.time_remaining()
        deadline = None if left is None else time.monotonic() + left
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, self._predict, request, deadline)
        return await _answer(work, context)

    async def GetModelMetadata(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _answer(asyncio.to_thread(self._metadata, request), context)

    async def Classify(self, request: Any, context: grpc.aio.ServicerContext) -> NoReturn:
        await _unimplemented(context)

    async def Regress(self, request: Any, context: grpc.aio.ServicerContext) -> NoReturn:
        await _unimplemented(context)

    async def MultiInference(self, request: Any, context: grpc.aio.ServicerContext) -> NoReturn:
        await _unimplemented(context)

    def _predict(self, request: Any, deadline: float | None) -> Any:
        with _using(self._manager, request) as found:
            model = _model(found)
            spec = request.model_spec
            response = predict_pb2.PredictResponse()
            call = model.call(spec.signature_name, request.inputs, request.output_filter, deadline)
            for alias, tensor in model.protos(call, self._compute(model, call)).items():
                response.outputs[alias].CopyFrom(tensor)
            _name(response.model_spec, spec.name, found.number)
            response.model_spec.signature_name = call.signature
            if self._keep is not None:
                self._keep(spec.name, call)
            return response

    def _metadata(self, request: Any) -> Any:
        if not request.HasField("model_spec"):
            raise Refusal(INVALID_ARGUMENT, "Missing ModelSpec")
        if not request.metadata_field:
            raise Refusal(
                INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != "signature_def":
                raise Refusal(INVALID_ARGUMENT, f"Metadata field {field} is not supported")
        with _using(self._manager, request) as found:
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, signature in _model(found).signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            _name(response.model_spec, request.model_spec.name, found.number)
            response.metadata["signature_def"].Pack(signatures)
            return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest.

    Args:
        manager: Has the models.
        reload: Puts a configuration into force and returns what could not be done.
    """

    def __init__(
        self,
        manager: Manager[LoadedModel],
        reload: Callable[[Sequence[Wanted]], list[Refusal]],
    ) -> None:
        self._manager, self._reload = manager, reload

    async def GetModelStatus(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _answer(asyncio.to_thread(self._status, request), context)

    async def HandleReloadConfigRequest(
        self, request: Any, context: grpc.aio.ServicerContext
    ) -> Any:
        return await _answer(asyncio.to_thread(self._reload_config, request), context)

    def _status(self, request: Any) -> Any:
        if not request.HasField("model_spec"):
            raise Refusal(INVALID_ARGUMENT, "Missing ModelSpec")
        spec = request.model_spec
        states = self._manager.states(spec.name)
        if spec.WhichOneof("version_choice") == "version":  # a label says nothing here
            number = spec.version.value
            states = [state for state in states if state[0] == number]
            if not states:
                raise Refusal(NOT_FOUND, f"Could not find version {number} of model {spec.name}")
        if not states:
            raise Refusal(NOT_FOUND, f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state, error in reversed(states):  # TF Serving lists the newest first
            status = response.model_version_status.add(version=version, state=int(state))
            status.status.error_code = UNKNOWN.value[0] if error and state == State.END else 0
            status.status.error_message = error
        return response

    def _reload_config(self, request: Any) -> Any:
        if request.config.WhichOneof("config") is None:
            raise Refusal(INVALID_ARGUMENT, "ReloadConfigRequest has no model_config_list")
        problems = self._reload(wanted(request.config))
        if problems:
            raise Refusal(problems[0].code, "; ".join(problem.message for problem in problems))
        return model_management_pb2.ReloadConfigResponse()


def _using(manager: Manager[LoadedModel], request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise Refusal(INVALID_ARGUMENT, "Missing ModelSpec")
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    return manager.using(
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
    )


def _model(found: Version[LoadedModel]) -> LoadedModel:
    assert found.model is not None  # it stays loaded while it is used
    return found.model


def _name(spec: Any, name: str, version: int) -> None:
    spec.name = name
    spec.version.value = version


async def _unimplemented(context: grpc.aio.ServicerContext) -> NoReturn:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not in this server; it needs TF Serving")
    raise AssertionError("abort returned")
