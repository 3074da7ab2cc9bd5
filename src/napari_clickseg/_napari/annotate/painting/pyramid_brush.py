"""A brush and an eraser for label pyramids, which napari does not edit: a region at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import brush_replaces, give_brush_back, lead_brush
from napari_clickseg._napari.viewer.writes import LabelWrite, read_labels, write_box
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    from napari.components import Dims
    from napari.layers import Labels

    from napari_clickseg.core.plane import Plane


class PyramidBrush:
    """Paints where napari's brush and eraser are moved over a pyramid, until it is given back.

    Parameters
    ----------
    dims : Dims
        Of the viewer; in 3D nothing is painted.
    layer : Labels
        Multiscale, and writable.
    plane : callable
        Returns the plane that is displayed; None where none is, as in 3D.
    painted : callable
        Called with the plane and the writes of each stroke, when it ends.
    refuse : callable
        Called where a tool of napari's is chosen that paints no pyramid.
    """

    def __init__(
        self,
        dims: Dims,
        layer: Labels,
        plane: Callable[[], Plane | None],
        painted: Callable[[Plane, tuple[LabelWrite, ...]], object],
        refuse: Callable[[], object],
    ) -> None:
        self._layer: Any = unwrapped(layer)
        self._plane, self._painted = plane, painted
        self._depth, self._writes = 0, list[LabelWrite]()
        lead_brush(self._layer, stroke=self._stroke, dab=self._dab, refuse=refuse)
        self._dims = dims
        dims.events.ndisplay.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        self._layer.editable = self._dims.ndisplay == 2

    def give_back(self) -> None:
        """Let napari have the layer as it has others."""
        self._dims.events.ndisplay.disconnect(self._follow)
        give_brush_back(self._layer)

    @contextmanager
    def _stroke(self) -> Iterator[None]:
        """Hold what is painted until the stroke ends, which makes a step of it."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth and self._writes:
                writes, self._writes = tuple(self._writes), []
                self._painted(writes[0].plane, writes)

    def _dab(self, positions: Sequence[Sequence[float]], new: int) -> None:
        plane = self._plane()
        if plane is None:
            return
        at = np.array([[p[axis] for axis in plane.axes] for p in positions], float).round()
        scale = np.abs(np.array([self._layer.scale[axis] for axis in plane.axes], float))
        box, mask = brushed(at, float(self._layer.brush_size), scale / scale.min(), plane.shape)
        if not box:
            return
        labels = read_labels(self._layer, plane, box)
        only = brush_replaces(self._layer, new)
        changed = mask & (labels != new if only is None else labels == only)
        if not changed.any():
            return
        values = np.where(changed, labels.dtype.type(new), labels)
        write_box(self._layer, plane, box, values)
        self._writes.append(LabelWrite.of(plane, box, labels, changed, values))


def brushed(
    middles: npt.NDArray[np.float64],
    size: float,
    scale: npt.NDArray[np.float64],
    shape: tuple[int, int],
) -> tuple[Box, npt.NDArray[np.bool_]]:
    """Return the pixels that a round brush covers.

    Parameters
    ----------
    middles : float (n, 2)
        Where it is put down: y and x, whole numbers.
    size : float
        How broad it is, in pixels of the axis that has the smaller ones.
    scale : float (2,)
        How long pixels are along y and x, the smaller one 1.
    shape : (int, int)
        Of the plane.

    Returns
    -------
    (Box, bool (Y, X))
        A box within the plane, empty where the brush is outside; and what of it is covered.
    """
    radius = np.floor(size / 2) + 0.5  # as napari's, without a point at its edge
    reach = np.floor(radius / scale).astype(int)
    top, left = (middles.min(axis=0) - reach).astype(int)
    bottom, right = (middles.max(axis=0) + reach + 1).astype(int)
    box = Box.from_edges(top, left, bottom, right).intersection(Box(0, 0, *shape))
    mask = np.zeros(box.shape, bool)
    if not box:
        return box, mask
    rows, columns = np.ogrid[box.slices]
    for y, x in np.unique(middles, axis=0):
        near = Box(int(y) - reach[0], int(x) - reach[1], 2 * reach[0] + 1, 2 * reach[1] + 1)
        part = near.intersection(box).shift(-box.top, -box.left)
        if part:
            inside = part.slices
            away = (rows[inside[0]] - y) ** 2 * scale[0] ** 2
            mask[inside] |= away + (columns[:, inside[1]] - x) ** 2 * scale[1] ** 2 <= radius**2
    return box, mask
