"""Gaps between the planes of a stack on which an object is labelled, and what fills them.

All of this runs on a worker thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.writes import LabelWrite
from napari_clickseg.core.instances.shape_interpolation import interpolated, overlapping_most
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.engine.segmenter import Superseded
from napari_clickseg.journal.scene import Accepted, Draft, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane

Labels = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, slots=True)
class Stack:
    """The labels of a stack, read plane by plane.

    Parameters
    ----------
    labels : array
        The finest level of the annotation.
    plane : Plane
        The displayed one.
    axis : int
        That is gone along.
    by_class : bool
        Ids are classes, and objects are their pieces.
    stop : callable
        Whether nobody wants it any more.
    """

    labels: Any
    plane: Plane
    axis: int
    by_class: bool
    stop: Stop

    @property
    def size(self) -> int:
        """Planes along the axis."""
        return int(self.labels.shape[self.axis])

    def at(self, index: int) -> Plane:
        """Return a plane of the stack."""
        return self.plane.stepped(self.axis, index - self.plane.index[self.axis])

    def read(self, index: int) -> Labels:
        """Read the ids of a plane, (Y, X)."""
        if self.stop():
            raise Superseded
        return np.array(self.labels[self.at(index).key(slice(None), slice(None))])


@dataclass(frozen=True, slots=True)
class _Renaming:
    """From a plane on, an object gets the id that it has before."""

    start: int
    old: int
    new: int


@dataclass(frozen=True, eq=False, slots=True)
class _Gap:
    """Planes between two on which an object lies."""

    value: int  # its id on the middle plane
    ends: tuple[int, int]  # rising
    patches: tuple[Patch, Patch]
    renaming: _Renaming | None = None  # without which it is none

    @property
    def inside(self) -> range:
        return range(self.ends[0] + 1, self.ends[1])

    def patch(self, index: int) -> Patch:
        return interpolated(*self.patches, (index - self.ends[0]) / (self.ends[1] - self.ends[0]))


@dataclass(frozen=True, eq=False, slots=True)
class Filled:
    """What fills the gaps around a plane.

    Parameters
    ----------
    ids : frozenset of int
        Of the objects that were filled in.
    planes : frozenset of int
        On which they were.
    renamed : int
        Objects that got the id which they have on earlier planes.
    """

    after: Scene
    writes: tuple[LabelWrite, ...] = ()
    ids: frozenset[int] = field(default_factory=frozenset)
    planes: frozenset[int] = field(default_factory=frozenset)
    renamed: int = 0


def filled(stack: Stack, scene: Scene, classes: Mapping[int, int]) -> Filled:
    """Fill the gaps around the displayed plane, or the nearest one before it that has objects.

    What is labelled stays as it is. An object that has no other plane is taken for the one of
    another id, not on this plane, that it overlaps with on the nearest plane: it gets the earlier
    plane's id, on all later planes, too, unless that id is used there.

    Parameters
    ----------
    classes : mapping of int to int
        Of the objects' ids; others get the class 1.
    """
    middle, here = _begun(stack)
    if middle < 0:
        return Filled(scene)
    find = _gaps_by_class if stack.by_class else _gaps_by_id
    displayed = middle == stack.plane.index[stack.axis]
    gaps = find(stack, middle, here, -1) if displayed else []
    gaps += find(stack, middle, here, 1)
    renamings = _sound(stack, [gap.renaming for gap in gaps if gap.renaming is not None])
    gaps = [one for one in gaps if one.renaming is None or one.renaming in renamings]
    return _carried_out(stack, scene, classes, gaps, renamings)


def _begun(stack: Stack) -> tuple[int, Labels]:
    """Return the displayed plane's number and ids, or those of the nearest one with any before."""
    for index in range(stack.plane.index[stack.axis], -1, -1):
        here = stack.read(index)
        if (here > 0).any():
            return index, here
    return -1, np.zeros((0, 0), np.int64)


def _beyond(stack: Stack, middle: int, step: int) -> Iterator[tuple[int, Labels]]:
    """Yield planes one after the other, away from one."""
    for index in range(middle + step, stack.size if step > 0 else -1, step):
        yield index, stack.read(index)


def _gaps_by_id(stack: Stack, middle: int, here: Labels, step: int) -> list[_Gap]:
    own = _ids(here)
    left, gaps = set(own), []
    for index, there in _beyond(stack, middle, step):
        common = left & _ids(there)
        gaps += [_gap(n, (middle, here == n), (index, there == n)) for n in sorted(common)]
        left -= common
        if not left:
            return gaps
    taken = set(own)
    for index, there in _beyond(stack, middle, step):
        others = _ids(there) - taken
        for mine, theirs in overlapping_most(_having(here, left), _having(there, others)):
            old, new, start = (mine, theirs, middle) if step < 0 else (theirs, mine, index)
            gap = _gap(mine, (middle, here == mine), (index, there == theirs))
            gaps.append(replace(gap, renaming=_Renaming(start, old, new)))
            left.remove(mine)
            taken.add(theirs)
        if not left:
            break
    return gaps


