from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.engine.segmenter import Segmenter


@pytest.fixture(scope="session")
def load_once() -> Callable[..., Segmenter]:
    """Load the bundled model once, which takes half a second, and others each time."""
    from napari_clickseg.engine import segmenter

    load, bundled = segmenter.load_segmenter, cache(segmenter.load_segmenter)

    def loaded(model: Any = "default", device: str = "auto", **options: Any) -> Segmenter:
        return (bundled if model == "default" else load)(model, device, **options)

    return loaded


@pytest.fixture(autouse=True)
def one_default_model(load_once: Callable[..., Segmenter], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command starts sessions of it, and changes nothing of it."""
    monkeypatch.setattr("napari_clickseg.engine.segmenter.load_segmenter", load_once)
