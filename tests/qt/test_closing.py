from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg._napari.annotate.controller import AnnotateController
from napari_clickseg._qt.annotate.widget import AnnotateWidget
from tests.qt.conftest import until_gone

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., tuple[Any, AnnotateWidget]]

pytestmark = pytest.mark.gui


@pytest.fixture
def open_viewer(make_napari_viewer: Callable[..., Any]) -> Callable[[], Any]:
    """Open viewers of the test's own: what is left of them after closing is what counts here."""
    return lambda: make_napari_viewer(show=True)


@pytest.fixture
def closings(monkeypatch: pytest.MonkeyPatch) -> list[AnnotateController]:
    """Controllers in the order in which they were closed."""
    closed: list[AnnotateController] = []
    close = AnnotateController.close

    def noted(self: AnnotateController) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(AnnotateController, "close", noted)
    return closed


def test_taking_the_widget_out_of_its_dock_closes_the_controller_once(
    open_annotate: Open, closings: list[AnnotateController], qtbot: Any
) -> None:
    viewer, widget = open_annotate()
    controller = widget.context.controller
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    assert closings == [controller]


def test_pressing_the_docks_cross_closes_the_controller_once(
    open_annotate: Open, closings: list[AnnotateController], qtbot: Any
) -> None:
    _, widget = open_annotate()
    controller = widget.context.controller
    dock = widget.parentWidget()
    with until_gone(qtbot, widget):
        dock.destroyOnClose()
    assert closings == [controller]


def test_closing_the_viewer_closes_the_controller_once(
    open_annotate: Open, closings: list[AnnotateController], qtbot: Any
) -> None:
    viewer, widget = open_annotate()
    controller = widget.context.controller
    viewer.close()
    qtbot.waitUntil(lambda: closings == [controller])
    qtbot.wait(50)
    assert closings == [controller]


def test_closing_the_window_says_nothing_though_lines_are_drawn(
    annotating: Open, closings: list[AnnotateController], qtbot: Any
) -> None:
    """Whoever started napari from a terminal is not left with a traceback."""
    viewer, widget = annotating()
    tool, state = widget.context.controller.tool, widget.context.state
    tool.begun.emit("box", (14.0, 18.0), True)
    tool.moved.emit((40.0, 46.0))
    tool.released.emit()
    qtbot.waitUntil(lambda: not state.busy)
    assert state.drawn
    said: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("", "vispy")]  # vispy's hands nothing on
    for logger in loggers:
        logger.addHandler(listener)
    try:
        viewer.close()
        qtbot.waitUntil(lambda: closings == [widget.context.controller])
        qtbot.wait(50)
    finally:
        for logger in loggers:
            logger.removeHandler(listener)
    assert not said


def test_closing_while_a_click_is_being_answered_does_no_harm(
    annotating: Open, closings: list[AnnotateController], qtbot: Any
) -> None:
    viewer, widget = annotating()
    for place in range(20):
        widget.context.state.positive.add([26, 22 + place / 2])
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: len(closings) == 1)
    qtbot.wait(300)


def test_moving_or_hiding_the_dock_closes_nothing(
    open_annotate: Open, closings: list[AnnotateController], qtbot: Any
) -> None:
    viewer, widget = open_annotate()
    dock = widget.parentWidget()

    def dock_elsewhere() -> None:
        viewer.window.remove_dock_widget(dock)
        viewer.window.add_dock_widget(widget)

    for act in (dock.close, dock.show, lambda: dock.setFloating(True), dock_elsewhere):
        act()
        qtbot.wait(100)
        assert closings == []
        widget.context.state.message = "still there"
        assert widget.message.value


def test_after_closing_nothing_of_the_widget_listens(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    state, controller = widget.context.state, widget.context.controller
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    state.message = "Nobody shows this."
    state.threshold = 0.3
    viewer.add_image(np.zeros((4, 4)))
    viewer.layers[0].name = "renamed"
    viewer.layers.clear()
    qtbot.wait(50)
    assert controller.segmenter is None
    assert not viewer.keymap


def test_two_widgets_in_one_viewer_show_the_same_and_the_last_one_closes_it(
    annotating: Open, closings: list[AnnotateController], qtbot: Any
) -> None:
    viewer, first = annotating()
    second = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(second, name="again")
    assert second.context.controller is first.context.controller
    assert second.objects.tool.value is True
    second.rules.rule.value = "overwrite"
    assert first.rules.rule.value == "overwrite"
    with until_gone(qtbot, first):
        viewer.window.remove_dock_widget(first)
    assert closings == []
    second.context.state.positive.add([26, 32])
    qtbot.waitUntil(lambda: np.asarray(second.context.state.prediction.data).any())
    with until_gone(qtbot, second):
        viewer.window.remove_dock_widget(second)
    assert len(closings) == 1


def test_a_widget_can_be_opened_again_after_closing(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    _, again = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    qtbot.waitUntil(lambda: again.context.state.model_status == "ready", timeout=30_000)
    qtbot.waitUntil(lambda: again.images.start.enabled)
    again.images.start.native.click()
    assert again.context.state.image is not None


def test_each_viewer_has_a_controller_of_its_own(open_annotate: Open) -> None:
    _, one = open_annotate()
    _, other = open_annotate()
    assert one.context.controller is not other.context.controller


def test_a_plain_viewer_and_naparis_proxy_of_it_share_the_controller(
    make_napari_viewer_proxy: Callable[..., Any], bright_model: None, qtbot: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    one, other = AnnotateWidget(viewer), AnnotateWidget(viewer.__wrapped__)
    assert one.context.controller is other.context.controller
    for widget in (one, other):
        with until_gone(qtbot, widget):
            widget.deleteLater()
