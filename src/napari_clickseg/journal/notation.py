"""Scenes and changes of labels as JSON, and back; nothing is believed before it was looked at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.core.window import Box
from napari_clickseg.data.annotations import ObjectNote, ProjectClick
from napari_clickseg.formats.shapes.run_lengths import packed, unpacked
from napari_clickseg.journal.relabelling import Relabelling, Runs
from napari_clickseg.journal.scene import Accepted, Draft, Drawn, Mark, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_clickseg.journal.scene import AnyMark

_One = TypeVar("_One")
_MOST_PIXELS = 1 << 31  # of one change: what a file promises must not fill the memory


class _Notation(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class PlaneNote(_Notation):
    """A plane."""

    axes: tuple[NonNegativeInt, NonNegativeInt]
    index: tuple[NonNegativeInt, ...]
    shape: tuple[NonNegativeInt, NonNegativeInt]

    @classmethod
    def of(cls, plane: Plane) -> Self:
        """Note a plane."""
        return cls(axes=plane.axes, index=plane.index, shape=plane.shape)

    @property
    def plane(self) -> Plane:
        """What it notes."""
        first, second = self.axes
        if not first < second < len(self.index):
            raise ValueError("the axes of a plane are not its image's")
        return Plane(self.axes, self.index, self.shape)


class _MarkNote(_Notation):
    """A click in the image, or what was drawn on a plane."""

    key: int
    at: tuple[float | None, ...] = ()  # none where it is no number
    positive: bool = True
    plane: PlaneNote | None = None
    drawn: ProjectClick | None = None

    @classmethod
    def of(cls, mark: AnyMark) -> Self:
        if isinstance(mark, Drawn):
            drawn = ProjectClick.of(mark.shape)
            return cls(key=mark.key, plane=PlaneNote.of(mark.plane), drawn=drawn)
        at = tuple(float(x) if math.isfinite(x) else None for x in mark.position)
        return cls(key=mark.key, at=at, positive=mark.positive)

    @property
    def mark(self) -> AnyMark:
        if self.drawn is None or self.plane is None:
            at = tuple(math.nan if x is None else x for x in self.at)
            return Mark(self.key, at, self.positive)
        shape = self.drawn.gesture
        if isinstance(shape, Click):
            raise ValueError("a click is not drawn")
        return Drawn(self.key, self.plane.plane, shape)


class _PatchNote(_Notation):
    """A mask: its box, and the runs in it, row by row."""

    box: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]
    runs: str

    @classmethod
    def of(cls, patch: Patch) -> Self:
        box = patch.box
        runs = Runs.of(np.flatnonzero(patch.mask))
        return cls(box=(box.top, box.left, box.height, box.width), runs=_runs_text(runs))

    @property
    def patch(self) -> Patch:
        box = Box(*self.box)
        mask = np.zeros(_bounded(box.area), bool)
        mask[_runs_of(self.runs, box.area).positions()] = True
        return Patch(box, mask.reshape(box.shape))


class _AcceptedNote(_Notation):
    plane: PlaneNote
    value: int
    marks: tuple[_MarkNote, ...] = ()
    patch: _PatchNote
    class_id: int = 1
    note: ObjectNote = ObjectNote()

    @classmethod
    def of(cls, one: Accepted) -> Self:
        return cls(
            plane=PlaneNote.of(one.plane),
            value=one.value,
            marks=tuple(map(_MarkNote.of, one.marks)),
            patch=_PatchNote.of(one.patch),
            class_id=one.class_id,
            note=one.note,
        )

    @property
    def accepted(self) -> Accepted:
        marks = tuple(one.mark for one in self.marks)
        plane, patch = self.plane.plane, self.patch.patch
        return Accepted(plane, self.value, marks, patch, self.class_id, self.note)


class _DraftNote(_Notation):
    plane: PlaneNote
    start: _PatchNote | None = None
    settled: tuple[_MarkNote, ...] = ()
    editing: NonNegativeInt | _AcceptedNote | None = None  # a number: of the scene's objects
    value: int | None = None
    reading: NonNegativeInt = 0
    quiet: bool = False

    @classmethod
    def of(cls, plane: Plane, draft: Draft, objects: Sequence[Accepted]) -> Self:
        editing = draft.editing
        number = next((i for i, one in enumerate(objects) if one is editing), None)
        whole = _AcceptedNote.of(editing) if number is None and editing is not None else None
        return cls(
            plane=PlaneNote.of(plane),
            start=_PatchNote.of(draft.start) if draft.start is not None else None,
            settled=tuple(map(_MarkNote.of, draft.settled)),
            editing=number if number is not None else whole,
            value=draft.value,
            reading=draft.reading,
            quiet=draft.quiet,
        )

    def draft(self, objects: Sequence[Accepted]) -> Draft:
        editing = self.editing.accepted if isinstance(self.editing, _AcceptedNote) else None
        if isinstance(self.editing, int):
            if self.editing >= len(objects):
                raise ValueError("an object is corrected that is not there")
            editing = objects[self.editing]
        start = self.start.patch if self.start is not None else None
        settled = tuple(one.mark for one in self.settled)
        return Draft(start, settled, editing, self.value, self.reading, self.quiet)


class _Marks(_Notation):
    """Marks in the place of others: of the ones from `first` on, up to `end`."""

    first: NonNegativeInt
    end: NonNegativeInt
    new: tuple[_MarkNote, ...] = ()


class _Objects(_Notation):
    """The same of objects."""

    first: NonNegativeInt
    end: NonNegativeInt
    new: tuple[_AcceptedNote, ...] = ()


class SceneNote(_Notation):
    """What makes one scene of another one."""

    marks: _Marks | None = None
    objects: _Objects | None = None
    dropped: tuple[PlaneNote, ...] = ()  # planes whose drafts go
    drafts: tuple[_DraftNote, ...] = ()
    object_id: int | None = Field(None, ge=1)
    next_id: int | None = Field(None, ge=1)

    @classmethod
    def between(cls, before: Scene, after: Scene) -> Self:
        """Note what makes one scene of another one."""
        first, end, new = _spliced(before.marks, after.marks)
        marks = _Marks(first=first, end=end, new=tuple(map(_MarkNote.of, new)))
        start, stop, made = _spliced(before.objects, after.objects)
        objects = _Objects(first=start, end=stop, new=tuple(map(_AcceptedNote.of, made)))
        return cls(
            marks=marks if before.marks != after.marks else None,
            objects=objects if (start, made) != (stop, ()) else None,
            dropped=tuple(PlaneNote.of(p) for p in before.drafts if p not in after.drafts),
            drafts=tuple(
                _DraftNote.of(plane, draft, after.objects)
                for plane, draft in after.drafts.items()
                if not _same(before.drafts.get(plane), draft)
            ),
            object_id=after.object_id if after.object_id != before.object_id else None,
            next_id=after.next_id if after.next_id != before.next_id else None,
        )

    def __bool__(self) -> bool:
        return self != _NOTHING

    def after(self, before: Scene) -> Scene:
        """Return the scene that it makes of another one.

        Raises
        ------
        ValueError
            If it does not fit.
        """
        marks, objects = before.marks, before.objects
        if self.marks is not None:
            new_marks = [one.mark for one in self.marks.new]
            marks = _put(marks, self.marks.first, self.marks.end, new_marks)
        if self.objects is not None:
            new = [one.accepted for one in self.objects.new]
            objects = _put(objects, self.objects.first, self.objects.end, new)
        dropped = {one.plane for one in self.dropped}
        drafts = {plane: one for plane, one in before.drafts.items() if plane not in dropped}
        drafts |= {one.plane.plane: one.draft(objects) for one in self.drafts}
        return Scene(
            marks,
            drafts,
            objects,
            before.object_id if self.object_id is None else self.object_id,
            before.next_id if self.next_id is None else self.next_id,
        )


_NOTHING = SceneNote()


class RelabellingNote(_Notation):
    """Changed pixels as runs in memory's order, with old and new ids and how often each comes."""

    runs: str
    old: tuple[tuple[int, ...], str]
    new: tuple[tuple[int, ...], str]

    @classmethod
    def of(cls, one: Relabelling) -> Self:
        """Note a change."""
        return cls(runs=_runs_text(one.runs), old=_ids_text(one.old), new=_ids_text(one.new))

    def relabelling(self, size: int) -> Relabelling:
        """Return what it notes, of an array with so many pixels.

        Raises
        ------
        ValueError
            If it does not fit.
        """
        runs = _runs_of(self.runs, size)
        n = _bounded(runs.size)
        return Relabelling(runs, _ids_of(*self.old, n), _ids_of(*self.new, n))


