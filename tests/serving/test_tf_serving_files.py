"""`serving/tf_serving/`: what the real TF Serving is run with, as far as it shows without it."""

from __future__ import annotations

import copy
import json
import re
import shlex
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import resources
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format, text_format

import serving
from serving import config, protocol
from serving.embedded import flags as embedded

FILES = Path(serving.__file__).parent / "tf_serving"
DOCS = FILES.parents[1] / "docs"
GUIDE = "".join(
    (DOCS / page).read_text(encoding="utf-8")
    for page in ("how-to/tf-serving.md", "how-to/kubernetes.md", "serving.md")
)
METRICS = "/monitoring/prometheus/metrics"
DEPLOYMENTS = ["compose.yaml", "kubernetes.yaml", "segtrail-serving.service"]
# gRPC probes are on by default since 1.24 and settled since 1.27, which the guide asks for.
KUBERNETES = ["1.27", "1.30", "1.34"]

# Every flag of tensorflow_model_server 2.20.0, in the order of its main.cc.
FLAGS = re.findall(
    r"\w+",
    """
    port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms
    rest_api_enable_cors_support enable_batching allow_version_labels_for_unavailable_models
    batching_parameters_file enable_per_model_batching_parameters model_config_file
    model_config_file_poll_wait_seconds model_name model_base_path num_load_threads
    num_unload_threads max_num_load_retries load_retry_interval_micros
    file_system_poll_wait_seconds flush_filesystem_caches tensorflow_session_parallelism
    tensorflow_session_config_file tensorflow_intra_op_parallelism
    tensorflow_inter_op_parallelism use_alts_credentials ssl_config_file platform_config_file
    per_process_gpu_memory_fraction saved_model_tags grpc_channel_arguments grpc_max_threads
    enable_model_warmup num_request_iterations_for_warmup version monitoring_config_file
    remove_unused_fields_from_bundle_metagraph prefer_tflite_model num_tflite_pools
    num_tflite_interpreters_per_pool enable_signature_method_name_check
    xla_cpu_compilation_enabled xla_gpu_compilation_enabled enable_profiler
    thread_pool_factory_config_file mixed_precision skip_initialize_tpu
    enable_grpc_healthcheck_service enable_serialization_as_tensor_content
    """,
)
# What decides who may connect and what is loaded, which the stand-in cannot do and so refuses.
MODEL = ("model_config_file", "model_config_file_poll_wait_seconds", "model_name")  # not alone
REFUSED = {
    "use_alts_credentials", "platform_config_file", "saved_model_tags", "version",
    "enable_per_model_batching_parameters", "tensorflow_session_config_file",
    "thread_pool_factory_config_file", "prefer_tflite_model", "num_tflite_pools",
    "num_tflite_interpreters_per_pool",
}  # fmt: skip


def parsed(name, message):
    return text_format.Parse((FILES / name).read_text(encoding="utf-8"), message)


def interpolated(text, **environment):
    """What Compose makes of `${NAME:?message}`, `${NAME:-default}` and `$$`."""

    def value(match):
        name, kind, rest = match.groups()
        assert name in environment or kind == ":-", f"{name} is not set: {rest}"
        return environment.get(name, rest)

    return re.sub(r"\$\{(\w+)(:[?-])([^}]*)\}", value, text).replace("$$", "$")


def compose():
    text = (FILES / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(interpolated(text, SEGTRAIL_HOME="/srv/segtrail"))


def manifests():
    return list(yaml.safe_load_all((FILES / "kubernetes.yaml").read_text(encoding="utf-8")))


def manifest(kind):
    (found,) = [one for one in manifests() if one["kind"] == kind]
    return found


def pod():
    return manifest("Deployment")["spec"]["template"]["spec"]


def unit():
    """Returns the unit's settings; a name that occurs twice has its last value."""
    text = (FILES / "segtrail-serving.service").read_text(encoding="utf-8").replace("\\\n", "")
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line))


def command(deployment):
    """Returns how a file calls TF Serving: program and flags."""
    if deployment == "compose.yaml":
        service = compose()["services"]["tensorflow-serving"]
        return [*service["entrypoint"], *service["command"]]
    if deployment == "kubernetes.yaml":
        (container,) = pod()["containers"]
        return [*container["command"], *container["args"]]
    return shlex.split(unit()["ExecStart"])


