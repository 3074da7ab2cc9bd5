from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_clickseg._qt.annotate.widget import AnnotateWidget
    from napari_clickseg.engine.segmenter import Segmenter


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings in a folder of the test's own, not those of whoever runs the tests."""
    from napari import settings

    settings._clear_plugin_settings_cache()
    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    yield
    settings._clear_plugin_settings_cache()


@pytest.fixture
def bright_model(
    bright_segmenter: Callable[..., Segmenter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every model is one that finds what is bright: quick, and its answer is known."""
    monkeypatch.setattr(
        "napari_clickseg.engine.segmenter.load_segmenter", lambda *_, **__: bright_segmenter()
    )


@pytest.fixture
def spots() -> np.ndarray:
    """Four bright squares on black, uint8 (96, 128)."""
    image = np.zeros((96, 128), np.uint8)
    for row in (16, 60):
        for column in (20, 84):
            image[row : row + 20, column : column + 24] = 220
    return image


@pytest.fixture
def open_annotate(
    make_napari_viewer: Callable[..., Any], bright_model: None, qtbot: Any
) -> Callable[..., tuple[Any, AnnotateWidget]]:
    """Open a viewer with the widget docked, as napari does it, and wait for the model."""

    def make(*, wait: bool = True, **options: Any) -> tuple[Any, AnnotateWidget]:
        viewer = make_napari_viewer(**options)
        _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
        if wait:
            qtbot.waitUntil(lambda: widget.desk.state.model_status == "ready", timeout=30_000)
        return viewer, widget

    return make


@pytest.fixture
def annotating(
    open_annotate: Callable[..., tuple[Any, AnnotateWidget]], spots: np.ndarray, qtbot: Any
) -> Callable[..., tuple[Any, AnnotateWidget]]:
    """The same, with an image that is set up for annotating."""

    def make(image: np.ndarray | None = None, **options: Any) -> tuple[Any, AnnotateWidget]:
        viewer, widget = open_annotate(**options)
        viewer.add_image(spots if image is None else image, name="spots")
        qtbot.waitUntil(lambda: widget.images.start.enabled, timeout=5000)
        widget.images.start.native.click()
        assert widget.desk.state.image is not None, widget.desk.state.message
        return viewer, widget

    return make
