"""The view is painted once for a click and its quick answer, and never left standing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.qt.conftest import until_gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._qt.annotate.widget import AnnotateWidget

    Open = Callable[..., tuple[Any, AnnotateWidget]]

pytestmark = pytest.mark.gui


def view(viewer: Any) -> Any:
    """What lies in the middle of napari's window."""
    return viewer.window._qt_window.centralWidget()


def test_the_view_stands_still_until_the_answer_is_there(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    assert view(viewer).updatesEnabled()
    widget._one_repaint._timer.setInterval(10_000)  # only the answer can end it
    widget.context.controller._clicked((25.0, 30.0), True)
    assert not view(viewer).updatesEnabled()
    qtbot.waitUntil(lambda: not widget.context.state.busy)
    assert view(viewer).updatesEnabled()


def test_a_slow_answer_holds_it_for_a_moment_only(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    state = widget.context.state
    state.busy = True
    assert not view(viewer).updatesEnabled()
    qtbot.waitUntil(view(viewer).updatesEnabled, timeout=1000)
    assert state.busy
    state.busy = False
    assert view(viewer).updatesEnabled()


@pytest.mark.parametrize("floating", [False, True])
def test_a_widget_that_goes_leaves_a_view_that_is_painted(
    annotating: Open, qtbot: Any, floating: bool
) -> None:
    viewer, widget = annotating()
    widget._one_repaint._timer.setInterval(10_000)
    widget.parentWidget().setFloating(floating)
    widget.context.state.busy = True
    assert not view(viewer).updatesEnabled()
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    assert view(viewer).updatesEnabled()
