"""Integer arrays in chunks: those that were used lately lie in memory, all others on the disk."""

from __future__ import annotations

import itertools
import math
import mmap
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.util.background_spill import BackgroundSpill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Key = tuple[int, ...]  # the number of the array, and where the chunk lies in its grid

_MOST = 64 << 20  # bytes of chunks in memory
_LEFT = 0.75  # of them, when room was made
_OWN_PAGES = 1 << 16  # bytes of a chunk from which on it lies in pages of its own


class ChunkStore:
    """The chunks of several arrays, as a group of Zarr arrays that holds those not used lately.

    Nothing is on the disk before there is more than fits into memory, and a chunk in which nothing
    ever was takes no room anywhere. May be used on any thread.

    Parameters
    ----------
    place : callable
        Returns the folder of the group, which is not there yet; called when it is needed.
    most : int
        Bytes of chunks that stay in memory. While the disk takes nothing there are more.
    """

    def __init__(self, place: Callable[[], Path], most: int = _MOST) -> None:
        self._place, self._most = place, most
        self._lock = threading.RLock()
        self._near: OrderedDict[Key, npt.NDArray[Any]] = OrderedDict()  # the one used last is last
        self._bytes = 0  # of those
        self._changes: dict[Key, int] = {}  # of those that the disk does not have as they are
        self._far: set[Key] = set()  # those that the disk has
        self._specs: list[ChunkedArray] = []
        self._group: Any = None
        self._arrays: dict[int, Any] = {}
        self._begun: dict[int, Any] = {}  # arrays on the disk that it goes on from, by number
        self._begun_in: Path | None = None  # their folder
        self._own: set[Key] = set()  # chunks that were changed since
        self.room = BackgroundSpill(self._move_out, "napari-clickseg chunks")

    def array(
        self, shape: Sequence[int], chunks: Sequence[int], dtype: npt.DTypeLike = np.uint16
    ) -> ChunkedArray:
        """Return a new array of zeros, whose chunks are kept here."""
        dtype = np.dtype(dtype)
        new = ChunkedArray(self, len(self._specs), tuple(shape), tuple(chunks), dtype)
        self._specs.append(new)
        return new

    def begin(self, folder: Path, chunks: Sequence[int]) -> list[ChunkedArray]:
        """Return the levels of OME-Zarr labels as arrays to go on with; nothing there is changed.

        Parameters
        ----------
        folder : Path
            With a Zarr array for each level, called 0, 1 and so on.
        chunks : sequence of int
            Of the new arrays.
        """
        self.rest_on(folder)
        return [
            self.array(one.shape, chunks, np.promote_types(one.dtype, np.uint16))
            for one in self._begun.values()
        ]

    def rest_on(self, folder: Path) -> None:
        """Go on from a folder that holds by now what there is: the one before may go."""
        import zarr

        if self._begun_in is None and self._specs:
            return  # all of it was made here
        group: Any = zarr.open_group(str(folder), mode="r")
        levels = itertools.takewhile(lambda n: str(n) in group, itertools.count())
        with self._lock:
            self._begun = {number: group[str(number)] for number in levels}
            self._begun_in = folder

    def read(self, key: Key) -> npt.NDArray[Any] | None:
        """Return a chunk, not to be changed; None where it is all zeros."""
        with self._lock:
            near = self._near.get(key)
            if near is not None:
                self._near.move_to_end(key)
                return near
            if key in self._far:
                loaded = self._load(key, self._stored(key[0]))
            elif key[0] in self._begun and key not in self._own:
                loaded = self._load(key, self._begun[key[0]])
                if not loaded.any():
                    self._check_begun()
                    return None
            else:
                return None
            self._hold(key, loaded)
        self._make_room()
        return loaded

    def write(self, key: Key, inside: tuple[slice, ...], values: npt.NDArray[Any]) -> None:
        """Write into a part of a chunk."""
        with self._lock:
            there = self.read(key)
            if there is None:
                if not values.any():
                    return
                of = self._specs[key[0]]
                there = _zeros(of.chunks, of.dtype)
                self._hold(key, there)
            there[inside] = values
            self._changes[key] = self._changes.get(key, 0) + 1
            self._own.add(key)
        self._make_room()

    def wait(self) -> None:
        """Wait until there is as little in memory as there may be."""
        self.room.wait()

    @property
    def nbytes(self) -> int:
        """Bytes of the chunks in memory."""
        return self._bytes

    def _hold(self, key: Key, chunk: npt.NDArray[Any]) -> None:
        self._near[key] = chunk
        self._bytes += chunk.nbytes

    def _evict(self, key: Key) -> None:
        self._bytes -= self._near.pop(key).nbytes

    def _make_room(self) -> None:
        if self._bytes > self._most:
            self.room.ask()

    def _move_out(self) -> None:
        """Write chunks that were not used for longest, and let go of them; on the thread."""
        while self._bytes > _LEFT * self._most:
            for key, chunk, changes in self._oldest():
                self._store(key, chunk)
                with self._lock:
                    if self._changes.get(key) == changes:
                        del self._changes[key]
                        (self._far.add if chunk.any() else self._far.discard)(key)
                        self._evict(key)

    def _oldest(self) -> list[tuple[Key, npt.NDArray[Any], int]]:
        """Let go of what the disk has; return copies of some that it does not have."""
        out = []
        with self._lock:
            for key in list(itertools.islice(self._near, 32)):
                if key in self._changes:
                    there = self._near[key]
                    copied = _zeros(there.shape, there.dtype)
                    copied[...] = there
                    out.append((key, copied, self._changes[key]))
                else:
                    self._evict(key)
        return out

    def _store(self, key: Key, chunk: npt.NDArray[Any]) -> None:
        number, *at = key
        array = self._stored(number)
        where = _place_of(at, array.shape, array.chunks)
        array[where] = chunk[tuple(slice(0, part.stop - part.start) for part in where)]

    def _check_begun(self) -> None:
        """See that what looks empty is not gone.

        Raises
        ------
        OSError
            If the folder is not there any more.
        """
        if self._begun_in is not None and not self._begun_in.is_dir():
            raise FileNotFoundError(
                f"{self._begun_in} is gone: somebody saved other labels in its place; open them "
                "again."
            )

    def _load(self, key: Key, array: Any) -> npt.NDArray[Any]:
        number, *at = key
        of = self._specs[number]
        where = _place_of(at, of.shape, of.chunks)
        out = _zeros(of.chunks, of.dtype)
        out[tuple(slice(0, part.stop - part.start) for part in where)] = array[where]
        return out

    def _stored(self, number: int) -> Any:
        import zarr

        with self._lock:
            if self._group is None:
                self._group = zarr.open_group(str(self._place()), mode="w", zarr_format=3)
            if number not in self._arrays:
                of = self._specs[number]
                self._arrays[number] = self._group.create_array(
                    str(number), shape=of.shape, chunks=of.chunks, dtype=of.dtype, fill_value=0
                )
            return self._arrays[number]