def flags_of(deployment):
    program, *arguments = command(deployment)
    assert Path(program).name == "tensorflow_model_server"
    assert all(re.fullmatch(r"--\w+=\S+", argument) for argument in arguments)
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


def test_monitoring_is_on_where_the_health_check_and_the_guide_look():
    found = parsed("monitoring.config", protocol.MonitoringConfig())
    assert found.prometheus_config.enable
    assert found.prometheus_config.path == METRICS
    assert METRICS in json.dumps(compose()["services"]["tensorflow-serving"]["healthcheck"])
    assert f"8501{METRICS}" in GUIDE
    in_cluster = text_format.Parse(
        manifest("ConfigMap")["data"]["monitoring.config"], protocol.MonitoringConfig()
    )
    assert in_cluster == found


def test_batches_fit_what_tf_serving_asks_of_them():
    found = parsed("batching.config", protocol.BatchingParameters())
    assert found.enable_large_batch_splitting.value
    assert 0 < found.max_execution_batch_size.value <= found.max_batch_size.value
    assert found.num_batch_threads.value > 0
    assert not found.pad_variable_length_inputs


def test_batching_is_off_because_the_metadata_would_not_answer():
    assert not any("enable_batching" in flags_of(name) for name in DEPLOYMENTS)
    assert "must have at least one input tensor" in " ".join(
        (FILES / "batching.config").read_text(encoding="utf-8").replace("#", " ").split()
    )


def test_the_ssl_example_holds_texts_and_no_real_key():
    found = parsed("ssl.config.example", protocol.SSLConfig())
    for text, kind in [
        (found.server_key, "PRIVATE KEY"),
        (found.server_cert, "CERTIFICATE"),
        (found.custom_ca, "CERTIFICATE"),
    ]:
        first, middle, last = text.splitlines()
        assert (first, last) == (f"-----BEGIN {kind}-----", f"-----END {kind}-----")
        assert middle.startswith("placeholder: ")
    assert found.client_verify


def test_the_guides_command_makes_an_ssl_config_of_pem_files(tmp_path):
    texts = {}
    for name in ("server.key", "server.crt", "clients-ca.crt"):
        texts[name] = f"-----BEGIN {name}-----\nYWJj/+=\n-----END {name}-----\n"
        (tmp_path / name).write_text(texts[name])
    (commands,) = [block for block in guide_blocks() if block.startswith("field()")]
    subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, check=True)
    written = tmp_path / "ssl.config"
    found = text_format.Parse(written.read_text(), protocol.SSLConfig())
    assert [found.server_key, found.server_cert, found.custom_ca] == list(texts.values())
    assert found.client_verify
    assert written.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["server_key_file: 'a.pem'", "client_verify: 'perhaps'"])
def test_a_field_that_tf_serving_does_not_know_is_refused(text):
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text, protocol.SSLConfig())


def test_models_config_is_tf_servings(tmp_path):
    theirs = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    path = tmp_path / "models.config"
    config.set_champion(path, "nuclei", Path("/srv/segtrail/serving/models/nuclei"), 3)
    (found,) = text_format.Parse(
        path.read_text(), theirs.ModelServerConfig()
    ).model_config_list.config
    assert (found.name, found.model_platform) == ("nuclei", "tensorflow")
    assert found.base_path == "/srv/segtrail/serving/models/nuclei"
    assert list(found.model_version_policy.specific.versions) == [3]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_flags_are_flags_of_tf_serving(name):
    assert len(set(FLAGS)) == 48
    found = flags_of(name)
    assert set(found) <= set(FLAGS)
    assert len(found) == len(command(name)) - 1  # none twice
    assert (found["port"], found["rest_api_port"]) == ("8500", "8501")
    assert found["enable_grpc_healthcheck_service"] == "true"
    assert found["model_config_file"] == "/srv/segtrail/serving/models.config"


