"""The names under which a SavedModel answers: see `model.export`."""

from __future__ import annotations

SERVING, RAW, RAW_16, METADATA = "serving_default", "raw", "raw16", "metadata"
WARM_UP = "assets.extra/tf_serving_warmup_requests"
