"""Requests computed together: each gets its own rows, or its own error."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.embedded.batching import Batcher
from serving.embedded.batching_rules import Rules
from serving.embedded.call import Call
from serving.embedded.refusal import INVALID_ARGUMENT, UNAVAILABLE, Refusal
from serving.protocol import BatchingParameters


class Doubles:
    """Doubles its input, and remembers how many rows it was given at a time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.started, self.go = threading.Event(), threading.Event()
        self.go.set()

    def compute(self, call, blame=True):
        if not call.inputs:
            return {"what": np.array("doubles")}
        x = call.inputs["x"]
        self.sizes.append(len(x))
        self.started.set()
        assert self.go.wait(30)
        if (x < 0).any():
            raise Refusal(INVALID_ARGUMENT, f"row {int(np.argmax(x < 0))} is negative, {blame}")
        return {"y": x * 2}


def call(*rows, deadline=None, outputs=("y",)):
    return Call("s", {"x": np.array(rows, float)}, outputs, deadline)


def rules(text="", cores=1):
    return Rules.of(text_format.Parse(text, BatchingParameters()), cores)


def held(model, batcher, pool):
    """Makes the one batch thread busy, so that what comes next waits together."""
    model.go.clear()
    first = pool.submit(batcher.compute, model, call(0.0))
    assert model.started.wait(30)
    return first


def settle(pool, batcher, model, calls):
    """Sends the calls one after another, lets the model go, and returns what came of each."""
    futures = []
    for each in calls:
        futures.append(pool.submit(batcher.compute, model, each))
        time.sleep(0.02)  # so that they wait in this order
    model.go.set()
    return [future.exception() or future.result()["y"].tolist() for future in futures]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=12),
    largest=st.integers(7, 9), threads=st.integers(1, 3), split=st.integers(1, 9),
)  # fmt: skip
def test_each_gets_its_own_rows(sizes, largest, threads, split):
    text = f"max_batch_size {{ value: {largest} }} num_batch_threads {{ value: {threads} }}"
    text += " max_enqueued_batches { value: 100 } enable_large_batch_splitting { value: true }"
    text += f" max_execution_batch_size {{ value: {split} }}"
    model, batcher = Doubles(), Batcher(rules(text))
    calls = [call(*(100.0 * n + k for k in range(size))) for n, size in enumerate(sizes)]
    with ThreadPoolExecutor(len(calls)) as pool:
        found = list(pool.map(lambda each: batcher.compute(model, each), calls))
    for asked, answer in zip(calls, found, strict=True):
        np.testing.assert_array_equal(answer["y"], asked.inputs["x"] * 2)
    assert sum(model.sizes) == sum(sizes)
    assert max(model.sizes) <= min(largest, split)


def test_those_who_wait_are_computed_together_up_to_the_largest_batch():
    model, batcher = Doubles(), Batcher(rules("max_batch_size { value: 4 }"))
    with ThreadPoolExecutor(8) as pool:
        held(model, batcher, pool)
        found = settle(pool, batcher, model, [call(1.0, 2.0), call(3.0), call(4.0, 5.0), call(6.0)])
    assert found == [[2, 4], [6], [8, 10], [12]]
    assert model.sizes == [1, 3, 3]  # 2 + 1, since 2 + 1 + 2 is too many


def test_a_bad_request_fails_alone():
    model, batcher = Doubles(), Batcher(rules())
    with ThreadPoolExecutor(8) as pool:
        held(model, batcher, pool)
        good, bad, late = settle(pool, batcher, model, [call(1.0), call(2.0, -1.0), call(3.0)])
    assert (good, late) == ([2], [6])
    assert bad.message == "row 1 is negative, True"
    assert model.sizes[1] == 4


def test_other_outputs_shapes_and_models_are_not_mixed():
    one, other, batcher = Doubles(), Doubles(), Batcher(rules())
    wide = Call("s", {"x": np.ones((1, 2))}, ("y",))
    with ThreadPoolExecutor(8) as pool:
        held(one, batcher, pool)
        futures = [
            pool.submit(batcher.compute, model, each)
            for model, each in [(one, call(1.0)), (one, wide), (other, call(1.0)), (one, call(2.0))]
        ]
        time.sleep(0.1)
        one.go.set()
        assert [future.result()["y"].shape for future in futures] == [(1,), (1, 2), (1,), (1,)]
    assert sorted(one.sizes) == [1, 1, 2]
    assert other.sizes == [1]


def test_batches_are_filled_up_to_an_allowed_size():
    text = "max_batch_size { value: 8 } allowed_batch_sizes: 4 allowed_batch_sizes: 8"
    model, batcher = Doubles(), Batcher(rules(text))
    assert batcher.compute(model, call(1.0, 2.0, 3.0))["y"].tolist() == [2, 4, 6]
    assert batcher.compute(model, call(*range(5)))["y"].tolist() == [0, 2, 4, 6, 8]
    assert model.sizes == [4, 8]


def test_a_request_waits_for_others_as_long_as_it_is_told():
    model, batcher = Doubles(), Batcher(rules("batch_timeout_micros { value: 300000 }"))
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(batcher.compute, model, call(float(n))) for n in (1, 2)]
        assert [future.result()["y"].tolist() for future in both] == [[2], [4]]
    assert model.sizes == [2]


def test_too_much_is_refused_with_tf_servings_words():
    text = "max_batch_size { value: 2 } max_enqueued_batches { value: 1 }"
    model, batcher = Doubles(), Batcher(rules(text))
    with pytest.raises(Refusal, match="Task size 3 is larger than maximum input batch size 2") as e:
        batcher.compute(model, call(1.0, 2.0, 3.0))
    assert e.value.code == INVALID_ARGUMENT
    with ThreadPoolExecutor(8) as pool:
        held(model, batcher, pool)
        waits = pool.submit(batcher.compute, model, call(1.0, 2.0))
        time.sleep(0.1)
        with pytest.raises(Refusal, match="queue to which this task was submitted is full") as e:
            batcher.compute(model, call(3.0))
        model.go.set()
        assert waits.result()["y"].tolist() == [2, 4]
    assert e.value.code == UNAVAILABLE


def test_who_no_longer_waits_is_not_computed():
    model, batcher = Doubles(), Batcher(rules())
    with ThreadPoolExecutor(8) as pool:
        held(model, batcher, pool)
        gone = call(1.0, deadline=time.monotonic() + 0.01)
        late, kept = settle(pool, batcher, model, [gone, call(2.0)])
    assert "deadline passed" in late.message
    assert kept == [4]
    assert model.sizes == [1, 1]


def test_without_inputs_there_is_nothing_to_join():
    """TF Serving refuses such a signature when it batches; here `metadata` still answers."""
    found = Batcher(rules()).compute(Doubles(), Call("metadata", {}, ("what",)))
    assert found["what"] == "doubles"


def test_the_defaults_are_tf_servings():
    assert rules(cores=3) == Rules(1000, 1000, 0.0, 10, 3, ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size: expected 1 or more; got 0"),
        ("num_batch_threads { value: 0 }", "num_batch_threads"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "the last is max_batch_size"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [8, 4]", "rising"),
        ("pad_variable_length_inputs: true", "needs TF Serving"),
    ],
)
def test_bad_parameters_are_refused(text, says):
    with pytest.raises(ValueError, match=says):
        rules(text)
