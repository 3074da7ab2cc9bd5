"""A crosshair that keys move: clicks, boxes, scribbles and lassos without a mouse."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.viewer.actions import CROSSHAIR_KEYS, CrosshairAct
from napari_clickseg._napari.viewer.keys import Keys
from napari_clickseg._napari.viewer.private import canvas_size, world_under

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_clickseg._napari.annotate.pointing.click_tool import ClickTool, Kind
    from napari_clickseg._napari.annotate.pointing.drawing import Drawing
    from napari_clickseg._napari.annotate.state import AnnotateState

_STEP, _STRIDE = 4, 40  # screen pixels
_CLOSER = 1.25  # by which factor the image is zoomed
_WAYS = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}  # x, y


class Crosshair:
    """Points at the image by keys while it is on; what it does goes the way of the mouse.

    It stands at a place of the canvas: where the image is moved or zoomed, another place of the
    image is under it. While it is on, some keys of napari and of its layers have another meaning;
    all come back as they were.

    Parameters
    ----------
    state : AnnotateState
        `crosshair` turns it on and off; `crosshair_at` is written here.
    tool : ClickTool
        Whose signals are emitted.
    """

    def __init__(
        self, viewer: ViewerModel, state: AnnotateState, tool: ClickTool, drawing: Drawing
    ) -> None:
        self._viewer, self._state, self._tool, self._drawing = viewer, state, tool, drawing
        self._keys: list[Keys] = []
        self._draws = False

    def switch(self, on: bool) -> None:
        """Turn it on, with the click tool, or off."""
        if on == (self._state.crosshair_at is not None):
            return
        active = self._viewer.layers.selection.events.active
        if on:
            self._state.tool = True
            active.connect(self._take_keys)
            self._take_keys()
            self._stand(self._begin_at())
        else:
            self.give_up()
            active.disconnect(self._take_keys)
            self._give_keys_back()
            self._state.crosshair_at = None

    def tool_switched(self, on: bool) -> None:
        """Go with the click tool."""
        if not on:
            self._state.crosshair = False

    def give_up(self) -> None:
        """Forget what is being drawn by keys."""
        if self._draws:
            self._draws = False
            self._tool.given_up.emit()

    # ---- keys

    def _take_keys(self) -> None:
        """Have the keys, which those of the selected layer would come before."""
        self._give_keys_back()
        wanted = {key: self._does(act, key) for act in CrosshairAct for key in CROSSHAIR_KEYS[act]}
        at = (self._viewer, self._viewer.layers.selection.active)
        self._keys = [Keys(one, wanted) for one in at if one is not None]

    def _give_keys_back(self) -> None:
        while self._keys:
            self._keys.pop().give_back()

    def _does(self, act: CrosshairAct, key: str) -> Callable[[Any], None]:
        way = np.array(_WAYS.get(key.rpartition("-")[2], (0, 0)), float)
        does: dict[CrosshairAct, Callable[[], None]] = {
            CrosshairAct.MOVE: partial(self._move, _STEP * way),
            CrosshairAct.MOVE_FAR: partial(self._move, _STRIDE * way),
            CrosshairAct.POSITIVE: partial(self._say, True),
            CrosshairAct.NEGATIVE: partial(self._say, False),
            CrosshairAct.BOX: partial(self._draw, "box"),
            CrosshairAct.SCRIBBLE: partial(self._draw, "scribble"),
            CrosshairAct.LASSO: partial(self._draw, "lasso"),
            CrosshairAct.CLOSER: partial(self._zoom, _CLOSER),
            CrosshairAct.FARTHER: partial(self._zoom, 1 / _CLOSER),
            CrosshairAct.LEAVE: self._leave,
        }
        return lambda _: does[act]()

    def _say(self, positive: bool) -> None:
        """Click, or finish what is being drawn."""
        position, left = self._position(), positive != self._state.swapped
        if position is None:
            return
        if not self._draws:
            self._tool.clicked.emit(position, left)
            return
        self._draws = False
        self._drawing.mean(positive)
        self._tool.released.emit()

    def _draw(self, kind: Kind) -> None:
        """Begin a box, a scribble or a lasso, which the arrows go on with."""
        self.give_up()
        position = self._position()
        if position is not None:
            self._draws = True
            self._tool.begun.emit(kind, position, not self._state.swapped)

    def _leave(self) -> None:
        if self._draws:
            self.give_up()
        else:
            self._state.crosshair = False

    # ---- where it stands

    def _begin_at(self) -> npt.NDArray[np.float64]:
        """Return the middle of the canvas, x and y."""
        return np.array(canvas_size(self._viewer), float) / 2

    def _move(self, by: npt.NDArray[np.float64]) -> None:
        """Move it by screen pixels; at the edge of the canvas, the image goes on instead."""
        wanted = np.asarray(self._state.crosshair_at) + by
        size = np.array(canvas_size(self._viewer), float)
        at = np.clip(wanted, 0, size - 1)
        if (at != wanted).any():
            self._shift(tuple(wanted), tuple(at))
        self._stand(at)
        position = self._position()
        if self._draws and position is not None:
            self._tool.moved.emit(position)

    def _zoom(self, factor: float) -> None:
        """Zoom about it."""
        before = self._position()
        camera = self._viewer.scene.camera
        camera.zoom = camera.zoom * factor
        after = self._position()
        if before is not None and after is not None:
            self._shift_by(before, after)
        self._stand(np.asarray(self._state.crosshair_at))

    def _shift(self, seen: tuple[float, ...], at: tuple[float, ...]) -> None:
        """Move the image until what is seen at one place of the canvas is at another."""
        there, here = world_under(self._viewer, seen), world_under(self._viewer, at)
        if there is not None and here is not None:
            self._shift_by(there, here)

    def _shift_by(self, seen: tuple[float, ...], at: tuple[float, ...]) -> None:
        camera, shown = self._viewer.scene.camera, list(self._viewer.dims.displayed)
        away = np.subtract(seen, at)[shown]
        camera.center = tuple(np.asarray(camera.center)[-len(away) :] + away)

    def _stand(self, at: npt.NDArray[np.float64]) -> None:
        """Stand at a place of the canvas; keys that go by the pointer go by it, too."""
        self._state.crosshair_at = float(at[0]), float(at[1])
        position = self._position()
        if position is not None:
            self._viewer.cursor.position = position
        self._tool.hovered.emit()

    def _position(self) -> tuple[float, ...] | None:
        """Return where in the world it stands; None where nothing is shown."""
        at = self._state.crosshair_at
        return None if at is None else world_under(self._viewer, at)
