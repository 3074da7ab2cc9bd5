"""Writing accepted objects into a labels layer, and taking them back."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg._napari.viewer.private import (
    look_again,
    replay_stroke,
    stroke_pixels,
    stroke_touches,
)
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.core.window import Box
from napari_clickseg.journal.relabelling import Relabelling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari.layers import Labels


class AnnotationError(ValueError):
    """An annotation layer that cannot take an object; the message says what to do."""


@dataclass(frozen=True, eq=False, slots=True)
class LabelWrite:
    """Pixels of a plane that changed from old to new ids.

    Parameters
    ----------
    rows, columns : int64 (n,)
        The pixels.
    old, new : int (n,)
        Ids before and after.
    """

    plane: Plane
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    old: npt.NDArray[Any]
    new: npt.NDArray[Any]

    @classmethod
    def of(
        cls,
        plane: Plane,
        box: Box,
        labels: npt.NDArray[Any],
        changed: npt.NDArray[np.bool_],
        values: npt.NDArray[Any],
    ) -> LabelWrite:
        """Make a write of a plan (see `core.masks.plan_commit`) in a box of the plane."""
        rows, columns = np.nonzero(changed)
        return cls(plane, rows + box.top, columns + box.left, labels[changed], values[changed])

    @property
    def largest(self) -> int:
        """The largest new id."""
        return int(self.new.max(initial=0))

    def touches(self, plane: Plane) -> bool:
        """Whether pixels of a plane are among those that changed."""
        return self.plane == plane

    def parts(self, most: int) -> Iterator[LabelWrite]:
        """Yield the same as writes of so many pixels at the most."""
        for start in range(0, max(1, len(self.rows)), most):
            part = slice(start, start + most)
            yield LabelWrite(
                self.plane, self.rows[part], self.columns[part], self.old[part], self.new[part]
            )

    def apply(self, layer: Labels) -> None:
        """Write the new ids, as one step that napari's own undo knows too.

        Pixels that have got another id since the write was made are left alone.
        """
        self._exchange(layer, self.old, self.new)

    def revert(self, layer: Labels) -> None:
        """Write the old ids back, but leave pixels alone that were painted since."""
        self._exchange(layer, self.new, self.old)

    def relabellings(self, shape: tuple[int, ...]) -> tuple[Relabelling, ...]:
        """Return the same as changes of a labels array of this shape. May run on any thread."""
        parts = np.broadcast_arrays(*self.plane.key(self.rows, self.columns))
        at = np.ravel_multi_index(tuple(parts), shape)
        return (Relabelling.of(at, self.old, self.new),)

    def _exchange(self, layer: Labels, there: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> None:
        mine = read_pixels(layer, self.plane, self.rows, self.columns) == there
        _set(layer, self.plane, self.rows[mine], self.columns[mine], wanted[mine])


@dataclass(frozen=True, eq=False, slots=True)
class PaintStroke:
    """What napari's own tools changed in one go: brush, eraser, bucket, polygon.

    Parameters
    ----------
    item : list
        napari's own note of it, which only napari reads.
    data : weak reference
        To the labels that were changed: others in their place are left alone.
    """

    item: list[Any]
    data: weakref.ref[Any]
    largest: ClassVar[int] = 0  # what was painted once can be painted again

    @classmethod
    def of(cls, layer: Labels, item: list[Any]) -> PaintStroke:
        """Make a stroke of what napari says in its event, or remembers."""
        return cls(list(item), weakref.ref(layer.data))

    def parts(self, most: int) -> Iterator[PaintStroke]:
        """Yield the stroke: it is small, and only napari can take it apart."""
        del most
        yield self

    def touches(self, plane: Plane) -> bool:
        """Whether pixels of a plane are among those that changed."""
        at = [(axis, n) for axis, n in enumerate(plane.index) if axis not in plane.axes]
        return stroke_touches(self.item, at)

    def relabellings(self, shape: tuple[int, ...]) -> tuple[Relabelling, ...]:
        """Return the same as changes of a labels array of this shape. May run on any thread."""
        return tuple(Relabelling.of(*part) for part in stroke_pixels(self.item, shape))

    def apply(self, layer: Labels) -> None:
        """Paint it again."""
        self._replay(layer, undoing=False)

    def revert(self, layer: Labels) -> None:
        """Take it back."""
        self._replay(layer, undoing=True)

    def _replay(self, layer: Labels, *, undoing: bool) -> None:
        if layer.data is self.data():
            replay_stroke(layer, self.item, undoing=undoing)


Write = LabelWrite | PaintStroke


def writes_of(
    change: Relabelling, shape: tuple[int, ...], axes: tuple[int, int]
) -> tuple[LabelWrite, ...]:
    """Return a change of a labels array of this shape as writes. May run on any thread.

    Parameters
    ----------
    axes : (int, int)
        Those of the planes, of each of which one is made.
    """
    at = np.unravel_index(change.runs.positions(), shape)
    others = [axis for axis in range(len(shape)) if axis not in axes]
    planes = (
        np.ravel_multi_index(
            tuple(at[axis] for axis in others), tuple(shape[axis] for axis in others)
        )
        if others
        else np.zeros(change.old.shape, np.int64)
    )
    order = np.argsort(planes, kind="stable")
    cuts = np.flatnonzero(np.diff(planes[order])) + 1
    made = []
    for part in np.split(order, cuts) if order.size else []:
        index = [0 if axis in axes else int(at[axis][part[0]]) for axis in range(len(shape))]
        plane = Plane(axes, tuple(index), (shape[axes[0]], shape[axes[1]]))
        rows, columns = (at[axis][part].astype(np.int64) for axis in axes)
        made.append(LabelWrite(plane, rows, columns, change.old[part], change.new[part]))
    return tuple(made)


def written_region(data: Any, plane: Plane, value: int, writes: Sequence[Write]) -> Patch | None:
    """Return what has an id on a plane, around where it was written; None where it is nowhere.

    May run on any thread.

    Parameters
    ----------
    data : array
        The labels at their finest level.
    writes : sequence of LabelWrite or PaintStroke
        Those of other ids and planes are passed over.
    """
    shape = tuple(int(n) for n in data.shape)
    parts = [
        part
        for write in writes
        if write.touches(plane)
        for part in _on_planes(write, shape, plane.axes)
        if part.plane == plane
    ]
    rows = np.concatenate([np.empty(0, np.int64), *(p.rows[p.new == value] for p in parts)])
    columns = np.concatenate([np.empty(0, np.int64), *(p.columns[p.new == value] for p in parts)])
    if not rows.size:
        return None
    top, left = int(rows.min()), int(columns.min())
    box = Box(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
    mask = np.asarray(data[plane.key(*box.slices)]) == value
    return Patch.of(mask, offset=(top, left)) if mask.any() else None


def _on_planes(write: Write, shape: tuple[int, ...], axes: tuple[int, int]) -> Sequence[LabelWrite]:
    if isinstance(write, LabelWrite):
        return (write,)
    return [part for one in write.relabellings(shape) for part in writes_of(one, shape, axes)]


def check_writable(layer: Labels, value: int) -> None:
    """Raise AnnotationError if `value` cannot be written into `layer`."""
    finest = full_resolution(layer)
    limit = int(np.iinfo(np.dtype(finest.dtype)).max)
    if value > limit:
        raise AnnotationError(
            f"The id {value} is too large for the labels layer '{layer.name}' ({finest.dtype}, "
            f"up to {limit}); convert its data type (right click on the layer) or choose "
            "another layer."
        )
    if _is_read_only(finest):
        raise AnnotationError(
            f"The labels layer '{layer.name}' is read-only; choose another one as the annotation, "
            "or 'make a new one'."
        )
    if not layer.editable and not layer.multiscale:
        raise AnnotationError(
            f"The labels layer '{layer.name}' is locked against editing; make it editable or "
            "choose another annotation layer."
        )


def _is_read_only(data: Any) -> bool:
    flags = getattr(data, "flags", None)
    if flags is not None:
        return not flags.writeable
    computed = hasattr(data, "dask")  # it can be set, but that changes no data anywhere
    return computed or not hasattr(data, "__setitem__") or bool(getattr(data, "read_only", False))


def read_labels(layer: Labels, plane: Plane, box: Box) -> npt.NDArray[Any]:
    """Return a copy of the ids in a box of a plane, (box.height, box.width)."""
    finest = full_resolution(layer)
    return np.array(finest[plane.key(*box.slices)])


def read_pixels(
    layer: Labels, plane: Plane, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> npt.NDArray[Any]:
    """Return the ids at pixels of a plane, (n,)."""
    if rows.size == 0:
        return np.zeros(0, np.int64)
    finest = full_resolution(layer)
    if isinstance(finest, np.ndarray):
        return np.asarray(finest[plane.key(rows, columns)])
    box = _around(rows, columns)
    return read_labels(layer, plane, box)[rows - box.top, columns - box.left]


def _around(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Box:
    return Box.from_edges(
        int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
    )


def _set(
    layer: Labels,
    plane: Plane,
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    values: npt.NDArray[Any],
) -> None:
    if rows.size == 0:
        return
    if not layer.multiscale:
        key = plane.key(rows, columns)
        indices = tuple(
            part if isinstance(part, np.ndarray) else np.full(rows.shape, part) for part in key
        )
        look_again(layer)
        layer.data_setitem(indices, values)
        return
    # napari can't edit pyramids, so its undo does not know this step; ours does.
    box = _around(rows, columns)
    part = read_labels(layer, plane, box)
    part[rows - box.top, columns - box.left] = values
    finest = layer.data[0]
    finest[plane.key(*box.slices)] = part
    for level in layer.data[1:]:
        _reduce(finest, level, plane, box)
    layer.refresh()


def _reduce(finest: Any, level: Any, plane: Plane, box: Box) -> None:
    """Copy a box of the finest level to a coarser one, nearest pixel."""
    there = plane.on_level(level.shape, finest.shape)
    factors = [finest.shape[axis] / level.shape[axis] for axis in plane.axes]
    picks, targets = [], []
    for start, stop, factor, length in zip(
        (box.top, box.left),
        (box.bottom, box.right),
        factors,
        there.shape,
        strict=True,
    ):
        cells = np.arange(int(start / factor), min(int(length), int((stop - 1) / factor) + 1))
        targets.append(slice(int(cells[0]), int(cells[-1]) + 1))
        picks.append(np.floor((cells + 0.5) * factor).astype(int))
    rows, columns = picks
    source = np.asarray(
        finest[
            plane.key(
                slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
            )
        ]
    )
    level[there.key(*targets)] = source[np.ix_(rows - rows[0], columns - columns[0])]
