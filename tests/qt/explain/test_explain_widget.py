"""The Explain widget: maps come as layers that lie on the object, and clicks go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from tests.qt.layout import until_nothing_is_cut_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._qt.explain.widget import ExplainWidget

pytestmark = pytest.mark.gui
PLACE = {"scale": (0.5, 0.25), "translate": (7.0, -3.0), "rotate": 20.0}


@pytest.fixture
def opened(open_viewer: Callable[[], Any], qtbot: Any) -> tuple[Any, Any, ExplainWidget]:
    """A bright disk in a turned stack, one click on it, and both widgets, with the real model."""
    viewer = open_viewer()
    y, x = np.mgrid[:90, :120]
    disk = (40 + 160 * ((y - 45) ** 2 + (x - 40) ** 2 < 18**2)).astype(np.uint8)
    viewer.add_image(disk, name="dish", **PLACE)
    _, annotate = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    state = annotate.context.state
    qtbot.waitUntil(lambda: state.model_status == "ready", timeout=120_000)
    _, explain = viewer.window.add_plugin_dock_widget("napari-clickseg", "Explain")
    qtbot.waitUntil(explain.isVisible)
    return viewer, annotate, explain


def press(qtbot: Any, widget: ExplainWidget, button: Any) -> str:
    qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.state.busy, timeout=60_000)
    return str(widget.state.message)


def click(qtbot: Any, annotate: Any, y: float, x: float) -> None:
    state = annotate.context.state
    state.positive.add([y, x])
    qtbot.waitUntil(lambda: not state.busy and state.n_positive > 0, timeout=30_000)


def test_what_a_mask_rests_on_comes_as_layers_on_the_image(
    opened: tuple[Any, Any, ExplainWidget], qtbot: Any
) -> None:
    viewer, annotate, widget = opened
    assert "press “Annotate this image” first" in press(qtbot, widget, widget.heat_map)
    annotate.context.controller.set_up()
    assert "Click on an object first" in press(qtbot, widget, widget.heat_map)
    click(qtbot, annotate, 45, 40)
    active = viewer.layers.selection.active

    widget.place.value = "decoder"
    assert "Bright is where 'decoder' speaks" in press(qtbot, widget, widget.heat_map)
    layer = viewer.layers["dish heat map, decoder"]
    image = viewer.layers["dish"]
    # It is brightest where the disk is: through both layers' transforms.
    rows, columns = np.nonzero(layer.data > 0.5)
    world = [layer.data_to_world(at) for at in zip(rows, columns, strict=True)]
    back = np.array([image.world_to_data(at) for at in world])
    away = np.hypot(*(back - (45, 40)).T)
    assert np.median(away) < 18
    assert viewer.layers.selection.active is active, "the tool's layer stays chosen"
    assert annotate.images.image.layer is image
    assert layer not in annotate.images.image.box.choices, "nobody annotates a heat map"

    assert "encoder 5" in widget.place.choices
    press(qtbot, widget, widget.heat_map)
    assert [one.name for one in viewer.layers].count(layer.name) == 1, "replaced, not doubled"
    widget.maps.value = 4
    # Of what the clicks join later, the encoder's maps may all speak against the mask.
    widget.place.value = "encoder 5"
    said = press(qtbot, widget, widget.heat_map)
    shown = [layer for layer in viewer.layers if layer.name == "dish heat map, encoder 5"]
    assert ("Nothing at 'encoder 5' speaks for the mask" in said) is not bool(shown), said
    assert all(np.asarray(layer.data).any() for layer in shown)

    widget.place.value = "encoder 2"
    assert "4 maps of 'encoder 2'" in press(qtbot, widget, widget.activations)
    maps = viewer.layers["dish activations, encoder 2"]
    assert maps.ndim == 3 and maps.data.shape[0] == 4
    assert maps.visible and not layer.visible
    assert "account for" in press(qtbot, widget, widget.pixels)
    text = press(qtbot, widget, widget.gestures)
    assert "1: " in text and "gained" in text
    gesture = viewer.layers["dish gesture 1"]
    assert gesture.data.max() > 0.9
    click(qtbot, annotate, 30, 40)  # annotating goes on below a stack of maps
    assert annotate.context.state.n_positive == 2
    press(qtbot, widget, widget.gestures)
    seen = [n for n in (1, 2) if viewer.layers[f"dish gesture {n}"].visible]
    assert seen == [2], "two maps over one another would be read as one"
    until_nothing_is_cut_off(qtbot, widget)


def test_what_is_being_explained_can_be_given_up_and_closing_ends_it(
    opened: tuple[Any, Any, ExplainWidget], qtbot: Any
) -> None:
    viewer, annotate, widget = opened
    annotate.context.controller.set_up()
    click(qtbot, annotate, 45, 40)
    qtbot.mouseClick(widget.pixels.native, Qt.MouseButton.LeftButton)
    assert widget.state.busy and not widget.pixels.enabled
    qtbot.mouseClick(widget.stop.native, Qt.MouseButton.LeftButton)
    assert not widget.state.busy
    qtbot.waitUntil(lambda: widget.controller.idle, timeout=30_000)
    widget.controller.deliver()
    assert "dish pixels" not in viewer.layers
    viewer.window.remove_dock_widget(widget)
    assert "dish" in viewer.layers
