"""The click tool: the mouse clicks and draws, whichever layer is selected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from psygnal import Signal

from napari_clickseg._napari.viewer.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari.components import ViewerModel
    from napari.layers.base import Layer

Kind: TypeAlias = Literal["box", "scribble", "lasso"]
Position: TypeAlias = tuple[float, ...]
_LEFT, _RIGHT = 1, 2
_PAN = "pan_zoom"
# Who draws a scribble or a lasso still holds Shift, and Ctrl, when they press Escape.
_ESCAPES = ("Escape", "Shift-Escape", "Control-Escape", "Control-Shift-Escape")
_STILL = 4.0  # screen pixels that a click may move between press and release


@dataclass(eq=False, slots=True)
class _Drag:
    """From the press of a button to its release."""

    kind: Kind
    left: bool
    start: Position  # in the world
    pressed_at: tuple[float, float]  # on the screen
    drawing: bool = False
    escape: tuple[Keys, ...] = ()


class ClickTool:
    """Takes the mouse while it is on, and gives it back as it was.

    Left is one polarity, right the other. A button that is released where it was pressed is a
    click, with Shift one that takes up the region under the pointer. Dragging draws a box, with
    Shift a scribble, with Ctrl and Shift a lasso; Escape gives it up. With Ctrl, dragging moves
    the image, with Alt it zooms as ever. Wheel and keys stay napari's own.
    """

    clicked = Signal(tuple, bool)  # where in the world, and whether with the left button
    shift_clicked = Signal(tuple)  # where in the world
    hovered = Signal()  # the pointer, with no button pressed, or the wheel moved
    pressed = Signal()
    begun = Signal(str, tuple, bool)  # to draw what, from where, whether with the left button
    moved = Signal(tuple)  # where to in the world
    released = Signal()  # what is being drawn is finished
    given_up = Signal()  # it is not to be
    left = Signal()  # the user chose one of napari's own tools

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._on = False
        self._quiet = False
        self._follows = False
        self._drag: _Drag | None = None
        self._layer: Layer | None = None
        self._mode: Any = None
        self._double: list[Any] = []

    @property
    def on(self) -> bool:
        """Whether the tool has the mouse."""
        return self._on

    def switch(self, on: bool) -> None:
        """Turn the tool on or off."""
        if on == self._on:
            return
        self._on = on
        self.follow(self._follows)
        viewer = self._viewer
        if on:
            viewer.mouse_drag_callbacks.insert(0, self._pressed)
            # Marking the event as handled does not keep napari from zooming on it.
            self._double = list(viewer.mouse_double_click_callbacks)
            viewer.mouse_double_click_callbacks[:] = [self._pressed_twice]
            viewer.layers.selection.events.active.connect(self._other_layer)
            self._hold(viewer.layers.selection.active)
        else:
            self._end_drag()
            _remove(viewer.mouse_drag_callbacks, self._pressed)
            _remove(viewer.mouse_double_click_callbacks, self._pressed_twice)
            viewer.mouse_double_click_callbacks[:0] = self._double
            viewer.layers.selection.events.active.disconnect(self._other_layer)
            self._release(restore=True)

    def follow(self, on: bool) -> None:
        """Emit `hovered` while the tool is on; or don't."""
        self._follows = on
        for callbacks in (self._viewer.mouse_move_callbacks, self._viewer.mouse_wheel_callbacks):
            _remove(callbacks, self._hovered)
            if on and self._on:
                callbacks.append(self._hovered)

    def _hovered(self, viewer: ViewerModel, event: Any) -> None:
        self.hovered.emit()

    def _hold(self, layer: Layer | None) -> None:
        """Keep a layer's own tools quiet: painting would paint under the clicks."""
        self._layer = layer
        if layer is None:
            return
        self._mode = layer.mode
        self._quiet = True
        layer.mode = _PAN
        self._quiet = False
        layer.events.mode.connect(self._mode_changed)

    def _release(self, *, restore: bool) -> None:
        layer, self._layer = self._layer, None
        if layer is None:
            return
        layer.events.mode.disconnect(self._mode_changed)
        if restore and layer.mode == _PAN:
            layer.mode = self._mode

    def _other_layer(self) -> None:
        layer = self._viewer.layers.selection.active
        if layer == self._layer:
            return
        self._release(restore=True)
        self._hold(layer)

    def _mode_changed(self) -> None:
        # The user picked a tool of napari's: it wins.
        if not self._quiet and self._layer is not None and self._layer.mode != _PAN:
            self._release(restore=False)
            self.left.emit()

    def _pressed(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        held = {str(getattr(m, "name", m)) for m in event.modifiers}
        if event.handled or event.button not in (_LEFT, _RIGHT) or "Alt" in held:
            return  # with Alt, napari zooms
        left = event.button == _LEFT
        if viewer.dims.ndisplay != 2:
            self.clicked.emit(tuple(event.position), left)  # says that it can't
            return
        event.handled = True  # the camera neither pans nor zooms
        self._end_drag()  # one whose release nobody told of
        if "Control" in held and "Shift" not in held:
            yield from self._pan(viewer, event)
            return
        kind: Kind = "lasso" if "Control" in held else "scribble" if "Shift" in held else "box"
        drag = self._drag = _Drag(kind, left, tuple(event.position), tuple(event.pos))
        self.pressed.emit()
        yield
        while event.type == "mouse_move":
            event.handled = True
            self._dragged(drag, event)
            yield
        self._dragged(drag, event)  # a quick hand is elsewhere by then
        self._finish_drag(drag)

    def _dragged(self, drag: _Drag, event: Any) -> None:
        if drag is not self._drag:
            return  # given up
        if not drag.drawing:
            x, y = drag.pressed_at
            if max(abs(event.pos[0] - x), abs(event.pos[1] - y)) <= _STILL:
                return
            self._begin(drag)
        self.moved.emit(tuple(event.position))

    def _begin(self, drag: _Drag) -> None:
        drag.drawing = True
        # The selected layer's own keys come before the viewer's.
        at = [one for one in (self._viewer, self._layer) if one is not None]
        drag.escape = tuple(
            Keys(one, {key: lambda _: self._end_drag() for key in _ESCAPES}) for one in at
        )
        self.begun.emit(drag.kind, drag.start, drag.left)

    def _finish_drag(self, drag: _Drag) -> None:
        if drag is not self._drag:
            return
        self._forget_drag()
        if drag.drawing:
            self.released.emit()
        elif drag.kind == "scribble":
            self.shift_clicked.emit(drag.start)
        elif drag.kind == "box":
            self.clicked.emit(drag.start, drag.left)

    def _end_drag(self) -> None:
        """Give a drag up."""
        drag = self._drag
        self._forget_drag()
        if drag is not None and drag.drawing:
            self.given_up.emit()

    def _forget_drag(self) -> None:
        drag, self._drag = self._drag, None
        for keys in drag.escape if drag is not None else ():
            keys.give_back()

    def _pan(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        last = tuple(event.pos)
        yield
        while event.type == "mouse_move":
            event.handled = True
            camera = viewer.scene.camera
            dy, dx = (event.pos[1] - last[1]) / camera.zoom, (event.pos[0] - last[0]) / camera.zoom
            depth, y, x = camera.center
            camera.center = (depth, y - dy, x - dx)
            last = tuple(event.pos)
            yield

    def _pressed_twice(self, viewer: ViewerModel, event: Any) -> None:
        """Two quick clicks are two clicks, not a zoom."""
        if event.button not in (_LEFT, _RIGHT) or viewer.dims.ndisplay != 2:
            return
        event.handled = True
        if not event.modifiers:
            self.clicked.emit(tuple(event.position), event.button == _LEFT)


def _remove(callbacks: list[Any], one: Any) -> None:
    if one in callbacks:
        callbacks.remove(one)
