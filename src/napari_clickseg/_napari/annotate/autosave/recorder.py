"""Notes what happens on one image in its journal."""

from __future__ import annotations

import contextlib
import datetime
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg.journal.compacting import compact
from napari_clickseg.journal.events import (
    Began,
    Completed,
    Laid,
    Redone,
    SavedElsewhere,
    Scribe,
    Stepped,
    Undone,
)
from napari_clickseg.journal.recording import JournalError
from napari_clickseg.journal.relabelling import Relabelling
from napari_clickseg.journal.store import image_digest
from napari_clickseg.journal.writing import JournalFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.timeline import Entry
    from napari_clickseg._napari.viewer.writes import Write
    from napari_clickseg.journal.events import JournalEvent
    from napari_clickseg.journal.recording import Recording
    from napari_clickseg.journal.store import JournalPlace, JournalStore
    from napari_clickseg.journal.writing import JournalThread

_TILE = 2048  # side of the parts in which labels are read that were there before
_COPIED = 1 << 22  # pixels of labels that are copied at once, which takes a few milliseconds
_MOST = 1 << 28  # pixels of labels that were given other data, up to which that is noted


@dataclass(frozen=True, eq=False, slots=True)
class _Replaced:
    """The annotation layer got other data."""

    old: Any
    new: Any


