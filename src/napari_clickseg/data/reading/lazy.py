"""Arrays on disk, of which only what is indexed is read; and pixels the way a tag turns them."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.reading.header import WHOLE, readable, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

CHANNEL_AXES = "CS"  # S: the samples of a pixel, such as red, green and blue
# Of the values of the tag "orientation" (TIFF, EXIF): whether rows and columns change places, and
# whether the rows, then the columns, of the result run backwards.
_TURNS: dict[int, tuple[bool, bool, bool]] = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def turned(values: npt.NDArray[Any], orientation: int, axes: str) -> npt.NDArray[Any]:
    """Return an array the way up that the tag `orientation` says; unknown ones change nothing."""
    swapped, rows, columns = _TURNS.get(orientation, _TURNS[1])
    y, x = axes.index("Y"), axes.index("X")
    if swapped:
        values = np.swapaxes(values, y, x)
    index: list[slice] = [slice(None)] * values.ndim
    index[y] = slice(None, None, -1 if rows else 1)
    index[x] = slice(None, None, -1 if columns else 1)
    return values[tuple(index)]


def turned_shape(shape: Sequence[int], orientation: int, axes: str) -> tuple[int, ...]:
    """Return the shape of what `turned` returns."""
    out = [int(n) for n in shape]
    if _TURNS.get(orientation, _TURNS[1])[0]:
        y, x = axes.index("Y"), axes.index("X")
        out[y], out[x] = out[x], out[y]
    return tuple(out)


class Stored:
    """An array on disk, read where it is indexed by integers and slices.

    Parameters
    ----------
    path : Path
        What messages name.
    array : array
        As zarr returns it.
    axes : str
        A letter for each axis.
    orientation : int
        As for `turned`.
    finish : callable, optional
        Applied to the values that were read; keeps their shape and dtype.
    """

    def __init__(
        self,
        path: Path,
        array: Any,
        axes: str,
        orientation: int = 1,
        finish: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None,
    ) -> None:
        self._path, self._array, self._axes, self._finish = path, array, axes, finish
        self._turn = _TURNS.get(orientation, _TURNS[1])
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.shape = turned_shape(array.shape, orientation, axes)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        wanted = full_index(index, self.ndim)
        taken = [
            range(*each.indices(n)) if isinstance(each, slice) else int(each) % n
            for each, n in zip(wanted, self.shape, strict=True)
        ]
        with readable(self._path):
            values = self._read(taken)
        shape = tuple(len(each) for each in taken if isinstance(each, range))
        if values.shape != shape or values.dtype != self.dtype:
            raise ImageError(
                f"{self._path} is broken: {values.shape} {values.dtype} was read where {shape} "
                f"{self.dtype} should be."
            )
        return values

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        return np.asarray(self[(slice(None),) * self.ndim], dtype)

    def _read(self, taken: list[Any]) -> npt.NDArray[Any]:
        swapped, rows, columns = self._turn
        y, x = self._axes.index("Y"), self._axes.index("X")
        index, after = [], []
        for at, (each, n) in enumerate(zip(taken, self.shape, strict=True)):
            backwards = (at == y and rows) or (at == x and columns)
            if not isinstance(each, range):
                index.append(n - 1 - each if backwards else each)
            else:  # what is stored is read forwards only
                if backwards:
                    each = range(n - 1 - each.start, n - 1 - each.stop, -each.step)
                forwards = each if each.step > 0 else each[::-1]
                index.append(slice(forwards.start, forwards.stop, forwards.step))
                after.append(slice(None, None, 1 if each.step > 0 else -1))
        if swapped:
            index[y], index[x] = index[x], index[y]
        values = np.asarray(self._array[tuple(index)])
        kept = [at for at, each in enumerate(taken) if isinstance(each, range)]
        if swapped and y in kept and x in kept:
            values = np.swapaxes(values, kept.index(y), kept.index(x))
        values = values[tuple(after)]
        return values if self._finish is None else self._finish(values)


def full_index(index: Any, ndim: int) -> list[Any]:
    """Return an index as integers and slices, one for each axis."""
    given = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in given:
        at = given.index(Ellipsis)
        given[at : at + 1] = [slice(None)] * (ndim - len(given) + 1)
    return given + [slice(None)] * (ndim - len(given))


class Framed:
    """An array made of frames that are read one by one; the last one is kept.

    Parameters
    ----------
    lead : int
        How many axes come before those of a frame.
    read : callable
        Takes a frame's position on those axes, and returns it. It is called by one thread at a
        time.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        lead: int,
        read: Callable[[tuple[int, ...]], npt.NDArray[Any]],
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._lead, self._read = lead, read
        self._lock = threading.Lock()
        self._last: tuple[tuple[int, ...], npt.NDArray[Any]] | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        wanted = full_index(index, self.ndim)
        outer, inner = wanted[: self._lead], tuple(wanted[self._lead :])
        positions = [
            range(*each.indices(n)) if isinstance(each, slice) else range(each % n, each % n + 1)
            for each, n in zip(outer, self.shape, strict=False)
        ]
        frames = [self._frame(at)[inner] for at in itertools.product(*positions)]
        kept = [len(p) for p, each in zip(positions, outer, strict=True) if isinstance(each, slice)]
        if not frames:
            within = np.broadcast_to(np.zeros((), self.dtype), self.shape[self._lead :])[inner]
            return np.zeros((*kept, *within.shape), self.dtype)
        return np.stack(frames).reshape(*kept, *frames[0].shape) if kept else frames[0]

    def _frame(self, at: tuple[int, ...]) -> npt.NDArray[Any]:
        with self._lock:
            if self._last is None or self._last[0] != at:
                self._last = at, self._read(at)
            return self._last[1]


