"""Pixels of a labels array that changed from old ids to new ones, as runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Runs:
    """Neighbouring pixels in the order in which an array lies in memory, last axis first.

    Parameters
    ----------
    starts, lengths : int64 (n,)
        Rising, and without overlap.
    """

    starts: Ints
    lengths: Ints

    @classmethod
    def of(cls, at: npt.ArrayLike) -> Runs:
        """Make runs of the positions of pixels, rising, each once."""
        positions = np.asarray(at, np.int64)
        if not positions.size:
            return cls(positions, positions)
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1
        firsts = np.concatenate([[0], breaks])
        return cls(positions[firsts], np.diff(np.append(firsts, positions.size)))

    @property
    def size(self) -> int:
        """How many pixels there are."""
        return int(self.lengths.sum())

    @property
    def ends(self) -> Ints:
        """The first position after each run."""
        return self.starts + self.lengths

    def parts(self, most: int = 1 << 24) -> list[Runs]:
        """Divide them into parts of about so many pixels; a run is not divided."""
        if not self.starts.size:
            return []
        part = (np.cumsum(self.lengths) - 1) // most
        cuts = np.flatnonzero(np.diff(part)) + 1
        pairs = zip(np.split(self.starts, cuts), np.split(self.lengths, cuts), strict=True)
        return [Runs(starts, lengths) for starts, lengths in pairs]

    def positions(self) -> Ints:
        """Return the position of every pixel, rising; int64 (n,)."""
        before = np.cumsum(self.lengths) - self.lengths
        first: Ints = np.repeat(self.starts - before, self.lengths)
        return np.arange(self.size, dtype=np.int64) + first


def joined(every: Sequence[Runs]) -> Runs:
    """Return all pixels that are in one of several runs."""
    if not every:
        return Runs.of([])
    starts = np.concatenate([one.starts for one in every])
    order = np.argsort(starts, kind="stable")
    starts = starts[order]
    ends = np.maximum.accumulate(np.concatenate([one.ends for one in every])[order])
    if not starts.size:
        return Runs.of([])
    begins = np.concatenate([[True], starts[1:] > ends[:-1]])
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:] - 1, starts.size - 1)
    return Runs(starts[firsts], ends[lasts] - starts[firsts])


@dataclass(frozen=True, eq=False, slots=True)
class Relabelling:
    """Pixels that changed from old to new ids.

    Parameters
    ----------
    runs : Runs
        Where.
    old, new : int64 (n,)
        Ids before and after, of each pixel.
    """

    runs: Runs
    old: Ints
    new: Ints

    @classmethod
    def of(cls, at: npt.ArrayLike, old: npt.ArrayLike, new: npt.ArrayLike) -> Relabelling:
        """Make one of pixels in any order, each once.

        Parameters
        ----------
        at : int (n,)
            Positions in the array as it lies in memory, as of `numpy.ravel_multi_index`.
        old : int (n,)
            Their ids before.
        new : int (n,)
            And after.
        """
        positions = np.asarray(at, np.int64)
        order = np.argsort(positions, kind="stable")
        before, after = np.asarray(old, np.int64)[order], np.asarray(new, np.int64)[order]
        return cls(Runs.of(positions[order]), before, after)

    def reversed(self) -> Relabelling:
        """Return what takes it back."""
        return Relabelling(self.runs, self.new, self.old)

    def apply(self, labels: npt.NDArray[Any], within: Runs) -> None:
        """Change ids; pixels that have another id than the old one are left alone.

        Parameters
        ----------
        labels : int (n,)
            Ids of the pixels of `within`; changed in place.
        within : Runs
            That hold all of its pixels, or others.
        """
        at, index = self.runs.positions(), _index_in(self.runs.positions(), within)
        there = index >= 0
        if at.size and there.any():
            mine = there.copy()
            mine[there] = labels[index[there]] == self.old[there]
            labels[index[mine]] = self.new[mine]


def _index_in(positions: Ints, within: Runs) -> Ints:
    """Return which pixel of runs each position is; -1 where it is none."""
    if not within.starts.size:
        return np.full(positions.shape, -1, np.int64)
    run = np.searchsorted(within.starts, positions, side="right") - 1
    safe = np.maximum(run, 0)
    inside = (run >= 0) & (positions < within.ends[safe])
    before = np.cumsum(within.lengths) - within.lengths
    return np.where(inside, before[safe] + positions - within.starts[safe], -1)


def changed_between(
    walk: Sequence[Relabelling],
    read: Callable[[Runs], npt.NDArray[Any]],
    most: int = 1 << 24,
) -> Iterator[Relabelling]:
    """Work out what a series of changes makes of labels that are at some point of it.

    Each change leaves pixels alone that have another id than it expects. So labels that have been
    through a part of the series come out as those that have been through none.

    Parameters
    ----------
    walk : sequence of Relabelling
        In order.
    read : callable
        Returns the ids at runs, int (n,).
    most : int
        Pixels that are looked at, at a time.

    Yields
    ------
    Relabelling
        What is to be changed, and nowhere twice.
    """
    for part in joined([one.runs for one in walk]).parts(most):
        before = np.asarray(read(part)).astype(np.int64)
        after = before.copy()
        first, last = part.starts[0], part.ends[-1]
        for one in walk:
            if one.runs.starts.size and one.runs.starts[0] < last and one.runs.ends[-1] > first:
                one.apply(after, part)
        other = after != before
        if other.any():
            at = part.positions()[other]
            yield Relabelling(Runs.of(at), before[other], after[other])
