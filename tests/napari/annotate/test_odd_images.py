"""Images as nobody makes them on purpose: each is clicked on, accepted and taken back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

RNG = np.random.default_rng(0)
PLANE = RNG.integers(0, 200, (40, 50), np.uint8)
NAN = np.where(PLANE > 150, np.nan, PLANE).astype(np.float32)

ODD: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "one pixel": (np.ones((1, 1), np.uint8), {}),
    "one row": (PLANE[:1], {}),
    "one column": (PLANE[:, :1], {}),
    "colour with alpha, as floats": (RNG.random((40, 50, 4)).astype(np.float32), {"rgb": True}),
    "boolean": (PLANE > 100, {}),
    "large integers": (PLANE.astype(np.int64) * 2**50 + 2**62, {}),
    "large integers without a sign": (PLANE.astype(np.uint64) * 2**50 + 2**63, {}),
    "half precision": (PLANE.astype(np.float16), {}),
    "NaN": (NAN, {"contrast_limits": (0, 1)}),
    "nothing but NaN": (np.full((40, 50), np.nan), {"contrast_limits": (0, 1)}),
    "constant": (np.full((40, 50), 7, np.uint16), {}),
    "four axes": (RNG.integers(0, 200, (2, 3, 40, 50), np.uint8), {}),
    "five axes": (RNG.integers(0, 200, (2, 1, 3, 40, 50), np.uint8), {}),
    "four axes in colour": (RNG.integers(0, 200, (2, 3, 40, 50, 3), np.uint8), {"rgb": True}),
    "a plane of a stack": (PLANE[None], {}),
    "a minute scale": (PLANE, {"scale": (1e-9, 1e-9)}),
    "turned": (PLANE, {"rotate": 30}),
    "mirrored": (PLANE, {"scale": (-1, 1)}),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_image_is_annotated_and_taken_back(bench: Any, name: str) -> None:
    data, options = ODD[name]
    image = bench.open(data, **options)
    rgb = options.get("rgb", False)
    y, x = (n // 2 for n in (data.shape[-3:-1] if rgb else data.shape[-2:]))
    bench.click(y, x)
    bench.do("accept")
    bench.settle()
    labels = bench.labels
    assert labels.shape == (data.shape[:-1] if rgb else data.shape)
    assert np.asarray(labels).max() == 1, bench.state.message
    bench.viewer.dims.ndisplay = 3
    bench.settle()
    bench.viewer.dims.ndisplay = 2
    bench.settle()
    image.name = "renamed"
    bench.do("undo")
    bench.settle()
    assert np.asarray(bench.labels).max() == 0, bench.state.message
