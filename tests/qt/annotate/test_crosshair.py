"""All that a mouse does on the image is done by keys alone, typed into the real window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_clickseg._napari.viewer.actions import CROSSHAIR_KEYS, SHORTCUTS
from napari_clickseg._qt.annotate.crosshair_mark import _Mark
from napari_clickseg.core.gestures import DrawnBox, Scribble

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.gui
SHIFT, NONE = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
ON = (26, 32)  # pixel of a spot
NAMES = {"=": Qt.Key.Key_Equal, "-": Qt.Key.Key_Minus, "Enter": Qt.Key.Key_Return}


class Typist:
    """Types into whatever has the keyboard; never touches the mouse."""

    def __init__(self, viewer: Any, widget: Any, qtbot: Any) -> None:
        self.viewer, self.widget, self.qtbot = viewer, widget, qtbot
        self.state, self.controller = widget.context.state, widget.context.controller
        self.window = viewer.window._qt_window
        self.canvas = viewer.window._qt_viewer.canvas.native
        self.canvas.setFocus()

    def type(self, *keys: str) -> None:
        for key in keys:
            *held, name = key.split("-") if key != "-" else [key]
            code = NAMES.get(name) or getattr(Qt.Key, f"Key_{name}")
            QTest.keyClick(self.window.focusWidget(), code, SHIFT if held else NONE)
            self.qtbot.wait(1)

    @property
    def world(self) -> np.ndarray:
        """What of the image is under the crosshair, in the displayed axes."""
        return np.array(self.controller.crosshair._position())[-2:]

    def go_to(self, y: float, x: float) -> None:
        """Move until the crosshair is within a step of a pixel."""
        for axis, (less, more) in enumerate((("Up", "Down"), ("Left", "Right"))):
            away = ((y, x)[axis] - self.world[axis]) * self.viewer.scene.camera.zoom
            far, near = divmod(abs(round(away)), 40)
            way = more if away > 0 else less
            self.type(*[f"Shift-{way}"] * far, *[way] * round(near / 4))

    def clicks(self) -> list[Any]:
        pairing = self.controller.pairing
        return list(pairing.scene.prompt(pairing.displayed()).clicks)


@pytest.fixture
def typist(open_annotate: Callable[..., Any], spots: np.ndarray, qtbot: Any) -> Typist:
    viewer, widget = open_annotate()
    widget.context.controller.set_up(viewer.add_image(np.stack([spots] * 5), name="spots"))
    viewer.dims.set_point(0, 2)
    viewer.reset_view()
    qtbot.wait(100)
    return Typist(viewer, widget, qtbot)


def plane(typist: Typist) -> int:
    return int(typist.viewer.dims.current_step[0])


def test_an_object_is_clicked_corrected_and_accepted_without_a_mouse(
    typist: Typist, qtbot: Any
) -> None:
    state = typist.state
    state.tool = False
    typist.type(SHORTCUTS["crosshair"].key)
    assert state.tool and state.crosshair_at is not None
    before = np.array(state.crosshair_at)
    typist.type("Right", "Right", "Shift-Down", "Up")
    assert (np.array(state.crosshair_at) - before).tolist() == [8, 36], "in screen pixels"
    assert plane(typist) == 2, "arrows don't step through the stack"
    typist.go_to(*ON)
    typist.type("Enter")
    (click,) = typist.clicks()
    assert click.positive and np.allclose((click.y, click.x), typist.world)
    assert np.abs(typist.world - ON).max() * typist.viewer.scene.camera.zoom <= 2
    qtbot.waitUntil(
        lambda: typist.controller.pairing.display.prediction is not None, timeout=60_000
    )
    typist.go_to(50, 60)
    state.swapped = True
    typist.type("Shift-Enter")
    assert not typist.clicks()[1].positive, "buttons are swapped, keys are not"
    state.swapped = False
    qtbot.waitUntil(lambda: typist.controller.runner.idle, timeout=60_000)
    typist.type("G")
    qtbot.waitUntil(lambda: state.n_objects == 1, timeout=60_000)
    assert state.annotation.data[2][ON] == 1
    typist.go_to(*ON)
    typist.type("J")
    # Keys that go by the pointer go by the crosshair; a worker looks up the region.
    qtbot.waitUntil(lambda: state.editing, timeout=60_000)
    typist.type("N", "Escape", "Right")
    assert state.crosshair_at is None and plane(typist) == 3, "arrows are napari's again"


def test_boxes_scribbles_and_lassos_are_drawn_without_a_mouse(typist: Typist) -> None:
    state = typist.state
    typist.type("Shift-Q")
    typist.go_to(12, 16)
    typist.type("B")
    typist.go_to(40, 48)
    assert state.drawing is not None and state.drawn == ()
    typist.type("Enter")
    (box,) = state.drawn
    assert isinstance(box, DrawnBox)
    assert np.allclose((box.top, box.left, box.bottom, box.right), (12, 16, 40, 48), atol=1)
    typist.go_to(50, 20)
    typist.type("S", *["Right"] * 5, "Shift-Enter")
    scribble = state.drawn[1]
    assert isinstance(scribble, Scribble) and not scribble.positive and len(scribble.points) == 6
    typist.type("L", "Shift-Right", "Shift-Down", "Escape")
    assert state.drawing is None and len(state.drawn) == 2, "Escape gives up what is drawn,"
    assert state.crosshair, "and stays"
    typist.type("L", "Shift-Right", "Shift-Down", "Shift-Left", "Enter")
    assert len(state.drawn) == 3 and state.drawn[2].positive


def test_at_the_edge_of_the_view_the_image_moves_and_zooming_keeps_the_place(
    typist: Typist,
) -> None:
    state, camera = typist.state, typist.viewer.scene.camera
    typist.type("Shift-Q", *["Shift-Left"] * 50)
    assert state.crosshair_at[0] == 0, "it stays on the canvas"
    before, x = typist.world, camera.center[-1]
    typist.type("Left")
    assert np.allclose(typist.world - before, (0, -4 / camera.zoom))
    assert camera.center[-1] == pytest.approx(x - 4 / camera.zoom)
    before, zoom = typist.world, camera.zoom
    typist.type("=", "=")
    assert camera.zoom > zoom and np.allclose(typist.world, before)
    typist.type("-", "-")
    assert camera.zoom == pytest.approx(zoom) and np.allclose(typist.world, before)


def test_its_keys_come_before_those_of_the_selected_layer_which_has_them_back(
    typist: Typist,
) -> None:
    viewer, labels = typist.viewer, typist.state.annotation
    before = [dict(one.keymap) for one in (viewer, labels)]
    typist.type("Shift-Q")
    viewer.layers.selection.active = labels
    kept = labels.preserve_labels
    typist.type("B", "Escape")
    assert labels.preserve_labels == kept and typist.state.crosshair
    typist.type("Escape")
    assert [dict(one.keymap) for one in (viewer, labels)] == before
    typist.type("B")
    assert labels.preserve_labels != kept, "napari's own key"


def test_it_is_seen_where_it_stands_lets_the_mouse_through_and_goes_with_the_widget(
    typist: Typist, qtbot: Any
) -> None:
    typist.type("Shift-Q", "Shift-Right")
    (mark,) = typist.canvas.findChildren(_Mark)
    middle = mark.geometry().center()
    assert mark.isVisible()
    assert np.abs(np.array([middle.x(), middle.y()]) - typist.state.crosshair_at).max() <= 1
    shown = typist.canvas.grab().toImage()
    assert shown.pixelColor(middle.x() + 10, middle.y()).lightness() > 200, "an arm of it"
    QTest.mouseClick(typist.canvas, Qt.MouseButton.LeftButton, NONE, middle)
    assert len(typist.clicks()) == 1
    typist.type("K")
    assert not typist.state.crosshair and not mark.isVisible(), "it goes with the click tool"
    typist.type("Shift-Q")
    typist.viewer.window.remove_dock_widget(typist.widget)
    qtbot.waitUntil(lambda: not typist.canvas.findChildren(_Mark))
    assert not any("crosshair" in f"{one}" for one in typist.viewer.keymap.values())


def test_no_key_of_the_crosshair_is_that_of_an_action() -> None:
    """What accepts, undoes and saves goes on working while it is on."""
    keys = [key for bound in CROSSHAIR_KEYS.values() for key in bound]
    assert len(keys) == len(set(keys))
    assert set(keys).isdisjoint(each.key for each in SHORTCUTS.values())
