"""Where the objects of a map of labels lie, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class ObjectRegions:
    """The objects of a plane, a row each, by rising key.

    Parameters
    ----------
    keys : int64 (n,)
        What a row is known by: the object's id, or the first pixel of a piece, counted row by row.
    ids : int64 (n,)
    areas : int64 (n,)
        Pixels.
    boxes : int64 (n, 4)
        Top, left, bottom and right; the last two lie just outside.
    """

    keys: Integers
    ids: Integers
    areas: Integers
    boxes: Integers

    @classmethod
    def none(cls) -> ObjectRegions:
        """Return no object at all."""
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty, np.zeros((0, 4), np.int64))

    def __len__(self) -> int:
        return len(self.keys)

    def rows_of(self, keys: Iterable[int]) -> Integers:
        """Return the rows of those keys that are there, rising."""
        return np.flatnonzero(np.isin(self.keys, np.fromiter(keys, np.int64)))

    def having(self, rows: npt.NDArray[Any]) -> ObjectRegions:
        """Return some of the rows: numbers, or a mask."""
        return ObjectRegions(self.keys[rows], self.ids[rows], self.areas[rows], self.boxes[rows])

    def instead(self, ids: Iterable[int], counted: ObjectRegions) -> ObjectRegions:
        """Return what there is when these ids were counted anew; for objects, not for pieces."""
        kept = self.having(~np.isin(self.ids, np.fromiter(ids, np.int64)))
        return _joined([kept, counted])


def objects_of(
    labels: npt.NDArray[Any], *, corner: tuple[int, int] = (0, 0), ids: Iterable[int] | None = None
) -> ObjectRegions:
    """Find the objects of a map of labels: all pixels of an id are one.

    Parameters
    ----------
    labels : int (Y, X)
        0 is background.
    corner : (int, int)
        Where its first pixel lies in the plane.
    ids : iterable of int, optional
        Those that are looked for; all by default.
    """
    names, numbers = _numbered(labels)
    wanted = names > 0
    if ids is not None:
        wanted &= np.isin(names, np.fromiter(ids, np.int64))
    return _measured(numbers, names, wanted, corner).sorted_by(names)


def pieces_of(labels: npt.NDArray[Any]) -> ObjectRegions:
    """Find the pieces of a map of labels: neighbours (8) of one id are one.

    Parameters
    ----------
    labels : int (Y, X)
        A whole plane; 0 is background.
    """
    from skimage.measure import label

    if not np.size(labels):
        return ObjectRegions.none()
    _, numbers = _numbered(labels)
    pieces = np.asarray(label(numbers, connectivity=2, background=0), np.int64)
    _, first = np.unique(pieces, return_index=True)
    if not len(first) or pieces.flat[first[0]] != 0:
        first = np.concatenate([[0], first])  # there is no background
    ids = np.asarray(labels).reshape(-1)[first].astype(np.int64)
    wanted = np.ones(len(first), bool)
    wanted[0] = False
    measured = _measured(pieces, ids, wanted, (0, 0))
    return measured.sorted_by(first.astype(np.int64))


@dataclass(frozen=True, eq=False, slots=True)
class _ByNumber:
    """Regions by their number, before they are sorted."""

    numbers: Integers
    ids: Integers
    areas: Integers
    boxes: Integers

    def sorted_by(self, keys: Integers) -> ObjectRegions:
        own = keys[self.numbers]
        order = np.argsort(own, kind="stable")
        return ObjectRegions(own[order], self.ids[order], self.areas[order], self.boxes[order])


def _numbered(labels: npt.NDArray[Any]) -> tuple[Integers, Integers]:
    """Return the ids that there are, and labels that count through them; 0 is background."""
    labels = np.asarray(labels)
    largest = int(labels.max(initial=0))
    if labels.min(initial=0) >= 0 and largest <= max(1 << 16, labels.size // 4):
        return np.arange(largest + 1, dtype=np.int64), labels.astype(np.int64, copy=False)
    names, numbers = np.unique(np.where(labels > 0, labels, 0), return_inverse=True)
    names = names.astype(np.int64)
    numbers = numbers.reshape(labels.shape).astype(np.int64, copy=False)
    if len(names) and names[0] != 0:
        return np.concatenate([[0], names]).astype(np.int64), numbers + 1
    return names, numbers


def _measured(
    numbers: Integers, ids: Integers, wanted: npt.NDArray[np.bool_], corner: tuple[int, int]
) -> _ByNumber:
    """Measure the regions whose number is wanted."""
    from scipy import ndimage

    areas = np.bincount(numbers.ravel(), minlength=len(wanted))
    there = np.flatnonzero(wanted & (areas[: len(wanted)] > 0))
    places = ndimage.find_objects(numbers, max(1, int(numbers.max(initial=0))))
    boxes = np.array(
        [
            (rows.start, columns.start, rows.stop, columns.stop)
            for rows, columns in (places[n - 1] for n in there)
        ],
        np.int64,
    ).reshape(-1, 4)
    shift = np.array([*corner, *corner])
    return _ByNumber(there, ids[there], areas[there].astype(np.int64), boxes + shift)


def _joined(parts: list[ObjectRegions]) -> ObjectRegions:
    keys = np.concatenate([one.keys for one in parts])
    order = np.argsort(keys, kind="stable")
    ids = np.concatenate([one.ids for one in parts])
    areas = np.concatenate([one.areas for one in parts])
    boxes = np.concatenate([one.boxes for one in parts])
    return ObjectRegions(keys[order], ids[order], areas[order], boxes[order])