def test_flags_named_in_comments_and_in_the_guide_exist_too():
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(FILES.iterdir()))
    # With an underscore: what they name of other programs' options is written with hyphens.
    named = set(re.findall(r"--([a-z]+(?:_[a-z]+)+)", text + GUIDE))
    assert {"enable_batching", "batching_parameters_file", "ssl_config_file"} <= named
    assert named - {"max_image_pixels", "max_concurrent_requests"} <= set(FLAGS)  # the stand-in's


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_stand_in_takes_the_same_command_line(name, tmp_path, capsys):
    found = flags_of(name)
    found["monitoring_config_file"] = FILES / "monitoring.config"
    shared = [f"--{flag}={value}" for flag, value in found.items()]
    read = embedded.parse(shared)
    assert read.without_effect == ("rest_api_port", "monitoring_config_file")
    assert read.port == 8500
    assert read.model_config_file == Path("/srv/segtrail/serving/models.config")
    assert read.model_config_file_poll_wait_seconds == 1
    with pytest.raises(SystemExit):
        embedded.parse([*shared, "--no_such_flag=1"])
    assert "no_such_flag" in capsys.readouterr().err


@pytest.mark.parametrize("flag", FLAGS)
def test_the_stand_in_knows_each_flag_or_refuses_it(flag, capsys):
    values = {
        "enable_batching": "false", "monitoring_config_file": str(FILES / "monitoring.config"),
        "model_config_file": "", "model_base_path": "/m", "grpc_channel_arguments": "a=1",
    }  # fmt: skip
    base = [] if flag.startswith("model_") else ["--model_base_path=/m"]
    given = [f"--{flag}={values.get(flag, '1')}", *base]
    if flag in REFUSED:
        with pytest.raises(SystemExit):
            embedded.parse(given)
        assert flag in capsys.readouterr().err
    elif flag not in ("ssl_config_file", "batching_parameters_file", *MODEL):
        embedded.parse(given)


@pytest.fixture(scope="module")
def compose_schema():
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("check_jsonschema")  # `make test` installs it
    vendor = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((vendor / "compose-spec.json").read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def test_compose_has_the_schema_of_the_compose_specification(compose_schema):
    compose_schema.validate(compose())


@pytest.mark.parametrize(
    ("field", "value"),
    [("read_onyl", True), ("healthcheck", {"test": ["CMD"], "interval": 10}), ("ports", "8500")],
)
def test_a_wrong_field_in_compose_is_refused(compose_schema, field, value):
    wrong = copy.deepcopy(compose())
    wrong["services"]["tensorflow-serving"][field] = value
    assert not compose_schema.is_valid(wrong)


def test_compose_needs_the_workspace_to_be_named():
    with pytest.raises(AssertionError, match="SEGTRAIL_HOME"):
        interpolated((FILES / "compose.yaml").read_text(encoding="utf-8"))


def test_compose_mounts_the_folder_read_only_where_it_lies_and_opens_no_port_to_others():
    service = compose()["services"]["tensorflow-serving"]
    (store,) = service["volumes"]
    assert store["source"] == store["target"] == "/srv/segtrail/serving"
    assert store["read_only"] is service["read_only"] is service["init"] is True
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "65534:65534"
    assert (FILES / compose()["configs"]["monitoring"]["file"]).is_file()
    assert service["image"] == pod()["containers"][0]["image"]
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", service["image"])


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (400, False), (None, False)])
def test_the_health_check_of_compose_tells_a_server_from_none(status, healthy):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == METRICS else 400)
            self.end_headers()
            self.wfile.write(b"# 200 metrics\n")

        def log_message(self, *_):
            pass

    program, *arguments = compose()["services"]["tensorflow-serving"]["healthcheck"]["test"][1:]
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
        arguments = [argument.replace("/8501", f"/{port}") for argument in arguments]
        if status is None:
            server.server_close()
        else:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run([program, *arguments], capture_output=True, timeout=20)
        if status is not None:
            server.shutdown()
    assert (done.returncode == 0) == healthy, done.stderr


def test_tls_with_compose_is_the_same_command_and_one_more_file(compose_schema):
    text = (FILES / "compose.tls.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(
        interpolated(text, SEGTRAIL_HOME="/srv/segtrail", SEGTRAIL_SSL_CONFIG="/root/ssl.config")
    )
    compose_schema.validate(found)
    service, plain = found["services"]["tensorflow-serving"], compose()
    plain = plain["services"]["tensorflow-serving"]
    (mounted,) = service["volumes"]
    assert service["command"] == [*plain["command"], f"--ssl_config_file={mounted['target']}"]
    assert (mounted["source"], mounted["read_only"]) == ("/root/ssl.config", True)
    assert mounted["target"] not in [each["target"] for each in plain["configs"]]
    with pytest.raises(AssertionError, match="SEGTRAIL_SSL_CONFIG"):
        interpolated(text, SEGTRAIL_HOME="/srv/segtrail")