class PlaneView:
    """A plane of a lazy array, (Y, X) or (Y, X, C), read where it is indexed.

    Parameters
    ----------
    array : array
        Anything that takes integers and slices.
    axes : str
        A letter for each of its axes.
    fixed : sequence of int or None
        Position on each axis; None where the axis is kept.
    channels : tuple of int, optional
        Channels to take; a single one leaves no channel axis.
    """

    def __init__(
        self,
        array: Any,
        axes: str,
        fixed: Sequence[int | None],
        channels: tuple[int, ...] | None = None,
    ) -> None:
        self._array, self._axes, self._fixed = array, axes, tuple(fixed)
        self._channels = channels
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self._channel_axis = next(
            (i for i, a in enumerate(axes) if a in CHANNEL_AXES and self._fixed[i] is None), None
        )
        plane = int(array.shape[axes.index("Y")]), int(array.shape[axes.index("X")])
        if self._channel_axis is None or (channels is not None and len(channels) == 1):
            self.shape: tuple[int, ...] = plane
        else:
            n = int(array.shape[self._channel_axis]) if channels is None else len(channels)
            self.shape = (*plane, n)

    @property
    def ndim(self) -> int:
        """Number of axes: 2 or 3."""
        return len(self.shape)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        nbytes = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        if nbytes > WHOLE:
            raise ImageError(
                f"The image is {self.shape[0]:,} × {self.shape[1]:,} pixels, {size_text(nbytes)}, "
                "which is too much to be read whole; cut out the part that is needed."
            )
        return np.asarray(self[:, :], dtype)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        rows, columns, *channel = full_index(index, self.ndim)
        full: list[Any] = []
        for at, (name, position) in enumerate(zip(self._axes, self._fixed, strict=True)):
            if name == "Y":
                full.append(rows)
            elif name == "X":
                full.append(columns)
            elif at == self._channel_axis:
                single = self._channels is not None and len(self._channels) == 1
                full.append(self._channels[0] if single and self._channels else slice(None))
            else:
                full.append(0 if position is None else position)
        values = np.asarray(self._array[tuple(full)])
        if self.ndim == 3 and self._channel_axis is not None:
            kept = [at for at, each in enumerate(full) if isinstance(each, slice)]
            values = np.moveaxis(values, kept.index(self._channel_axis), -1)
            if self._channels is not None:
                values = values[..., list(self._channels)]
            values = values[(..., *channel)]
        return values
