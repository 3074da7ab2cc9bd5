"""Splitting an object by clicks on its parts, and merging two; each is one step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.annotate.listing.several_objects import (
    Chosen,
    SceneChange,
    holds,
    made_one,
)
from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg._napari.viewer.writes import LabelWrite
from napari_clickseg.core.instances.counting import objects_of
from napari_clickseg.core.patch import Patch
from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.engine.dividing import divided_in
from napari_clickseg.journal.scene import Accepted, Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.listing.scene_changes import SceneChanges
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.clicks import Click
    from napari_clickseg.core.instances.counting import ObjectRegions
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.dividing import DividedPart
    from napari_clickseg.journal.scene import Scene

_TWO_CLICKS = "To split an object, Shift + click on it and click on each of its parts first."
_BY_CLASS = "Ids are classes here, which don't tell objects apart; choose instances under “Rules”."


@dataclass(frozen=True, eq=False, slots=True)
class _Divided:
    """What a split makes of an object: its parts, and what it writes.

    Parameters
    ----------
    value : int
        Id of the object.
    parts : tuple of DividedPart
        In the clicks' order.
    """

    value: int
    parts: tuple[DividedPart, ...]
    ids: tuple[int, ...]
    write: LabelWrite


class SplitMerge:
    """Splits and merges objects on a plane."""

    def __init__(
        self, context: Context, identity: Identity, answers: Answers, changes: SceneChanges
    ) -> None:
        self._context, self._state = context, context.state
        self._identity, self._answers, self._changes = identity, answers, changes

    # ---- merging

    def merge(self, pairing: Pairing, plane: Plane) -> None:
        """Make one object of the two that were taken up, in its turn."""
        self._answers.in_turn(pairing, lambda: self._merge(pairing, plane))

    def _merge(self, pairing: Pairing, plane: Plane) -> None:
        state, layer, scene = self._state, pairing.annotation, pairing.scene
        if state.scheme == "classes":
            state.message = _BY_CLASS
            return
        one, other = pairing.taken_before(plane), scene.draft(plane).editing
        if one is None or other is None or layer is None:
            state.message = (
                "Take up two objects to merge them: Shift + click on one, then on the other."
            )
            return
        ids, spec, notes = (one.value, other.value), state.current_class, pairing.earlier_notes
        labels: Any = full_resolution(layer)
        ready = self._changes.working_out(pairing)

        def work(_: Stop) -> SceneChange | None:
            regions = _regions(labels, plane, ids)
            if len(regions) < 2:
                return None
            chosen = Chosen(plane, labels, regions, scene, notes=notes)
            return ready(made_one(chosen, spec.identifier))

        def done(change: SceneChange | None) -> None:
            if change is None:
                state.message = "One of the two objects is not there any more."
                return
            named = " and ".join(str(n) for n in sorted(ids))
            said = (
                f"Objects {named} are one now: {min(ids)}, of class “{spec.name}”. Undo parts it."
            )
            self._changes.carry_out(pairing, plane, change, said)

        self._changes.submit(pairing, work, done, lambda: self._merge(pairing, plane))

    # ---- splitting

    def split(self, pairing: Pairing, plane: Plane) -> None:
        """Divide the object that is clicked on, in its turn."""
        self._answers.in_turn(pairing, lambda: self._split(pairing, plane))

    def _split(self, pairing: Pairing, plane: Plane) -> None:
        state, layer, scene = self._state, pairing.annotation, pairing.scene
        segmenter, marks = self._context.segmenter, _parting(scene, plane)
        if state.scheme == "classes":
            state.message = _BY_CLASS
            return
        if segmenter is None or segmenter.card.encoding == "image":
            state.message = "This needs a model that takes clicks; choose one under “Model”."
            return
        if layer is None or len(marks) < 2:
            state.message = _TWO_CLICKS
            return
        labels: Any = full_resolution(layer)
        clicks = [click for mark in marks if (click := mark.gesture(plane)) is not None]
        session_of = self._answers.opener(pairing, plane)
        state.message = "Splitting …"

        def work(stop: Stop) -> _Divided:
            value, patch = _object_under(labels, plane, clicks)
            places = [(click.y, click.x) for click in clicks]
            parts = divided_in(session_of(), patch, places, stop=stop)
            return _divided(plane, value, parts, scene.next_id)

        def done(made: _Divided) -> None:
            self._divide(pairing, plane, marks, made)

        self._changes.submit(pairing, work, done, lambda: self._split(pairing, plane))

    def _divide(
        self, pairing: Pairing, plane: Plane, marks: Sequence[Mark], made: _Divided
    ) -> None:
        """Put the parts in the place of the object."""
        scene, segmenter = pairing.scene, self._context.segmenter
        same = [one for one in scene.objects if (one.plane, one.value) == (plane, made.value)]
        editing = scene.draft(plane).editing
        known = [*same, *([editing] if editing is not None else [])]
        settled = [mark for one in known[:1] for mark in one.marks if mark not in marks]
        class_id = self._class_of(pairing, plane, made.value)
        biggest = made.ids.index(made.value)
        new = []
        for k, (part, value) in enumerate(zip(made.parts, made.ids, strict=True)):
            kept = [m for m in settled if m.positive or k == biggest]
            kept = [m for m in kept if holds(m, plane, part.patch)]
            others = [m.gesture(plane) for n, m in enumerate(marks) if n != k]
            kept += [marks[k]] + [
                pairing.mark_of(plane, replace(click, positive=False))
                for click in others
                if click is not None
            ]
            kept.sort(key=lambda mark: mark.key)
            name = segmenter.card.name if segmenter is not None else ""
            note = ObjectNote(score=round(part.score, 4), clicks=len(kept), model=name)
            new.append(Accepted(plane, value, tuple(kept), part.patch, class_id, note))
        objects = tuple(one for one in scene.objects if one not in same)
        after = replace(scene.with_draft(plane, None), objects=(*objects, *new))
        after = after.used(max(made.ids))
        ids = ", ".join(map(str, made.ids))
        said = f"Object {made.value} is {len(new)} objects now: {ids}. Undo makes it one again."
        self._changes.carry_out(pairing, plane, SceneChange(after, (made.write,)), said)

    def _class_of(self, pairing: Pairing, plane: Plane, value: int) -> int:
        """Return the class of an object; of one that is taken up it is the one that is chosen."""
        chosen = self._state.current_class.identifier
        if pairing.scene.draft(plane).editing is not None:
            return chosen
        return self._identity.classes_on(pairing, plane).get(value, chosen)


def _parting(scene: Scene, plane: Plane) -> list[Mark]:
    """Return the clicks that say where the parts of an object are.

    They are the positive ones that were made since it was taken up. Where that is one alone, the
    one of those it was made with that is farthest away goes with it; where it is none, all do.
    """
    marks, settled = scene.on(plane), scene.draft(plane).settled
    n = len(settled) if marks[: len(settled)] == settled else 0
    old, new = (
        [m for m in part if isinstance(m, Mark) and m.positive and m.gesture(plane) is not None]
        for part in (marks[:n], marks[n:])
    )
    if len(new) == 1 and old:
        old = [max(old, key=lambda mark: math.dist(mark.position, new[0].position))]
    return new if len(new) > 1 else [*old, *new]


def _object_under(labels: Any, plane: Plane, clicks: Sequence[Click]) -> tuple[int, Patch]:
    """Return the id and the mask of the object that all clicks lie on. Runs on a worker thread.

    Raises
    ------
    ValueError
        If there is none.
    """
    values = np.asarray(labels[plane.key(slice(None), slice(None))])
    ids = {int(values[click.pixel]) for click in clicks}
    if len(ids) != 1 or 0 in ids:
        raise ValueError(
            "The clicks to split by have to lie on one object of the annotation; Shift + click on "
            "it first, then click on each of its parts."
        )
    (value,) = ids
    return value, Patch.of(values == value)


def _regions(labels: Any, plane: Plane, ids: Sequence[int]) -> ObjectRegions:
    values = np.asarray(labels[plane.key(slice(None), slice(None))])
    return objects_of(values, ids=ids)


def _divided(plane: Plane, value: int, parts: tuple[DividedPart, ...], next_id: int) -> _Divided:
    """Give the largest part the object's id, and the others new ones, in the clicks' order."""
    areas = [int(one.patch.mask.sum()) for one in parts]
    biggest = areas.index(max(areas))
    first = max(next_id, value + 1)
    others = iter(range(first, first + len(parts)))
    ids = tuple(value if k == biggest else next(others) for k in range(len(parts)))
    places = [np.nonzero(one.patch.mask) for one in parts]
    moved = [k for k in range(len(parts)) if k != biggest]
    rows = np.concatenate([places[k][0] + parts[k].patch.box.top for k in moved])
    columns = np.concatenate([places[k][1] + parts[k].patch.box.left for k in moved])
    new = np.repeat([ids[k] for k in moved], [areas[k] for k in moved])
    return _Divided(
        value, parts, ids, LabelWrite.at(plane, rows, columns, np.full_like(new, value), new)
    )