@pytest.fixture(scope="module")
def kubernetes():
    return pytest.importorskip("kubernetes_validate")


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_manifests_have_kubernetes_own_schemas(kubernetes, version):
    kinds = []
    for one in manifests():
        assert kubernetes.validate(one, version, strict=True) == version
        kinds.append(one["kind"])
    assert sorted(kinds) == [
        "ConfigMap", "Deployment", "PersistentVolume", "PersistentVolumeClaim",
        "PodDisruptionBudget", "Service",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [("replicas", "two"), ("replicsa", 2), ("selector", None)],
    ids=["wrong type", "unknown field", "missing"],
)
def test_a_wrong_field_in_a_manifest_is_refused(kubernetes, field, value):
    wrong = manifest("Deployment")
    wrong["spec"][field] = value
    if value is None:
        del wrong["spec"][field]
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate(wrong, KUBERNETES[-1], strict=True)


def test_the_manifests_fit_together():
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("Service")["spec"]["selector"] == labels
    assert manifest("Service")["spec"]["clusterIP"] == "None"
    assert manifest("Deployment")["spec"]["replicas"] >= 2
    (container,) = pod()["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "metrics": 8501}
    assert {port["targetPort"] for port in manifest("Service")["spec"]["ports"]} == set(ports)
    claim = manifest("PersistentVolumeClaim")
    assert claim["spec"]["volumeName"] == manifest("PersistentVolume")["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadOnlyMany"]
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    assert volumes["store"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == manifest("ConfigMap")["metadata"]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)


def test_a_pod_reads_the_folder_and_is_asked_whether_it_serves():
    (container,) = pod()["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["store"]["mountPath"] == "/srv/segtrail/serving"
    assert mounts["store"]["readOnly"] is True
    assert not any("subPath" in mount for mount in mounts.values())
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["grpc"]
        assert asked["port"] == 8500
        assert asked["service"] in ("ModelService", "PredictionService")  # TF Serving's server.cc


def patched(value, patch):
    """What `kubectl patch` makes of it: maps are merged, null removes, lists of names too."""
    if isinstance(value, dict) and isinstance(patch, dict):
        both = value | {key: patched(value.get(key), new) for key, new in patch.items()}
        return {key: item for key, item in both.items() if item is not None}
    keys = ("mountPath", "name")  # the merge keys of volumeMounts, and of containers and volumes
    if isinstance(value, list) and isinstance(patch[0], dict):
        key = next(key for key in keys if all(key in each for each in [*value, *patch]))
        mine = {each[key]: each for each in value}
        return list((mine | {p[key]: patched(mine.get(p[key], {}), p) for p in patch}).values())
    return patch


def test_tls_in_kubernetes_is_a_patch_of_the_deployment(kubernetes):
    patch = yaml.safe_load((FILES / "kubernetes.tls.yaml").read_text(encoding="utf-8"))
    found = patched(manifest("Deployment"), patch)
    for version in KUBERNETES:
        assert kubernetes.validate(found, version, strict=True) == version
    (container,), (plain,) = found["spec"]["template"]["spec"]["containers"], pod()["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert set(mounts) == {"store", "config", "tmp", "tls"}
    assert len(set(mounts.values())) == 4
    assert container["args"] == [*plain["args"], f"--ssl_config_file={mounts['tls']}/ssl.config"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert "grpc" not in container[probe]
        assert container[probe]["tcpSocket"] == {"port": 8500}
        assert container[probe]["periodSeconds"] == plain[probe]["periodSeconds"]
    volumes = {each["name"]: each for each in found["spec"]["template"]["spec"]["volumes"]}
    assert set(volumes) == set(mounts)
    assert volumes["tls"]["secret"]["secretName"] in (FILES / "kubernetes.tls.yaml").read_text()


def test_batching_has_its_file_wherever_it_is_switched_on():
    service = compose()["services"]["tensorflow-serving"]
    assert {each["target"] for each in service["configs"]} == {
        "/etc/segtrail/monitoring.config", "/etc/segtrail/batching.config",
    }  # fmt: skip
    for each in service["configs"]:
        assert (FILES / compose()["configs"][each["source"]]["file"]).is_file()
    text = manifest("ConfigMap")["data"]["batching.config"]
    found = text_format.Parse(text, protocol.BatchingParameters())
    assert found == parsed("batching.config", protocol.BatchingParameters())


def test_a_pod_outlives_its_clients_connections():
    (container,) = pod()["containers"]
    age = re.fullmatch(
        r"grpc\.max_connection_age_ms=(\d+)", flags_of("kubernetes.yaml")["grpc_channel_arguments"]
    )
    _, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert int(age[1]) / 1000 * 1.1 < int(seconds) < pod()["terminationGracePeriodSeconds"]


def test_threads_are_as_many_as_the_pod_may_use():
    found = flags_of("kubernetes.yaml")
    (container,) = pod()["containers"]
    cores = container["resources"]["limits"]["cpu"]
    assert found["tensorflow_intra_op_parallelism"] == cores
    assert found["tensorflow_inter_op_parallelism"] == cores


def test_the_unit_lets_this_machine_alone_in():
    found = unit()
    assert (found["IPAddressDeny"], found["IPAddressAllow"]) == ("any", "localhost")
    assert (found["DynamicUser"], found["NoNewPrivileges"]) == ("yes", "yes")
    assert "MemoryDenyWriteExecute" not in found


def verified_unit(folder, change=lambda text: text):
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed")
    text = (FILES / "segtrail-serving.service").read_text(encoding="utf-8")
    # It looks for the program too.
    text = text.replace("/usr/bin/tensorflow_model_server", shutil.which("true"))
    path = folder / "segtrail-serving.service"
    path.write_text(change(text))
    done = subprocess.run([analyze, "verify", str(path)], capture_output=True, text=True)
    own = [line for line in done.stderr.splitlines() if path.name in line]
    if done.returncode and not own:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr.strip()[-200:]}")
    return own


def test_systemd_understands_the_unit(tmp_path):
    assert verified_unit(tmp_path) == []


def test_systemd_would_complain_about_a_setting_it_does_not_know(tmp_path):
    said = verified_unit(tmp_path, lambda text: text.replace("UMask=", "UMaks="))
    assert any("UMaks" in line for line in said)


def guide_blocks():
    return re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL)


def test_grpcurl_is_told_the_paths_that_the_client_uses():
    text = (FILES / "services.proto").read_text(encoding="utf-8")
    package = re.search(r"^package ([\w.]+);", text, re.MULTILINE)[1]
    found = {}
    for service, body in re.findall(r"service (\w+) \{(.*?)\n\}", text, re.DOTALL):
        for method, asked, answered in re.findall(
            r"rpc (\w+)\(([\w.]+)\)\s+returns \(([\w.]+)\)", body
        ):
            found[f"/{package}.{service}/{method}"] = (asked, answered)
    messages = {
        protocol.PREDICT: (protocol.PredictRequest, protocol.PredictResponse),
        protocol.GET_MODEL_STATUS: (
            protocol.GetModelStatusRequest, protocol.GetModelStatusResponse,
        ),
    }  # fmt: skip
    assert found == {
        path: tuple(message.DESCRIPTOR.full_name for message in pair)
        for path, pair in messages.items()
    }
    for name in re.findall(r'^import "(.*)";', text, re.MULTILINE):
        assert (FILES.parents[1] / name).is_file()
    named = re.findall(r"tensorflow\.serving\.\w+/\w+", "".join(guide_blocks()))
    assert {f"/{name}" for name in named} == set(found)


def test_the_guides_requests_are_requests(tmp_path):
    (tmp_path / "cells.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (status,) = [block for block in guide_blocks() if "GetModelStatus" in block]
    body = re.search(r"-d '(.*?)'", status)[1]
    request = json_format.Parse(body, protocol.GetModelStatusRequest())
    assert request.model_spec.name == "nuclei"

    (predict,) = [block for block in guide_blocks() if "Service/Predict" in block]
    printed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", predict.rsplit("|", 1)[0]],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    request = json_format.Parse(printed, protocol.PredictRequest())
    tensor = request.inputs["image_bytes"]
    assert list(tensor.string_val) == [(tmp_path / "cells.png").read_bytes()]
    assert (tensor.dtype, tensor.tensor_shape.dim[0].size) == (protocol.DataType.DT_STRING, 1)


def test_every_file_is_in_the_guides_table():
    assert {path.name for path in FILES.iterdir()} == set(
        re.findall(r"^\| `([\w.-]+)` \|", GUIDE.split("## Start it")[0], re.MULTILINE)
    )