def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return zeros in pages of their own, which the system has back when they are let go.

    Thousands of chunks come and go. On the heap what is made meanwhile, and stays, comes to lie
    between them, so that what they leave is too small for others, and is nobody's.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _OWN_PAGES:
        return np.zeros(shape, dtype)
    private: Any = {}
    if sys.platform != "win32":
        private["flags"] = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return np.frombuffer(mmap.mmap(-1, size, **private), dtype).reshape(shape)


def _place_of(at: Sequence[int], shape: Sequence[int], chunks: Sequence[int]) -> tuple[slice, ...]:
    return tuple(
        slice(n * chunk, min(length, (n + 1) * chunk))
        for n, length, chunk in zip(at, shape, chunks, strict=True)
    )


@dataclass(frozen=True, eq=False)
class ChunkedArray:
    """An array of which whole numbers and slices take parts, and slices change them.

    Parameters
    ----------
    number : int
        Of the arrays of the store.
    """

    store: ChunkStore
    number: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many pixels there are."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("A chunked array can't be seen as one without a copy.")
        return self[...].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Return a copy of a part.

        Parameters
        ----------
        key : int, slice, Ellipsis, or tuple of those
        """
        box, rest = self._parsed(key)
        out = np.zeros([stop - start for start, stop in box], self.dtype)
        for at, inside, there in self._parts(box):
            chunk = self.store.read((self.number, *at))
            if chunk is not None:
                out[there] = chunk[inside]
        return np.asarray(out[rest])

    def __setitem__(self, key: Any, values: npt.ArrayLike) -> None:
        """Change a part; slices go forward, without gaps."""
        box, rest = self._parsed(key)
        if any(isinstance(part, slice) and part.step not in (None, 1) for part in rest):
            raise IndexError("A chunked array is changed box by box, without steps.")
        lengths = [stop - start for start, stop in box]
        kept = [n for n, part in zip(lengths, rest, strict=True) if isinstance(part, slice)]
        new = np.broadcast_to(np.asarray(values), kept).reshape(lengths)
        for at, inside, there in self._parts(box):
            self.store.write((self.number, *at), inside, new[there].astype(self.dtype))

    def _parsed(self, key: Any) -> tuple[list[tuple[int, int]], tuple[Any, ...]]:
        """Return the box that holds a part, from edge to edge, and what to take of it."""
        parts = list(key) if isinstance(key, tuple) else [key]
        at = next((n for n, part in enumerate(parts) if part is Ellipsis), None)
        if at is not None:
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        if len(parts) != self.ndim:
            raise IndexError(f"There are {self.ndim} axes, not {len(parts)}.")
        axes = [_edges(part, n) for part, n in zip(parts, self.shape, strict=True)]
        return [edges for edges, _ in axes], tuple(rest for _, rest in axes)

    def _parts(
        self, box: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
        """Yield the chunks that a box meets: where, and the common part in chunk and box."""
        if any(stop <= start for start, stop in box):
            return
        grids = [
            range(start // chunk, (stop - 1) // chunk + 1)
            for (start, stop), chunk in zip(box, self.chunks, strict=True)
        ]
        for at in itertools.product(*grids):
            inside, there = [], []
            for n, chunk, (start, stop) in zip(at, self.chunks, box, strict=True):
                first, last = max(start, n * chunk), min(stop, (n + 1) * chunk)
                inside.append(slice(first - n * chunk, last - n * chunk))
                there.append(slice(first - start, last - start))
            yield at, tuple(inside), tuple(there)


def _edges(part: Any, length: int) -> tuple[tuple[int, int], Any]:
    """Return from where to where a part of an axis goes, and what to take of that."""
    if isinstance(part, slice):
        start, stop, step = part.indices(length)
        if step < 1:
            raise IndexError("A chunked array is read forwards only.")
        return (start, max(start, stop)), slice(None, None, step)
    if not isinstance(part, int | np.integer):
        raise IndexError("A chunked array takes whole numbers and slices; read a box of it first.")
    at = int(part) + (length if part < 0 else 0)
    if not 0 <= at < length:
        raise IndexError(f"{int(part)} is beyond an axis of {length}.")
    return (at, at + 1), 0
