"""What is told of a server's log."""

from __future__ import annotations

from serving import server_log

# TF Serving's own format: util/retrier.cc, model_servers/server_core.cc and main.cc
TF_SERVING = """\
2026-01-31 12:00:00.000001: I tensorflow_serving/model_servers/server.cc:73] Building single Tens
2026-01-31 12:00:00.000002: I external/org_tensorflow/tensorflow/cc/saved_model/reader.cc:83] Readi
2026-01-31 12:00:00.000003: E external/cuda/cuda_driver.cc:266] failed call to cuInit
2026-01-31 12:00:00.000004: E tensorflow_serving/util/retrier.cc:46] Loading servable: \
{name: demo version: 1} failed: NOT_FOUND: Unsuccessful TensorSliceReader constructor
2026-01-31 12:00:00.000005: I tensorflow_serving/util/retrier.cc:55] Retrying of Loading servable: \
{name: demo version: 1} exhausted max_num_retries: 0
Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: \
{{name: demo version: 1} due to error: NOT_FOUND: Unsuccessful TensorSliceReader constructor}, }
"""
SAID = "NOT_FOUND: Unsuccessful TensorSliceReader constructor"


def test_the_words_of_tf_serving_are_found(tmp_path):
    log = tmp_path / "log"
    log.write_text(TF_SERVING)
    assert server_log.why_not_loaded(log) == SAID
    retrier, end = server_log.last_lines(log)
    assert "Loading servable" in retrier
    assert end.startswith("Failed to start server")


def test_the_words_of_the_embedded_server_are_found(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "2026-01-31 12:00:00 serving.embedded: Running gRPC ModelServer at 127.0.0.1:1 ...\n"
        "2026-01-31 12:00:01 serving.embedded: servable did not become available: "
        f"{{Name: demo Version: 1}}: {SAID}\n"
    )
    assert server_log.why_not_loaded(log) == SAID
    assert [line.endswith(SAID) for line in server_log.last_lines(log)] == [True]


def test_a_log_without_news_gives_its_end_and_an_empty_one_nothing(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(99)))
    assert server_log.last_lines(log) == [f"line {n}" for n in range(79, 99)]
    assert server_log.why_not_loaded(log) == ""
    log.write_text("\n")
    assert server_log.last_lines(log) == []
    assert server_log.in_lines([], log) == f"{log}:\n  (empty)"
    assert server_log.in_lines(["a", "b"], log) == f"{log}:\n  a\n  b"
