from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg._qt.annotate.widget import AnnotateWidget
from napari_clickseg._qt.review.widget import ReviewWidget
from napari_clickseg._qt.train.widget import TrainWidget

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.gui

PLUGIN_MENU = "napari/plugins/napari-clickseg"  # a plugin with several widgets has its own


def test_the_menus_open_the_widget_and_toggle_it(
    make_napari_viewer: Callable[..., Any], bright_model: None, qtbot: Any
) -> None:
    """The menus make widgets another way than `add_plugin_dock_widget` does."""
    from napari._app_model import get_app_model

    viewer = make_napari_viewer(show=True)
    app = get_app_model()
    for menu in ("napari/layers/annotate", "napari/layers/segment", PLUGIN_MENU):
        listed = [getattr(item, "command", None) for item in app.menus.get_menu(menu)]
        assert "napari-clickseg.annotate" in [each.id for each in listed if each is not None]
    app.commands.execute_command("napari-clickseg.annotate").result()
    (dock,) = viewer.window._wrapped_dock_widgets.values()
    widget = dock.inner_widget()
    assert isinstance(widget, AnnotateWidget)
    qtbot.waitUntil(dock.isVisible)
    assert open_widget(viewer, "Annotate") is widget, "Train and Review open the same one."
    app.commands.execute_command("napari-clickseg.annotate").result()
    assert list(viewer.window._wrapped_dock_widgets.values()) == [dock]
    assert not dock.isVisible()


def test_a_widget_that_a_script_opened_is_not_opened_again(
    make_napari_viewer: Callable[..., Any], bright_model: None
) -> None:
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    assert open_widget(viewer, "Annotate") is widget


def test_the_menus_open_the_other_widgets(
    make_napari_viewer: Callable[..., Any], training_home: Any, qtbot: Any
) -> None:
    from napari._app_model import get_app_model

    viewer = make_napari_viewer(show=True)
    app = get_app_model()
    for count, (name, kind) in enumerate((("train", TrainWidget), ("review", ReviewWidget)), 1):
        for menu in ("napari/layers/annotate", "napari/layers/segment", PLUGIN_MENU):
            listed = [getattr(item, "command", None) for item in app.menus.get_menu(menu)]
            assert f"napari-clickseg.{name}" in [each.id for each in listed if each is not None]
        app.commands.execute_command(f"napari-clickseg.{name}").result()
        docks = list(viewer.window._wrapped_dock_widgets.values())
        (dock,) = (each for each in docks if isinstance(each.inner_widget(), kind))
        assert len(docks) == count
        qtbot.waitUntil(dock.isVisible)


def test_a_sample_can_be_opened_and_annotated(
    open_viewer: Callable[[], Any], bright_model: None, qtbot: Any
) -> None:
    viewer = open_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    for sample in ("coins", "coins_with_regions", "tissue", "time_lapse", "two_channels"):
        viewer.open_sample("napari-clickseg", sample)
        click_in_the_middle(viewer, widget, qtbot)
        viewer.layers.clear()
        qtbot.waitUntil(lambda: not widget.images.start.enabled)


def click_in_the_middle(viewer: Any, widget: Any, qtbot: Any) -> None:
    state = widget.context.state
    qtbot.waitUntil(lambda: widget.images.start.enabled)
    widget.images.start.native.click()
    assert state.image is not None, state.message
    qtbot.waitUntil(lambda: state.model_status == "ready", timeout=30_000)
    middle = [length // 2 for length in state.annotation.data.shape]
    for axis, value in enumerate(viewer.dims.current_step[:-2]):
        middle[axis] = value if state.annotation.data.shape[axis] > 1 else 0
    state.positive.add(middle)
    qtbot.waitUntil(lambda: state.n_positive == 1 and not state.busy, timeout=30_000)
    assert "failed" not in state.message
