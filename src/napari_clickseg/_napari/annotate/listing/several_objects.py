"""What is done to several objects at once: another class, taken out, made one.

All of this runs on a worker thread: of thousands of objects it takes longer than a click may.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.writes import LabelWrite
from napari_clickseg.core.clicks import Click
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.journal.scene import Accepted, Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_clickseg.core.instances.counting import ObjectRegions
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.journal.scene import AnyMark, Scene


@dataclass(frozen=True, eq=False, slots=True)
class SceneChange:
    """The scene after something was done, and what that writes into the annotation layer."""

    after: Scene
    writes: tuple[LabelWrite, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Chosen:
    """Objects of a plane that something is done to.

    Parameters
    ----------
    labels : array
        The finest level of the annotation.
    regions : ObjectRegions
        Of the plane; at least one.
    by_class : bool
        Ids are classes, and the regions are pieces.
    notes : mapping of int to ObjectNote
        What is known of objects that are not in the scene.
    """

    plane: Plane
    labels: Any
    regions: ObjectRegions
    scene: Scene
    by_class: bool = False
    notes: Mapping[int, ObjectNote] = field(default_factory=dict)

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """Their ids."""
        return self.regions.ids

    def read(self) -> _Part:
        """Read the part of the plane that holds them all."""
        top, left = self.regions.boxes[:, :2].min(axis=0).tolist()
        bottom, right = self.regions.boxes[:, 2:].max(axis=0).tolist()
        box = Box.from_edges(top, left, bottom, right)
        values = np.array(self.labels[self.plane.key(*box.slices)])
        if not self.by_class:
            return _Part(box, values, np.isin(values, self.ids))
        from skimage.measure import label

        pieces = label(values, connectivity=2, background=0)
        rows, columns = np.divmod(self.regions.keys, self.plane.shape[1])
        own = pieces[rows - top, columns - left]
        return _Part(box, values, np.isin(pieces, own[own > 0]))


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """A part of a plane: its box, its ids, and which pixels are chosen."""

    box: Box
    values: npt.NDArray[Any]
    chosen: npt.NDArray[np.bool_]

    def write(self, plane: Plane, value: int) -> tuple[LabelWrite, ...]:
        """Return the write of an id into all chosen pixels."""
        changed = self.chosen & (self.values != value)
        if not changed.any():
            return ()
        # Not of the labels' own kind: an id that is too large for it has to be noticed later.
        new = np.full(self.values.shape, value, np.int64)
        return (LabelWrite.of(plane, self.box, self.values, changed, new),)

    def meets(self, patch: Patch) -> bool:
        """Whether a mask has chosen pixels."""
        common = self.box.intersection(patch.box)
        if not common:
            return False
        here = common.shift(-self.box.top, -self.box.left).slices
        there = common.shift(-patch.box.top, -patch.box.left).slices
        return bool((self.chosen[here] & patch.mask[there]).any())

    def patch(self, value: int, edges: npt.NDArray[np.int64]) -> Patch:
        """Return the pixels of an id within the edges of its box."""
        top, left, bottom, right = edges.tolist()
        box = Box.from_edges(top, left, bottom, right)
        here = box.shift(-self.box.top, -self.box.left).slices
        return Patch.of(self.values[here] == value, offset=(box.top, box.left))


def given_class(chosen: Chosen, class_id: int) -> SceneChange:
    """Give objects a class; where ids are classes, their pixels get its id.

    Objects that nothing was noted of so far, as painted ones, are noted with it.
    """
    part, scene, plane = chosen.read(), chosen.scene, chosen.plane
    are = _matching(chosen, part)
    now = {
        id(one): replace(one, class_id=class_id, value=class_id if chosen.by_class else one.value)
        for one in _all_noted(scene, plane)
        if are(one)
    }
    objects = [now.get(id(one), one) for one in scene.objects]
    if not chosen.by_class:
        noted = {one.value for one in scene.objects if are(one)}
        for n, box in zip(chosen.ids.tolist(), chosen.regions.boxes, strict=True):
            if n not in noted:
                objects.append(Accepted(plane, n, (), part.patch(n, box), class_id))
    drafts = dict(scene.drafts)
    draft = drafts.get(plane)
    if draft is not None and draft.editing is not None and id(draft.editing) in now:
        edited = now[id(draft.editing)]
        if not any(one is edited for one in objects):  # it was not noted: what is, is another one
            edited = next((one for one in objects if _same_place(one, edited)), edited)
        drafts[plane] = replace(draft, editing=edited)
    writes = part.write(plane, class_id) if chosen.by_class else ()
    return SceneChange(replace(scene, objects=tuple(objects), drafts=drafts), writes)


def deleted(chosen: Chosen) -> SceneChange:
    """Take objects out of the annotation."""
    part, scene, plane = chosen.read(), chosen.scene, chosen.plane
    are = _matching(chosen, part)
    after = replace(scene, objects=tuple(one for one in scene.objects if not are(one)))
    editing = scene.draft(plane).editing
    if editing is not None and are(editing):
        after = after.with_draft(plane, Draft(quiet=True))
    return SceneChange(after, part.write(plane, 0))


def made_one(chosen: Chosen, class_id: int) -> SceneChange:
    """Make one object of several: it has the lowest of their ids.

    It keeps their clicks, but for those that it contradicts, and counts them; it has no score, as
    no model said it. Only where each object has an id of its own.
    """
    part, scene, plane = chosen.read(), chosen.scene, chosen.plane
    are, value = _matching(chosen, part), int(chosen.ids.min())
    gone = [one for one in scene.objects if are(one)]
    patch = Patch.of(part.chosen, offset=(part.box.top, part.box.left))
    marks = sorted((mark for one in gone for mark in one.marks), key=lambda mark: mark.key)
    marks = [mark for mark in dict.fromkeys(marks) if holds(mark, plane, patch)]
    new = Accepted(plane, value, tuple(marks), patch, class_id, _note_of(chosen, gone))
    left = tuple(one for one in scene.objects if not are(one))
    after = replace(scene, objects=(*left, new))
    editing = scene.draft(plane).editing
    if editing is not None and are(editing):
        after = after.with_draft(plane, None)
    return SceneChange(after, part.write(plane, value))


def holds(mark: AnyMark, plane: Plane, patch: Patch) -> bool:
    """Whether a mask does what a mark says; what was drawn is taken to be so."""
    one = mark.said(plane)
    return one is not None and (not isinstance(one, Click) or one.holds(patch))


def _note_of(chosen: Chosen, gone: Sequence[Accepted]) -> ObjectNote:
    """Return how an object came about that is made of others: with all of their clicks."""
    known = {n: chosen.notes[n] for n in chosen.ids.tolist() if n in chosen.notes}
    known |= {one.value: one.note for one in gone if one.note}
    models = {one.model for one in known.values()}
    clicks = sum(one.clicks or 0 for one in known.values())
    return ObjectNote(clicks=clicks, model=models.pop() if len(models) == 1 else "")


def _all_noted(scene: Scene, plane: Plane) -> list[Accepted]:
    """Return what is noted of objects; the one that is being corrected may be noted there alone."""
    editing = scene.draft(plane).editing
    return [*scene.objects, *([editing] if editing is not None else [])]


def _matching(chosen: Chosen, part: _Part) -> Callable[[Accepted], bool]:
    """Return what says whether an accepted object is one of those that are chosen."""
    ids = set(chosen.ids.tolist())

    def are(one: Accepted) -> bool:
        if one.plane != chosen.plane or one.value not in ids:
            return False
        return not chosen.by_class or part.meets(one.patch)

    return are


def _same_place(one: Accepted, other: Accepted) -> bool:
    return (one.plane, one.value) == (other.plane, other.value)
