from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_clickseg._qt.annotate.widget import AnnotateWidget
    from napari_clickseg._qt.review.widget import ReviewWidget
    from napari_clickseg._qt.train.widget import TrainWidget
    from napari_clickseg.engine.segmenter import Segmenter


@contextmanager
def until_gone(qtbot: Any, widget: Any) -> Iterator[None]:
    """Wait until what is done within has deleted a widget.

    pytest-qt's waitSignal lets go of the signal afterwards, which PySide refuses: its owner is
    gone.
    """
    gone: list[bool] = []
    widget.destroyed.connect(lambda: gone.append(True))
    yield
    qtbot.waitUntil(lambda: bool(gone), timeout=30_000)


@pytest.fixture(scope="session")
def settings_models() -> dict[str, Any]:
    """What plugins' settings are made of; napari reads all manifests for it."""
    from napari.settings import plugin_configuration_generator

    return plugin_configuration_generator()


@pytest.fixture(autouse=True)
def own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_models: dict[str, Any]
) -> Iterator[None]:
    """Settings and kept work in folders of the test's own, not of whoever runs the tests."""
    from napari import settings

    monkeypatch.setattr(settings, "plugin_configuration_generator", lambda: settings_models)
    monkeypatch.setenv("CLICKSEG_HOME", str(tmp_path / "home"))
    settings._clear_plugin_settings_cache()
    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    yield
    settings._clear_plugin_settings_cache()


@pytest.fixture(autouse=True)
def no_dialog_waits_for_a_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file dialog that a test does not answer fails it; it would be waited for without end."""
    from qtpy.QtWidgets import QColorDialog, QFileDialog

    def unanswered(*args: Any, **_: Any) -> None:
        raise AssertionError(f"A dialog opens that the test does not answer: {args[1:]}")

    for name in ("getExistingDirectory", "getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(QFileDialog, name, unanswered)
    monkeypatch.setattr(QColorDialog, "getColor", unanswered)
    monkeypatch.setattr("napari_clickseg._qt.parts.folders.choose_or_make_folder", unanswered)


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
    open_viewer: Callable[[], Any], bright_model: None, qtbot: Any
) -> Callable[..., tuple[Any, AnnotateWidget]]:
    """Open a viewer with the widget docked, as napari does it, and wait for the model.

    `show` says that a test needs the window; the viewer that is lent always has one.
    """

    def make(*, wait: bool = True, show: bool = True) -> tuple[Any, AnnotateWidget]:
        viewer = open_viewer()
        _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
        if wait:
            qtbot.waitUntil(lambda: widget.context.state.model_status == "ready", timeout=120_000)
        return viewer, widget

    return make


@pytest.fixture
def annotating(
    open_annotate: Callable[..., tuple[Any, AnnotateWidget]], spots: np.ndarray, qtbot: Any
) -> Callable[..., tuple[Any, AnnotateWidget]]:
    """The same, with an image that is set up for annotating."""

    def make(image: np.ndarray | None = None, *, show: bool = True) -> tuple[Any, AnnotateWidget]:
        viewer, widget = open_annotate()
        viewer.add_image(spots if image is None else image, name="spots")
        qtbot.waitUntil(lambda: widget.images.start.enabled, timeout=5000)
        widget.images.start.native.click()
        assert widget.context.state.image is not None, widget.context.state.message
        return viewer, widget

    return make


# ---- Train and Review


def picture(seed: int = 0) -> np.ndarray:
    """Three bright squares and noise, uint8 (96, 128)."""
    image = np.random.default_rng(seed).integers(0, 30, (96, 128)).astype(np.uint8)
    for row, column in ((16, 20), (16, 84), (60, 20)):
        image[row : row + 20, column : column + 24] += 190
    return image


def prediction() -> np.ndarray:
    """Two of the squares, and one where nothing is."""
    labels = np.zeros((96, 128), np.uint8)
    labels[16:36, 20:44] = 1
    labels[16:36, 84:108] = 2
    labels[45:56, 60:70] = 3
    return labels


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An annotated image and two to review, "first" the more uncertain one."""
    writer = ProjectWriter(tmp_path / "cells")
    kinds = (ProjectClass(id=1, name="cell"),)
    writer.set_classes(ProjectClasses(scheme="instances", classes=kinds))
    writer.add("done", picture(), prediction())
    for seed, (name, unsure) in enumerate((("second", 0.21), ("first", 0.64)), 1):
        writer.add(name, picture(seed))
        ReviewQueue(tmp_path / "cells").propose(
            f"images/{name}.png", prediction(), model="m", uncertainty=unsure
        )
    return tmp_path / "cells"


@pytest.fixture
def open_review(
    open_viewer: Callable[[], Any],
    training_home: Path,
    bright_model: None,
    qtbot: Any,
) -> Callable[..., tuple[Any, ReviewWidget]]:
    """Open a viewer with the widget docked, as napari does it."""

    def make(viewer: Any = None, project: Path | None = None) -> tuple[Any, ReviewWidget]:
        viewer = viewer or open_viewer()
        _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Review")
        qtbot.waitUntil(lambda: widget.context.controller.looker.idle, timeout=30_000)
        if project is not None:
            widget.context.controller.choose_project(str(project))
            qtbot.waitUntil(lambda: bool(widget.context.state.queue), timeout=30_000)
        return viewer, widget

    return make


@pytest.fixture
def open_train(
    open_viewer: Callable[[], Any],
    training_home: Path,
    bright_model: None,
    qtbot: Any,
) -> Callable[..., tuple[Any, TrainWidget]]:
    """Open a viewer with the widget docked, as napari does it."""

    def make(viewer: Any = None, *, show: bool = True) -> tuple[Any, TrainWidget]:
        viewer = viewer or open_viewer()
        _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Train")
        qtbot.waitUntil(lambda: widget.context.controller.reader.idle, timeout=30_000)
        return viewer, widget

    return make