def _same(one: Draft | None, other: Draft) -> bool:
    """Whether drafts are the same, and correct the very same object."""
    return one == other and one is not None and one.editing is other.editing


def _spliced(before: Sequence[_One], after: Sequence[_One]) -> tuple[int, int, tuple[_One, ...]]:
    """Return which part of a sequence another part came in the place of."""
    most = min(len(before), len(after))
    first = next((i for i in range(most) if before[i] is not after[i]), most)
    rest = most - first
    last = next((i for i in range(rest) if before[-1 - i] is not after[-1 - i]), rest)
    return first, len(before) - last, tuple(after[first : len(after) - last])


def _put(before: Sequence[_One], first: int, end: int, new: Sequence[_One]) -> tuple[_One, ...]:
    if not first <= end <= len(before):
        raise ValueError("what was changed is not there")
    return (*before[:first], *new, *before[end:])


def _runs_text(runs: Runs) -> str:
    """Return runs as one text: pixels outside, inside, outside and so on."""
    counts = np.empty(2 * runs.starts.size, np.int64)
    counts[0::2] = runs.starts - np.concatenate([[0], runs.ends[:-1]])[: runs.starts.size]
    counts[1::2] = runs.lengths
    return packed(counts) if counts.size else ""


def _runs_of(text: str, size: int) -> Runs:
    counts = unpacked(text) if text else np.zeros(0, np.int64)
    fits = len(counts) % 2 == 0 and (counts >= 0).all() and (counts <= size).all()
    if not fits or int(counts.sum()) > size:
        raise ValueError("runs do not fit their image")
    edges = np.cumsum(counts)
    return Runs(edges[0::2], counts[1::2])


def _ids_text(ids: npt.NDArray[np.int64]) -> tuple[tuple[int, ...], str]:
    if not ids.size:
        return (), ""
    firsts = np.concatenate([[0], np.flatnonzero(np.diff(ids)) + 1])
    counts = np.diff(np.append(firsts, ids.size))
    return tuple(map(int, ids[firsts])), packed(counts)


def _ids_of(values: tuple[int, ...], text: str, n: int) -> npt.NDArray[np.int64]:
    counts = unpacked(text) if text else np.zeros(0, np.int64)
    fits = len(counts) == len(values) and (counts >= 0).all() and (counts <= n).all()
    if not fits or int(counts.sum()) != n:
        raise ValueError("ids do not fit their pixels")
    if any(not 0 <= value < 2**63 for value in values):
        raise ValueError("an id is not one of a labels layer")
    return np.repeat(np.array(values, np.int64), counts)


def _bounded(pixels: int) -> int:
    if pixels > _MOST_PIXELS:
        raise ValueError("more pixels than anybody changes at once")
    return pixels
