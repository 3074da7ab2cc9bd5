"""What a model found on a plane: which objects are new, and the step that keeps them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.writes import LabelWrite
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.journal.scene import Accepted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_clickseg.core.plane import Plane
    from napari_clickseg.data.annotations import ObjectNote
    from napari_clickseg.engine.finding import FoundObjects
    from napari_clickseg.journal.scene import Scene

    Step = tuple[Scene, LabelWrite]

_KNOWN = 0.5  # share of an object that is labelled already, from which on it is known
_SHOWN = np.iinfo(np.uint16).max  # ids of the layer that shows them, after which they come again


class NewObject(NamedTuple):
    """An object that is not annotated yet."""

    patch: Patch
    class_id: int | None  # None: the model tells no classes apart
    note: ObjectNote


@dataclass(frozen=True, eq=False, slots=True)
class NewObjects:
    """What a model found beside what is annotated.

    Parameters
    ----------
    known : int
        How many others are annotated already.
    largest : int
        The largest id that is there.
    box : Box
        Of the plane: where they were looked for.
    shown : uint16 (Y, X)
        An id in each pixel of the box that belongs to a new object, to look at.
    scores : mapping of int to float
        How sure the model is of each, by that id.
    """

    objects: tuple[NewObject, ...]
    known: int
    largest: int
    box: Box
    shown: npt.NDArray[np.uint16]
    scores: Mapping[int, float]


def new_objects_of(
    objects: FoundObjects,
    box: Box,
    within: Box,
    labels: npt.NDArray[Any],
    model: str,
    ids: dict[int, int],
) -> NewObjects:
    """Part what is new from what is annotated already. Runs on a worker thread.

    Parameters
    ----------
    objects : FoundObjects
        In the box.
    box : Box
        Of the plane.
    within : Box
        Of the plane: objects that do not lie mostly in it are left out, the others stay whole.
    labels : int (Y, X)
        The ids that the plane has.
    model : str
        What the model is called.
    ids : dict of int to int
        The id of each of its classes, see `engine.finding.class_ids`.
    """
    known, new = 0, []
    notes, there = objects.notes(model, ids), labels[box.slices]
    shown, scores = np.zeros(objects.labels.shape, np.uint16), {}
    wanted = within.shift(-box.top, -box.left)
    for n, part in _boxes(objects.labels):
        mask, inside = objects.labels[part.slices] == n, wanted.intersection(part)
        if (objects.labels[inside.slices] == n).sum() <= mask.sum() / 2:
            continue
        free = mask & (there[part.slices] == 0)
        if free.sum() <= (1 - _KNOWN) * mask.sum():
            known += 1
            continue
        shown[part.slices][free] = seen_as = (n - 1) % _SHOWN + 1
        scores[seen_as] = float(objects.scores[n - 1])
        patch = Patch.of(free, offset=(part.top + box.top, part.left + box.left))
        new.append(NewObject(patch, notes.classes.get(n), notes.objects[n]))
    return NewObjects(tuple(new), known, int(labels.max(initial=0)), box, shown, scores)


def step_of(kept: NewObjects, scene: Scene, plane: Plane, chosen: int, *, by_class: bool) -> Step:
    """Return the scene with all new objects, and the write of them into what is background.

    Parameters
    ----------
    kept : NewObjects
        At least one object is new.
    scene : Scene
        As it is.
    plane : Plane
        Where they lie.
    chosen : int
        The class of those whose class the model does not tell.
    by_class : bool
        Ids are classes.
    """
    first = max(scene.next_id, kept.largest + 1)
    new = []
    for n, one in enumerate(kept.objects):
        class_id = chosen if one.class_id is None else one.class_id
        value = class_id if by_class else first + n
        new.append(Accepted(plane, value, (), one.patch, class_id, one.note))
    after = replace(scene, objects=(*scene.objects, *new))
    return after if by_class else after.used(new[-1].value), _write(plane, new)


def _boxes(labels: npt.NDArray[np.int32]) -> Iterator[tuple[int, Box]]:
    from scipy import ndimage

    for n, place in enumerate(ndimage.find_objects(labels), 1):
        if place is not None:
            rows, columns = place
            yield n, Box.from_edges(rows.start, columns.start, rows.stop, columns.stop)


def _write(plane: Plane, objects: list[Accepted]) -> LabelWrite:
    places = [np.nonzero(one.patch.mask) for one in objects]
    boxes = [one.patch.box for one in objects]
    rows = np.concatenate([at[0] + box.top for at, box in zip(places, boxes, strict=True)])
    columns = np.concatenate([at[1] + box.left for at, box in zip(places, boxes, strict=True)])
    new = np.repeat([one.value for one in objects], [len(at[0]) for at in places])
    return LabelWrite.at(plane, rows, columns, np.zeros_like(new), new)
