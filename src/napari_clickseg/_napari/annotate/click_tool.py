"""The click tool: mouse buttons become clicks, whichever layer is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari.components import ViewerModel
    from napari.layers.base import Layer

_LEFT, _RIGHT = 1, 2
_PAN = "pan_zoom"


class ClickTool:
    """Takes the mouse while it is on, and gives it back as it was.

    Left is one polarity, right the other; with Shift the region under the pointer is taken up;
    with Ctrl dragging moves the image, with Alt it zooms as ever. Wheel and keys stay napari's own.

    Parameters
    ----------
    viewer : ViewerModel
    """

    clicked = Signal(tuple, bool)  # where in the world, and whether with the left button
    shift_clicked = Signal(tuple)  # where in the world
    left = Signal()  # the user chose one of napari's own tools

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._on = False
        self._quiet = False
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
        viewer = self._viewer
        if on:
            viewer.mouse_drag_callbacks.insert(0, self._pressed)
            # Marking the event as handled does not keep napari from zooming on it.
            self._double = list(viewer.mouse_double_click_callbacks)
            viewer.mouse_double_click_callbacks[:] = [self._pressed_twice]
            viewer.layers.selection.events.active.connect(self._other_layer)
            self._hold(viewer.layers.selection.active)
        else:
            _remove(viewer.mouse_drag_callbacks, self._pressed)
            _remove(viewer.mouse_double_click_callbacks, self._pressed_twice)
            viewer.mouse_double_click_callbacks[:0] = self._double
            viewer.layers.selection.events.active.disconnect(self._other_layer)
            self._release(restore=True)

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
        modifiers = {str(getattr(m, "name", m)) for m in event.modifiers}
        if event.handled or event.button not in (_LEFT, _RIGHT) or "Alt" in modifiers:
            return  # with Alt, napari zooms
        if viewer.dims.ndisplay != 2:
            self.clicked.emit(tuple(event.position), event.button == _LEFT)  # says that it can't
            return
        event.handled = True  # the camera neither pans nor zooms
        if "Control" in modifiers:
            yield from self._pan(viewer, event)
            return
        if "Shift" in modifiers:
            self.shift_clicked.emit(tuple(event.position))
        else:
            self.clicked.emit(tuple(event.position), event.button == _LEFT)
        yield
        while event.type == "mouse_move":
            event.handled = True
            yield

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
