"""What is drawn on the image, as lines over it: boxes, scribbles and lassos; and the preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.compat import isalive
from vispy.color import Color
from vispy.scene import visuals

from napari_clickseg._napari.annotate.lines import Edges, Outline, mask_outline, outline_of
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
_CHOSEN = "white"  # what is chosen in a list
_LARGE = 1024 * 1024  # pixels of a mask whose outline takes longer than a click may

_Arrays = tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.uint32]]


class _LinesOver:
    """Lines on the layer of the clicks, each over a broader one that sets it off from the image.

    They are no layer: nothing comes or goes in napari's list, and nothing can be selected.

    Parameters
    ----------
    fields : tuple of str
        Of the state: when one of them changes, the lines are drawn anew.
    """

    def __init__(self, viewer: Any, state: AnnotateState, fields: tuple[str, ...]) -> None:
        self._viewer, self._state = viewer, state
        self._layer: Points | None = None  # that the lines lie on
        self._lines: list[Any] = []
        self._canvas: Any = None  # that they are drawn on
        self._connections = Connections()
        for name in fields:
            self._connections.connect(getattr(state.events, name), self._draw)
        for signal in (state.events.positive, state.events.negative):
            self._connections.connect(signal, self._move)

    def end(self) -> None:
        """Take the lines away; safe to call again."""
        self._connections.close()
        self._take_away()

    def _draw(self) -> None:
        raise NotImplementedError

    def _hide(self) -> None:
        for line in self._lines:
            line.visible = False

    def _put(self, arrays: _Arrays, widths: tuple[float, float]) -> None:
        """Draw lines of two widths, given in screen pixels."""
        if not self._lines and not self._make():
            return
        position, colour, ends = arrays
        if self._viewer.dims.displayed[0] < self._viewer.dims.displayed[1]:
            position = position[:, ::-1]  # vispy's x comes first
        for line, own, width in zip(self._lines, (_EDGE_COLOUR, colour), widths, strict=True):
            line.set_data(pos=position, color=own, connect=ends, width=width)
            line.visible = True

    def _move(self) -> None:
        """Go to the layer of the clicks, if that became another one."""
        clicks = self._state.positive or self._state.negative
        layer = None if clicks is None else unwrapped(clicks)
        if layer is not self._layer:
            self._take_away()
            self._layer = layer
            self._draw()

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


class PickedLines(_LinesOver):
    """Outlines what is chosen in the list of objects, and what is taken up beside the current."""

    def __init__(self, viewer: Any, state: AnnotateState) -> None:
        super().__init__(viewer, state, ("picked_edges", "also"))

    def _draw(self) -> None:
        edges, also = self._state.picked_edges, self._state.also
        if also is not None and also.patch.box.area <= _LARGE:
            beside = mask_outline(also.patch.mask, also.patch.box)
            edges = Edges(np.concatenate([edges.ends, beside.ends]))
        if len(edges.ends):
            self._put(_edge_arrays(edges, _CHOSEN), (_THIN_EDGE, _THIN))
        else:
            self._hide()


class DrawnLines(_LinesOver):
    """Shows the lines of a state in the clicks' colours, with the clicks."""

    def __init__(self, viewer: Any, state: AnnotateState) -> None:
        super().__init__(viewer, state, ("drawn", "drawing", "preview"))

    @property
    def shown(self) -> list[Outline]:
        """All lines, in the order in which they are drawn."""
        drawn = [outline_of(shape) for shape in self._state.drawn]
        return drawn if self._state.drawing is None else [*drawn, self._state.drawing]

    def _draw(self) -> None:
        shown, preview = self.shown, self._state.preview
        if shown:
            self._put(_arrays(shown, self._dash()), (_EDGE, _WIDTH))
        elif preview is not None and len(preview.ends):
            self._put(_edge_arrays(preview, POSITIVE), (_THIN_EDGE, _THIN))
        else:
            self._hide()

    def _dash(self) -> float:
        """Return the length of a dash in data pixels, about as long at any zoom."""
        layer, dims = self._layer, self._viewer.dims
        missing = 0 if layer is None else dims.ndim - layer.ndim  # beside a stack, say
        shown = [axis - missing for axis in dims.displayed if axis >= missing]
        scale = 1.0 if layer is None else float(np.abs(np.asarray(layer.scale)[shown]).max())
        return max(_DASH / max(float(self._viewer.scene.camera.zoom) * scale, 1e-9), 1e-6)


def _arrays(shown: Sequence[Outline], dash: float) -> _Arrays:
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


def _edge_arrays(edges: Edges, line_colour: str) -> _Arrays:
    """Return the same of the edges of a mask."""
    position = edges.ends.reshape(-1, 2)
    colour = np.tile(Color(line_colour).rgba.astype(np.float32), (len(position), 1))
    return position, colour, np.arange(len(position), dtype=np.uint32).reshape(-1, 2)


def _dashed(points: npt.NDArray[np.float64], dash: float) -> npt.NDArray[np.float64]:
    """Return the ends of the dashes of a line: every second piece between them is seen."""
    away = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    n = 2 * min(int(away[-1] / dash / 2) + 1, 5000)
    at = np.linspace(0, away[-1], n)
    return np.stack([np.interp(at, away, points[:, 0]), np.interp(at, away, points[:, 1])], 1)