class Recorder:
    """Notes what is done on one timeline, which belongs to one annotation layer.

    Made and told on the main thread; what its docstrings say is on the thread runs on the
    thread of the journals.

    Parameters
    ----------
    pairing : Pairing
        With an annotation layer.
    circumstances : callable
        Returns which model answers, how the image is seen, and what ids mean.
    """

    def __init__(
        self,
        pairing: Pairing,
        thread: JournalThread,
        journals: JournalStore,
        circumstances: Callable[[], Sequence[JournalEvent]],
    ) -> None:
        image, layer = pairing.image, pairing.annotation
        assert layer is not None
        self.pairing, self.timeline = pairing, pairing.timeline
        self._thread, self._journals, self._circumstances = thread, journals, circumstances
        self._noted: dict[type, JournalEvent] = {}  # the circumstances that are in the journal
        self.completeness_noted = False  # perhaps there is nothing else in the journal
        self.image: Any = full_resolution(image)
        self.labels: Any = full_resolution(layer)
        self.shape = tuple(int(n) for n in self.labels.shape)
        self._before = _as_it_is(self.labels)
        self.digest = ""
        self._place: JournalPlace | None = None
        self._file: JournalFile | None = None
        self._left: deque[JournalEvent | _Replaced] = deque()  # that could not be noted yet
        self._noted_before = False
        self._tiles: set[tuple[int, ...]] = set()  # of large labels, that were noted
        for entry in self.timeline.steps:
            self._added(entry)
        self.timeline.added.connect(self._added)
        self.timeline.undone.connect(self._undone)
        self.timeline.redone.connect(self._redone)

    # ---- on the main thread

    def ahead(self, write: Write) -> None:
        """Note what was written before its step is complete."""
        for one in write.relabellings(self.shape):
            self._thread.note(self, Laid(one))

    def complete_said(self, index: tuple[int, ...], complete: bool) -> None:
        """Note whether all objects of a plane are labelled, as the user says."""
        self.completeness_noted = True
        self._thread.note(self, Completed(index=index, complete=complete))

    def relabelled(self) -> None:
        """Note that the annotation layer got other data."""
        layer = self.pairing.annotation
        data: Any = None if layer is None else full_resolution(layer)
        if data is not None and tuple(data.shape) == self.shape and data is not self.labels:
            self._thread.note(self, _Replaced(self.labels, data))
            self.labels = data
            self._before = _as_it_is(data)

    def saved(self, written: Sequence[Write]) -> None:
        """Note that this is saved elsewhere, if it is all there is."""
        something = self.timeline.steps or written or self.completeness_noted
        if tuple(written) == self.timeline.writes and something:
            self._thread.note(self, SavedElsewhere())

    def leave(self) -> None:
        """Note nothing any more; the journal stays claimed until it is let go."""
        self.timeline.added.disconnect(self._added)
        self.timeline.undone.disconnect(self._undone)
        self.timeline.redone.disconnect(self._redone)

    def _added(self, entry: Entry) -> None:
        for one in self._circumstances():
            if self._noted.get(type(one)) != one:
                self._noted[type(one)] = one
                self._thread.note(self, one)
        writes, shape = entry.writes, self.shape

        def noted() -> tuple[Relabelling, ...]:
            return tuple(part for write in writes for part in write.relabellings(shape))

        step = Stepped(entry.before, entry.after, entry.plane, entry.end, noted)
        self._thread.note(self, step)

    def _undone(self) -> None:
        self._thread.note(self, Undone())

    def _redone(self) -> None:
        self._thread.note(self, Redone())

    # ---- on the thread

    def look(self) -> str:
        """Find out which image it is; on the thread."""
        if not self.digest:
            self.digest = image_digest(self.image, self.pairing.channel_axis)
        return self.digest

    def go_on_with(self, place: JournalPlace, recording: Recording) -> None:
        """Write into a journal that is there, after what it says; on the thread."""
        past = tuple((step.before, step.after) for step in recording.past)
        future = tuple((step.before, step.after) for step in recording.future)
        scribe = Scribe(recording.scene, past, future)
        self._place, self._file = place, JournalFile(place.path, scribe, recording.whole)

    def write(self, events: Sequence[JournalEvent | _Replaced]) -> None:
        """Note what happened; on the thread.

        Raises
        ------
        OSError
            If the disk does not take it: it is kept until it does.
        """
        self._left += events
        if not self._left and self._file is None:
            return
        file = self._file if self._file is not None else self._begin()
        lines: list[JournalEvent] = []
        while self._left:
            lines += self._lines(self._left[0])
            self._left.popleft()
        file.write(lines)  # with those that the disk did not take before, be there new ones or not

    @property
    def path(self) -> str:
        """Where the journal lies; empty while there is none."""
        return str(self._file.path) if self._file is not None else ""

    def _begin(self) -> JournalFile:
        self._place = self._journals.begin(self.look())
        self._file = JournalFile(self._place.path, Scribe())
        began = Began(
            shape=tuple(int(n) for n in self.image.shape),
            dtype=str(self.image.dtype),
            digest=self.digest,
            channel_axis=self.pairing.channel_axis,
            labels=self.shape,
            at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
        self._left.appendleft(began)
        return self._file

    def _lines(self, one: JournalEvent | _Replaced) -> list[JournalEvent]:
        if isinstance(one, _Replaced):
            return [Laid(part) for part in _between(one.old, one.new)]
        writes = one.writes() if isinstance(one, Stepped) else ()
        made = isinstance(one, Stepped | Completed)
        there = [Laid(part) for part in self._there_before(writes)] if made else []
        if isinstance(one, Stepped):
            one = Stepped(one.before, one.after, one.plane, one.end, lambda: writes)
        return [*there, one]

    def _there_before(self, writes: Sequence[Relabelling]) -> Iterator[Relabelling]:
        """Yield the labels that nobody has noted yet: all, of large ones those around writes.

        All of them also where only clicks were made: they may be saved nowhere else. Of large
        labels they are read late, so they may be what was written since: what follows leaves
        pixels alone that are as it would make them, so nothing is lost by that.
        """
        if self._before is self.labels:
            for write in writes:
                yield from self._around(write)
        elif not self._noted_before:  # a copy of all of them: also of other planes
            self._noted_before = True
            labelled = np.flatnonzero(self._before)
            if labelled.size:
                ids = self._before.reshape(-1)[labelled]
                yield Relabelling.of(labelled, np.zeros(labelled.size, np.int64), ids)

    def _around(self, write: Relabelling) -> Iterator[Relabelling]:
        if not write.runs.starts.size:
            return
        ends = np.concatenate([write.runs.starts, write.runs.ends - 1])
        *outer, rows, columns = np.unravel_index(ends, self.shape)
        height, width = self.shape[-2:]
        for at in {tuple(map(int, index)) for index in zip(*outer, strict=True)} or {()}:
            here = np.all([axis == n for axis, n in zip(outer, at, strict=True)], axis=0)
            top, bottom = int(rows[here].min()), int(rows[here].max())
            left, right = int(columns[here].min()), int(columns[here].max())
            if bottom > top:  # a run goes on from line to line only where all of it is in it
                n = write.runs.starts.size
                over = bool((rows[:n] != rows[n:]).any())
                left, right = (0, width - 1) if over else (left, right)
            for y in range(top // _TILE, bottom // _TILE + 1):
                for x in range(left // _TILE, right // _TILE + 1):
                    yield from self._tile(at, y, x, (height, width))

    def _tile(
        self, at: tuple[int, ...], y: int, x: int, shape: tuple[int, int]
    ) -> Iterator[Relabelling]:
        if (*at, y, x) in self._tiles:
            return
        self._tiles.add((*at, y, x))
        rows = slice(y * _TILE, min(shape[0], (y + 1) * _TILE))
        columns = slice(x * _TILE, min(shape[1], (x + 1) * _TILE))
        part = np.asarray(self._before[(*at, rows, columns)])
        labelled = np.nonzero(part)
        if labelled[0].size:
            outer = [np.full(labelled[0].shape, n) for n in at]
            where = (*outer, labelled[0] + rows.start, labelled[1] + columns.start)
            flat = np.ravel_multi_index(where, self.shape)
            yield Relabelling.of(flat, np.zeros(flat.size, np.int64), part[labelled])

    def release(self, *, saved: bool = False) -> None:
        """Let others take the journal, without what nobody can take up any more; on the thread.

        Parameters
        ----------
        saved : bool
            All that is in it is saved elsewhere by now.
        """
        there = self._file is not None or bool(self._left)
        try:
            self.write([SavedElsewhere()] if saved and there else [])
            if self._file is not None:
                with contextlib.suppress(OSError, JournalError):  # the old one is still there
                    compact(self._file.path)
        finally:
            if self._place is not None:
                self._place.release()


def _as_it_is(labels: Any) -> Any:
    """Return a copy of labels, if that takes no time to speak of; else the labels."""
    small = isinstance(labels, np.ndarray) and labels.size <= _COPIED
    return labels.copy() if small else labels


def _between(old: Any, new: Any) -> Iterator[Relabelling]:
    """Yield what makes one array of labels of another one."""
    if new.size > _MOST:
        return
    before: npt.NDArray[Any] = np.asarray(old).reshape(-1)
    after: npt.NDArray[Any] = np.asarray(new).reshape(-1)
    at = np.flatnonzero(before != after)
    if at.size:
        yield Relabelling.of(at, before[at], after[at])