def _having(labels: Labels, ids: set[int]) -> Labels:
    return np.where(np.isin(labels, [*ids]), labels, 0)


def _gaps_by_class(stack: Stack, middle: int, here: Labels, step: int) -> list[_Gap]:
    from skimage.measure import label

    left, gaps = _ids(here), []
    for index, there in _beyond(stack, middle, step):
        for value in sorted(left & _ids(there)):
            pieces = [label(each == value, connectivity=2) for each in (here, there)]
            for mine, theirs in overlapping_most(*pieces):
                ends = (middle, pieces[0] == mine), (index, pieces[1] == theirs)
                gaps.append(_gap(value, *ends))
        left = left - _ids(there)
        if not left:
            break
    return gaps


def _gap(
    value: int, one: tuple[int, npt.NDArray[np.bool_]], other: tuple[int, npt.NDArray[np.bool_]]
) -> _Gap:
    (first, before), (last, after) = sorted((one, other), key=lambda end: end[0])
    return _Gap(value, (first, last), (Patch.of(before), Patch.of(after)))


def _ids(labels: Labels) -> set[int]:
    return set(np.unique(labels[labels > 0]).tolist())  # most planes are mostly background


def _sound(stack: Stack, renamings: Sequence[_Renaming]) -> list[_Renaming]:
    """Leave out what would make one object of two."""
    out = list(renamings)
    for index in range(min((one.start for one in out), default=stack.size), stack.size):
        ids = _ids(stack.read(index))
        out = [one for one in out if one.new not in ids or index < one.start]
        if not out:
            break
    return out


def _carried_out(
    stack: Stack,
    scene: Scene,
    classes: Mapping[int, int],
    gaps: Sequence[_Gap],
    renamings: Sequence[_Renaming],
) -> Filled:
    """Work out plane by plane what is written, and the scene after it."""
    names = {one.old: one.new for one in renamings}
    final = [replace(one, new=names.get(one.new, one.new)) for one in renamings]
    planes = {index for gap in gaps for index in gap.inside}
    first = min((one.start for one in final), default=stack.size)
    writes, made = [], []
    for index in sorted(planes | set(range(first, stack.size))):
        before = stack.read(index)
        after = before.copy()
        for one in final:
            if index >= one.start:
                after[before == one.old] = one.new
        for gap in gaps:
            if index in gap.inside:
                value = names.get(gap.value, gap.value)
                class_id = value if stack.by_class else classes.get(gap.value, 1)
                made += _put(stack, index, gap, value, after, class_id)
        if (after != before).any():
            whole = Box(0, 0, *before.shape)
            writes.append(LabelWrite.of(stack.at(index), whole, before, after != before, after))
    after_scene = _renamed(stack, scene, final)
    return Filled(
        replace(after_scene, objects=(*after_scene.objects, *made)),
        tuple(writes),
        frozenset(one.value for one in made),
        frozenset(one.plane.index[stack.axis] for one in made),
        len(final),
    )


def _put(
    stack: Stack, index: int, gap: _Gap, value: int, after: Labels, class_id: int
) -> list[Accepted]:
    """Lay an object between its ends where nothing is labelled; return it, if any of it is left."""
    whole = Box(0, 0, *after.shape)
    wanted = gap.patch(index).cut(whole) & (after <= 0)
    if not wanted.any():
        return []
    after[wanted] = value
    return [Accepted(stack.at(index), value, (), Patch.of(wanted), class_id)]


def _renamed(stack: Stack, scene: Scene, renamings: Sequence[_Renaming]) -> Scene:
    """Return the scene with other ids."""

    def name(plane: Plane, value: int) -> int:
        along = plane.index[stack.axis]
        if plane != stack.at(along):
            return value
        new = [one.new for one in renamings if one.old == value and along >= one.start]
        return new[0] if new else value

    def with_name(one: Accepted) -> Accepted:
        value = name(one.plane, one.value)
        return one if value == one.value else replace(one, value=value)

    if not renamings:
        return scene
    now = {id(one): with_name(one) for one in scene.objects}
    drafts: dict[Plane, Draft] = {}
    for plane, draft in scene.drafts.items():
        editing, value = draft.editing, draft.value
        if editing is not None:
            editing = now.get(id(editing)) or with_name(editing)
        if value is not None:
            value = name(plane, value)
        drafts[plane] = replace(draft, editing=editing, value=value)
    return replace(scene, objects=tuple(now[id(one)] for one in scene.objects), drafts=drafts)
