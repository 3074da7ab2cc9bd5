"""What is drawn on the image, as lines over it: boxes, scribbles and lassos; and the preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.compat import isalive
from vispy.color import Color
from vispy.scene import visuals

from napari_clickseg._napari.annotate.lines import Edges, Outline, outline_of
from napari_clickseg._napari.viewer.connections import Connections
from napari_clickseg._napari.viewer.layers import NEGATIVE, POSITIVE, unwrapped
from napari_clickseg._napari.viewer.private import canvas_of, node_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Points

    from napari_clickseg._napari.annotate.state import AnnotateState

_WIDTH, _EDGE = 3.0, 5.0  # screen pixels, of a line and of what sets it off from the image
_THIN, _THIN_EDGE = 1.0, 3.0  # the same, of a preview
_DASH = 7.0  # screen pixels: negative lines are broken, to be told apart without their colour
_EDGE_COLOUR = (0.0, 0.0, 0.0, 0.55)


class DrawnLines:
    """Shows the lines of a state in the clicks' colours, with the clicks.

    They are no layer: nothing comes or goes in napari's list, and nothing can be selected.

    Parameters
    ----------
    viewer : Viewer
    state : AnnotateState
    """

    def __init__(self, viewer: Any, state: AnnotateState) -> None:
        self._viewer, self._state = viewer, state
        self._layer: Points | None = None  # that the lines lie on
        self._lines: list[Any] = []
        self._canvas: Any = None  # that they are drawn on
        self._connections = Connections()
        events = state.events
        for signal in (events.drawn, events.drawing, events.preview):
            self._connections.connect(signal, self._draw)
        for signal in (events.positive, events.negative):
            self._connections.connect(signal, self._move)

    def end(self) -> None:
        """Take the lines away; safe to call again."""
        self._connections.close()
        self._take_away()

    @property
    def shown(self) -> list[Outline]:
        """All lines, in the order in which they are drawn."""
        drawn = [outline_of(shape) for shape in self._state.drawn]
        return drawn if self._state.drawing is None else [*drawn, self._state.drawing]

    def _move(self) -> None:
        """Go to the layer of the clicks, if that became another one."""
        found = self._state.positive or self._state.negative
        layer = None if found is None else unwrapped(found)
        if layer is not self._layer:
            self._take_away()
            self._layer = layer
            self._draw()

    def _draw(self) -> None:
        shown, preview = self.shown, self._state.preview
        if not shown and (preview is None or not len(preview.ends)):
            for line in self._lines:
                line.visible = False
            return
        if not self._lines and not self._make():
            return
        if shown or preview is None:
            (position, colour, ends), widths = _arrays(shown, self._dash()), (_EDGE, _WIDTH)
        else:
            (position, colour, ends), widths = _edge_arrays(preview), (_THIN_EDGE, _THIN)
        if self._viewer.dims.displayed[0] < self._viewer.dims.displayed[1]:
            position = position[:, ::-1]  # vispy's x comes first
        for line, own, width in zip(self._lines, (_EDGE_COLOUR, colour), widths, strict=True):
            line.set_data(pos=position, color=own, connect=ends, width=width)
            line.visible = True

    def _make(self) -> bool:
        """Make the lines, if there is something that they can lie on."""
        node = None if self._layer is None else node_of(unwrapped(self._viewer), self._layer)
        if node is None:
            return False
        self._canvas = canvas_of(unwrapped(self._viewer))
        for at, width in enumerate((_EDGE, _WIDTH)):
            line = visuals.Line(np.zeros((2, 2)), width=width, parent=node, method="gl")
            line.order = at
            line.set_gl_state("translucent", depth_test=False)
            self._lines.append(line)
        return True

    def _take_away(self) -> None:
        lines, self._lines, self._layer = self._lines, [], None
        if lines and not isalive(self._canvas):  # type: ignore[no-untyped-call]
            return  # the window was closed, and they went with it
        for line in lines:
            line.parent = None

    def _dash(self) -> float:
        """Return the length of a dash in data pixels, about as long at any zoom."""
        layer = self._layer
        shown = list(self._viewer.dims.displayed)
        scale = 1.0 if layer is None else float(np.abs(np.asarray(layer.scale)[shown]).max())
        return max(_DASH / max(float(self._viewer.scene.camera.zoom) * scale, 1e-9), 1e-6)


def _arrays(
    shown: Sequence[Outline], dash: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
    """Return the positions of all lines, their colours, and which two each piece connects."""
    positions, colours, ends, n = [], [], [], 0
    for line in shown:
        points = np.concatenate([line.points, line.points[:1]]) if line.closed else line.points
        points = points if line.positive else _dashed(points, dash)
        first = np.arange(0, len(points) - 1, 1 if line.positive else 2)
        positions.append(points)
        colour = Color(POSITIVE if line.positive else NEGATIVE).rgba
        colours.append(np.tile(colour.astype(np.float32), (len(points), 1)))
        ends.append(np.stack([first, first + 1], 1) + n)
        n += len(points)
    return (
        np.concatenate(positions),
        np.concatenate(colours),
        np.concatenate(ends).astype(np.uint32),
    )


def _edge_arrays(
    edges: Edges,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
    """Return the same of the edges of a mask, as positive lines."""
    position = edges.ends.reshape(-1, 2)
    colour = np.tile(Color(POSITIVE).rgba.astype(np.float32), (len(position), 1))
    return position, colour, np.arange(len(position), dtype=np.uint32).reshape(-1, 2)


def _dashed(points: npt.NDArray[np.float64], dash: float) -> npt.NDArray[np.float64]:
    """Return the ends of the dashes of a line: every second piece between them is seen."""
    away = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    n = 2 * min(int(away[-1] / dash / 2) + 1, 5000)
    at = np.linspace(0, away[-1], n)
    return np.stack([np.interp(at, away, points[:, 0]), np.interp(at, away, points[:, 1])], 1)
