"""Writing accepted objects into a labels layer, and taking them back."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg._napari.viewer.private import (
    draw_part,
    look_again,
    replay_stroke,
    stroke_pixels,
    stroke_touches,
)
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.core.window import Box
from napari_clickseg.journal.relabelling import Relabelling, Runs
from napari_clickseg.util.spilling import Spillable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari.layers import Labels


_TILE = 1024  # pixels of a side of what is written at once into a pyramid


class AnnotationError(ValueError):
    """An annotation layer that cannot take an object; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LabelWrite:
    """Pixels of a plane that changed from old to new ids; no other write is equal to it.

    It is kept for as long as there is undo, so it holds runs of pixels: a few kilobytes for an
    object of 200², which has a megabyte of positions and ids.

    Parameters
    ----------
    kept : Spillable
        Starts and lengths of the runs, and the ids of each before and after.
    """

    plane: Plane = field(compare=False)
    kept: Spillable[tuple[npt.NDArray[Any], ...]] = field(compare=False)
    itself: object = field(default_factory=object, repr=False)

    @classmethod
    def of_runs(
        cls, plane: Plane, runs: Runs, before: npt.NDArray[Any], after: npt.NDArray[Any]
    ) -> LabelWrite:
        """Make a write of runs of pixels that all have one id before, and one after."""
        return cls(plane, Spillable((runs.starts, runs.lengths, before, after)))

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
        begins = changed.copy()
        alike = (labels[:, 1:] == labels[:, :-1]) & (values[:, 1:] == values[:, :-1])
        begins[:, 1:] &= ~(changed[:, :-1] & alike)
        ends = changed.copy()
        ends[:, :-1] &= begins[:, 1:] | ~changed[:, 1:]
        rows, columns = np.nonzero(begins)
        starts = (rows + box.top) * plane.shape[1] + columns + box.left
        runs = Runs(starts, np.nonzero(ends)[1] - columns + 1)
        return cls.of_runs(plane, runs, labels[rows, columns], values[rows, columns])

    @classmethod
    def at(
        cls,
        plane: Plane,
        rows: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
        old: npt.NDArray[Any],
        new: npt.NDArray[Any],
    ) -> LabelWrite:
        """Make a write of pixels in any order, each once, all (n,)."""
        positions = rows * plane.shape[1] + columns
        order = np.argsort(positions, kind="stable")
        positions, old, new = positions[order], np.asarray(old)[order], np.asarray(new)[order]
        differs = (np.diff(positions) != 1) | (old[1:] != old[:-1]) | (new[1:] != new[:-1])
        firsts = np.flatnonzero(np.concatenate([[True], differs])[: positions.size])
        lengths = np.diff(np.append(firsts, positions.size))
        runs = Runs(positions[firsts], lengths)
        return cls.of_runs(plane, runs, old[firsts], new[firsts])

    @property
    def runs(self) -> Runs:
        """The pixels, row by row: neighbours in a row."""
        return Runs(*self.kept.value[:2])

    @property
    def before(self) -> npt.NDArray[Any]:
        """The id of each run before, (n,)."""
        return self.kept.value[2]

    @property
    def after(self) -> npt.NDArray[Any]:
        """The id of each run after, (n,)."""
        return self.kept.value[3]

    def forgotten(self) -> LabelWrite:
        """Return what is left of it when it can't be undone any more: that it was, and where."""
        return replace(self, kept=Spillable(tuple(part[:0] for part in self.kept.value)))

    @property
    def pixels(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows and columns of all pixels, int64 (n,) each."""
        return np.divmod(self.runs.positions(), self.plane.shape[1])

    @property
    def old(self) -> npt.NDArray[Any]:
        """The ids of all pixels before, (n,)."""
        _, lengths, before, _ = self.kept.value
        return np.repeat(before, lengths)

    @property
    def new(self) -> npt.NDArray[Any]:
        """The ids of all pixels after, (n,)."""
        _, lengths, _, after = self.kept.value
        return np.repeat(after, lengths)

    @property
    def box(self) -> Box:
        """The smallest box around all pixels."""
        runs = self.runs
        if not runs.starts.size:
            return Box(0, 0, 0, 0)
        width = self.plane.shape[1]
        first, left = np.divmod(runs.starts, width)
        last, right = np.divmod(runs.ends - 1, width)
        over = bool((first != last).any())  # a run that goes on in the next row
        edges = (0, width) if over else (int(left.min()), int(right.max()) + 1)
        return Box.from_edges(int(first[0]), edges[0], int(last[-1]) + 1, edges[1])

    @property
    def largest(self) -> int:
        """The largest new id."""
        return int(self.after.max(initial=0))

    def touches(self, plane: Plane) -> bool:
        """Whether pixels of a plane are among those that changed."""
        return self.plane == plane

    def having(self, value: int) -> LabelWrite:
        """Return what of it has a new id."""
        mine = self.after == value
        return LabelWrite(self.plane, Spillable(tuple(part[mine] for part in self.kept.value)))

    def parts(self, most: int) -> Iterator[LabelWrite]:
        """Yield the same as writes of so many pixels at the most."""
        runs, before, after = self.runs, self.before, self.after
        ends = np.cumsum(runs.lengths)
        for start in range(0, max(1, runs.size), most):
            first = int(np.searchsorted(ends, start, side="right"))
            last = int(np.searchsorted(ends, start + most, side="left")) + 1
            inside = slice(first, last)
            begins = np.maximum(ends[inside] - runs.lengths[inside], start)
            stops = np.minimum(ends[inside], start + most)
            skipped = begins - (ends[inside] - runs.lengths[inside])
            part = Runs(runs.starts[inside] + skipped, stops - begins)
            yield LabelWrite.of_runs(self.plane, part, before[inside], after[inside])

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
        parts = np.broadcast_arrays(*self.plane.key(*self.pixels))
        at = np.ravel_multi_index(tuple(parts), shape)
        return (Relabelling.of(at, self.old, self.new),)

    def _exchange(self, layer: Labels, there: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> None:
        rows, columns = self.pixels
        if layer.multiscale:
            for part in near_each_other(rows, columns):
                at, to = rows[part], columns[part]
                _exchange_box(layer, self.plane, at, to, there[part], wanted[part])
            return
        mine = read_pixels(layer, self.plane, rows, columns) == there
        _set(layer, self.plane, rows[mine], columns[mine], wanted[mine])


@dataclass(frozen=True, slots=True)
class PaintStroke:
    """What napari's own tools changed in one go: brush, eraser, bucket, polygon.

    As a `LabelWrite`, it is equal to no other one.

    Parameters
    ----------
    kept : Spillable
        napari's own note of it, which only napari reads.
    data : weak reference
        To the labels that were changed: others in their place are left alone.
    """

    kept: Spillable[list[Any]] = field(compare=False)
    data: weakref.ref[Any] = field(compare=False)
    itself: object = field(default_factory=object, repr=False)
    largest: ClassVar[int] = 0  # what was painted once can be painted again

    @classmethod
    def of(cls, layer: Labels, item: list[Any]) -> PaintStroke:
        """Make a stroke of what napari says in its event, or remembers."""
        return cls(Spillable(list(item)), weakref.ref(layer.data))

    def forgotten(self) -> PaintStroke:
        """Return what is left of it when it can't be undone any more: that it was."""
        return replace(self, kept=Spillable([]))

    def parts(self, most: int) -> Iterator[PaintStroke]:
        """Yield the stroke: it is small, and only napari can take it apart."""
        del most
        yield self

    def touches(self, plane: Plane) -> bool:
        """Whether pixels of a plane are among those that changed."""
        at = [(axis, n) for axis, n in enumerate(plane.index) if axis not in plane.axes]
        item = self.kept.value
        return not item or stroke_touches(item, at)  # nobody knows where, when it is forgotten

    def relabellings(self, shape: tuple[int, ...]) -> tuple[Relabelling, ...]:
        """Return the same as changes of a labels array of this shape. May run on any thread."""
        return tuple(Relabelling.of(*part) for part in stroke_pixels(self.kept.value, shape))

    def apply(self, layer: Labels) -> None:
        """Paint it again."""
        self._replay(layer, undoing=False)

    def revert(self, layer: Labels) -> None:
        """Take it back."""
        self._replay(layer, undoing=True)

    def _replay(self, layer: Labels, *, undoing: bool) -> None:
        if layer.data is self.data():
            replay_stroke(layer, self.kept.value, undoing=undoing)


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
        made.append(LabelWrite.at(plane, rows, columns, change.old[part], change.new[part]))
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
    box = Box(0, 0, 0, 0)
    for part in parts:
        box = box.union(part.having(value).box)
    if not box:
        return None
    mask = np.asarray(data[plane.key(*box.slices)]) == value
    return Patch.of(mask, offset=(box.top, box.left)) if mask.any() else None


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


def is_writable(layer: Labels) -> bool:
    """Whether the data of a layer can be written to."""
    return not _is_read_only(full_resolution(layer))


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


def near_each_other(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Iterator[Any]:
    """Yield indices of pixels that lie close together, so that little is read between them.

    May run on any thread.
    """
    if not rows.size:
        return
    if _around(rows, columns).area <= _TILE * _TILE:
        yield slice(None)
        return
    tiles = rows // _TILE * (int(columns.max()) // _TILE + 1) + columns // _TILE
    order = np.argsort(tiles, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(tiles[order])) + 1)


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
    key = plane.key(rows, columns)
    indices = tuple(
        part if isinstance(part, np.ndarray) else np.full(rows.shape, part) for part in key
    )
    look_again(layer)
    layer.data_setitem(indices, values)


def _exchange_box(
    layer: Labels,
    plane: Plane,
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    there: npt.NDArray[Any],
    wanted: npt.NDArray[Any],
) -> None:
    """Write into a pyramid; napari can't edit those, so its undo does not know this, but ours."""
    box = _around(rows, columns)
    part = read_labels(layer, plane, box)
    inside = part[rows - box.top, columns - box.left]
    mine = inside == there
    if mine.any():
        part[rows - box.top, columns - box.left] = np.where(mine, wanted, inside)
        write_box(layer, plane, box, part)


def write_box(layer: Labels, plane: Plane, box: Box, ids: npt.NDArray[Any]) -> None:
    """Write a box of a plane of a pyramid, on all its levels, and draw what is seen of it."""
    finest = layer.data[0]
    finest[plane.key(*box.slices)] = ids
    for level in layer.data[1:]:
        _reduce(finest, level, plane, box)
    shown = layer.data[layer.data_level]
    there = plane.on_level(shown.shape, finest.shape)
    target, _ = _coarse(shown, finest, plane, box)
    if target:
        ids = np.asarray(shown[there.key(*target.slices)])
        draw_part(layer, there, (target.top, target.left), ids)


def _coarse(
    level: Any, finest: Any, plane: Plane, box: Box
) -> tuple[Box, list[npt.NDArray[np.int64]]]:
    """Return which box of a coarser level shows one of the finest, and by which of its pixels."""
    there = plane.on_level(level.shape, finest.shape)
    factors = [finest.shape[axis] / level.shape[axis] for axis in plane.axes]
    picks, edges = [], []
    for start, stop, factor, length in zip(
        (box.top, box.left),
        (box.bottom, box.right),
        factors,
        there.shape,
        strict=True,
    ):
        cells = np.arange(int(start / factor), min(int(length), int((stop - 1) / factor) + 1))
        edges.append((int(cells[0]), int(cells[-1]) + 1))
        picks.append(np.floor((cells + 0.5) * factor).astype(np.int64))
    (top, bottom), (left, right) = edges
    return Box.from_edges(top, left, bottom, right), picks


def _reduce(finest: Any, level: Any, plane: Plane, box: Box) -> None:
    """Copy a box of the finest level to a coarser one, nearest pixel."""
    there = plane.on_level(level.shape, finest.shape)
    target, (rows, columns) = _coarse(level, finest, plane, box)
    source = np.asarray(
        finest[
            plane.key(
                slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
            )
        ]
    )
    level[there.key(*target.slices)] = source[np.ix_(rows - rows[0], columns - columns[0])]
