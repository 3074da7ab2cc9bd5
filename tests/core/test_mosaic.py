from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.core.mosaic import LARGEST, predict_mosaic, starts, whole_window


@given(length=st.integers(1, 5000), size=st.sampled_from([64, 96, 256]))
def test_windows_cover_a_side_and_overlap(length: int, size: int) -> None:
    tops = starts(length, size)
    assert tops[0] == 0
    assert tops[-1] + size >= length
    assert length <= size or tops[-1] + size == length
    gaps = np.diff(tops)
    assert (gaps <= size * 0.75 + 1).all()
    assert (gaps > 0).all()


@given(
    shape=st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)),
    zoom=st.floats(0.05, 4.0),
    size=st.sampled_from([64, 256]),
)
def test_a_whole_window_holds_the_image(shape: tuple[int, int], zoom: float, size: int) -> None:
    window = whole_window(shape, zoom, size)
    assert window.visible(shape).shape == shape
    assert size <= window.size <= LARGEST
    if window.size > size:  # small images are seen at the right zoom as well
        assert window.zoom == pytest.approx(min(zoom, LARGEST / max(shape)), rel=0.05)


def test_an_image_at_its_own_zoom_is_seen_as_it_is() -> None:
    window = whole_window((300, 540), 1.0, 256)
    assert (window.span, window.size) == (540, 540)


@settings(deadline=None, max_examples=20)
@given(side=st.integers(64, 300), outputs=st.integers(1, 3))
def test_what_is_answered_pixel_by_pixel_comes_back_without_seams(side: int, outputs: int) -> None:
    rng = np.random.default_rng(side)
    image = rng.random((2, side, side), np.float32)

    def forward(part: np.ndarray) -> np.ndarray:
        return np.repeat(part[:1], outputs, 0)

    answer = predict_mosaic(forward, image, 64, np.ones((side, side), bool))
    np.testing.assert_allclose(answer, np.repeat(image[:1], outputs, 0), atol=1e-5)


def test_windows_without_image_are_left_out() -> None:
    inside = np.zeros((256, 256), bool)
    inside[:40] = True
    seen: list[int] = []

    def forward(part: np.ndarray) -> np.ndarray:
        seen.append(1)
        return np.full((3, 64, 64), 1 / 3, np.float32)

    answer = predict_mosaic(forward, np.zeros((1, 256, 256), np.float32), 64, inside)
    assert len(seen) == len(starts(256, 64))
    assert (answer[0, 200:] == 1).all(), "there it is background"
    assert (answer[1:, 200:] == 0).all()
    with pytest.raises(ValueError, match="nothing"):
        predict_mosaic(forward, np.zeros((1, 256, 256), np.float32), 64, ~inside & inside)
