"""The list of the objects on the displayed plane: kept up, gone through, changed."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.annotate.lines import NO_EDGES, Edges, mask_outline
from napari_clickseg._napari.annotate.listing.several_objects import (
    Chosen,
    deleted,
    given_class,
    made_one,
)
from napari_clickseg._napari.annotate.object_table import (
    NO_OBJECTS,
    KnownObjects,
    ObjectTable,
    table_of,
)
from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg._napari.viewer.writes import LabelWrite, writes_of
from napari_clickseg.core.instances.counting import ObjectRegions, objects_of, pieces_of
from napari_clickseg.engine.segmenter import Superseded
from napari_clickseg.journal.scene import Scene
from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.listing.scene_changes import SceneChanges
    from napari_clickseg._napari.annotate.listing.several_objects import SceneChange
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg._napari.viewer.writes import Write
    from napari_clickseg.core.plane import Plane

_COUNT, _OUTLINE = "count", "outline"
_LARGEST = 8192 * 8192  # pixels of a plane whose objects are listed
_OUTLINED = 1000  # objects that are outlined at the most
_SMALL, _MADE, _ROOM = 24.0, 80.0, 0.9  # screen pixels; share of the canvas


class ObjectList:
    """Lists the objects of the displayed plane while somebody looks at the list.

    What is written into the annotation is counted anew where it is, by a worker of its own, as
    clicks must not wait for it.

    Parameters
    ----------
    notify : callable
        Called on the worker thread when results wait.
    """

    def __init__(
        self,
        context: Context,
        status: Status,
        answers: Answers,
        changes: SceneChanges,
        notify: Callable[[], None],
    ) -> None:
        self._context, self._state, self._status = context, context.state, status
        self._answers, self._changes = answers, changes
        self._runner = Runner(notify, Superseded)
        self._counted: tuple[Any, ...] | None = None  # what the regions are of
        self._regions = ObjectRegions.none()
        self._written: list[Write] = []  # and is not counted yet

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self._runner.deliver()

    def close(self) -> None:
        """End the worker."""
        self._runner.close()

    @property
    def idle(self) -> bool:
        """Whether the list shows what there is."""
        return self._runner.idle

    def when_counted(self, act: Callable[[], object]) -> None:
        """Have something done, on the main thread, when all that is written by now is listed."""
        self._runner.post(act)

    # ---- kept up

    def refresh(self) -> None:
        """List what the displayed plane has now."""
        state, context = self._state, self._context
        pairing, plane = context.pairing, context.plane
        layer = None if pairing is None else pairing.annotation
        if not state.listing or pairing is None or plane is None or layer is None:
            self._show_none("")
            return
        if math.prod(plane.shape) > _LARGEST:
            self._show_none("This plane is too large for a list of its objects.")
            return
        labels: Any = full_resolution(layer)
        by_class = state.scheme == "classes"
        of = (pairing, plane, layer, id(labels), by_class)
        if of != self._counted:
            self._counted, self._written = None, []
        before = None if self._counted is None or by_class else self._regions
        written = tuple(self._written)
        known = KnownObjects(
            plane, pairing.scene.objects, pairing.earlier_classes, pairing.earlier_notes, by_class
        )

        def work(_: Stop) -> tuple[ObjectRegions, ObjectTable]:
            regions = _counted(labels, plane, before, written, by_class=by_class)
            return regions, table_of(regions, known)

        def done(listed: tuple[ObjectRegions, ObjectTable]) -> None:
            self._counted, self._regions = of, listed[0]
            del self._written[: len(written)]
            self._show(listed[1])

        self._runner.submit(_COUNT, work, done, self._status.report)

    def written(self, pairing: Pairing, writes: Sequence[Write]) -> None:
        """Note what changed in an annotation, and count that anew."""
        if self._state.listing and pairing is self._context.pairing:
            self._written += writes
            self.refresh()

    def relabelled(self, pairing: Pairing) -> None:
        """Count everything anew: the annotation got other data."""
        if pairing is self._context.pairing:
            self._counted = None
            self.refresh()

    def known(self, pairing: Pairing) -> None:
        """List what became known of objects, as their classes."""
        if self._state.listing and pairing is self._context.pairing:
            self.refresh()

    def _show_none(self, why: str) -> None:
        self._runner.cancel(_COUNT)
        self._counted, self._written, self._regions = None, [], ObjectRegions.none()
        self._show(NO_OBJECTS)
        self._state.not_listed = why

    def _show(self, table: ObjectTable) -> None:
        state = self._state
        if len(table) or len(state.objects):
            state.objects = table
        state.not_listed = ""
        keys = table.regions.keys
        kept = np.asarray(state.picked, np.int64)
        state.picked = tuple(kept[np.isin(kept, keys)].tolist())
        self._outline()

    # ---- gone through

    def pick(self, keys: Sequence[int]) -> None:
        """Choose objects; a single one is gone to."""
        self._state.picked = tuple(keys)
        if len(keys) == 1:
            self.go_to(keys[0])
        self._outline()

    def go_to(self, key: int) -> None:
        """Centre the view on an object; small and large ones are brought to a size to be seen."""
        pairing, plane = self._context.resolve()
        row = self._state.objects.regions.rows_of([key])
        if pairing is None or plane is None or not len(row):
            return
        viewer = self._context.viewer
        top, left, bottom, right = self._state.objects.regions.boxes[row[0]].tolist()
        image, axes = pairing.image, [n - viewer.dims.ndim for n in viewer.dims.displayed]
        ends = [
            np.asarray(image.data_to_world(plane.position(*at)))[axes]
            for at in ((top - 0.5, left - 0.5), (bottom - 0.5, right - 0.5))
        ]
        camera = viewer.scene.camera
        camera.center = (camera.center[0], *((ends[0] + ends[1]) / 2))
        long = float(np.abs(ends[1] - ends[0]).max())
        size = getattr(viewer.canvas, "size", None) or (600, 600)
        if long * camera.zoom < _SMALL:
            camera.zoom = _MADE / long
        elif long * camera.zoom > _ROOM * min(size):
            camera.zoom = _ROOM / 2 * min(size) / long

    def _outline(self) -> None:
        state, plane = self._state, self._context.plane
        layer = state.annotation
        rows = state.objects.regions.rows_of(state.picked[:_OUTLINED])
        if plane is None or layer is None or not len(rows):
            self._runner.cancel(_OUTLINE)
            state.picked_edges = NO_EDGES
            return
        labels: Any = full_resolution(layer)
        regions, by_class = state.objects.regions.having(rows), state.scheme == "classes"

        def work(stop: Stop) -> Edges:
            return _edges(labels, plane, regions, by_class, stop)

        def done(edges: Edges) -> None:
            if plane == self._context.plane:
                state.picked_edges = edges

        self._runner.submit(_OUTLINE, work, done, self._status.report)

    # ---- changed

    def give_class(self, index: int) -> None:
        """Give what is picked the class at an index."""
        spec = self._state.classes[index]
        self._change(
            partial(given_class, class_id=spec.identifier),
            lambda chosen: f"{_named(chosen)} of class “{spec.name}” now.",
        )

    def delete(self) -> None:
        """Take what is picked out of the annotation."""
        self._change(
            deleted, lambda chosen: f"{_named(chosen)} deleted; undo brings them back.", gone=True
        )

    def merge(self) -> None:
        """Make one object of what is picked; it has the class of the largest."""
        state = self._state
        rows = state.objects.regions.rows_of(state.picked)
        if state.scheme == "classes":
            state.message = "Ids are classes here: pieces that touch are one already."
            return
        if len(rows) < 2:
            state.message = "Choose two objects or more in the list to merge them."
            return
        areas, classes = state.objects.regions.areas[rows], state.objects.classes[rows]
        known = classes[classes > 0]
        own = state.current_class.identifier
        if len(known):
            own = int(classes[np.where(classes > 0, areas, 0).argmax()])
        named = {one.identifier: one.name for one in state.classes}
        said = f" Its class is “{named.get(own, own)}”." if len(set(classes.tolist())) > 1 else ""

        def told(chosen: Chosen) -> str:
            value = int(chosen.ids.min())
            return f"{counted(len(rows), 'object')} are one now: {value}.{said} Undo parts them."

        self._change(partial(made_one, class_id=own), told)

    def _change(
        self,
        change: Callable[[Chosen], SceneChange],
        said: Callable[[Chosen], str],
        *,
        gone: bool = False,
    ) -> None:
        pairing, plane = self._context.resolve()
        picked = self._state.picked
        if pairing is None or plane is None or not picked:
            self._state.message = "Choose objects in the list first."
            return
        self._answers.in_turn(pairing, lambda: self._begin(pairing, plane, picked, change, said))

    def _begin(
        self,
        pairing: Pairing,
        plane: Plane,
        picked: tuple[int, ...],
        change: Callable[[Chosen], SceneChange],
        said: Callable[[Chosen], str],
    ) -> None:
        """Work a change out, after what was done before; and do it."""
        layer, by_class = pairing.annotation, self._state.scheme == "classes"
        if layer is None:
            return
        labels, scene, notes = full_resolution(layer), pairing.scene, pairing.earlier_notes
        ready = self._changes.working_out(pairing)

        def work(_: Stop) -> tuple[Chosen, SceneChange] | None:
            regions = _regions_of(labels, plane, by_class=by_class)
            regions = regions.having(regions.rows_of(picked))
            if not len(regions):
                return None
            chosen = Chosen(plane, labels, regions, scene, by_class, notes)
            return chosen, ready(change(chosen))

        def done(planned: tuple[Chosen, SceneChange] | None) -> None:
            if planned is not None:
                self._changes.carry_out(pairing, plane, planned[1], said(planned[0]))

        self._changes.submit(
            pairing, work, done, lambda: self._begin(pairing, plane, picked, change, said)
        )


def _regions_of(labels: Any, plane: Plane, *, by_class: bool) -> ObjectRegions:
    """Find everything on a plane."""
    values = np.asarray(labels[plane.key(slice(None), slice(None))])
    return pieces_of(values) if by_class else objects_of(values)


def _counted(
    labels: Any,
    plane: Plane,
    before: ObjectRegions | None,
    written: Sequence[Write],
    *,
    by_class: bool,
) -> ObjectRegions:
    """Count what was written since, or everything. Runs on a worker thread."""
    if before is None:
        return _regions_of(labels, plane, by_class=by_class)
    parts = [part for one in written for part in _on_plane(one, labels.shape, plane)]
    parts = [part for part in parts if part.box]
    if not parts:
        return before
    ids = np.unique(np.concatenate([ids for part in parts for ids in (part.before, part.after)]))
    ids = ids[ids > 0]
    boxes = before.boxes[np.isin(before.ids, ids)]
    changed = [(box.top, box.left, box.bottom, box.right) for box in (p.box for p in parts)]
    edges = np.concatenate([boxes, changed])
    top, left = (int(n) for n in edges[:, :2].min(axis=0))
    bottom, right = (int(n) for n in edges[:, 2:].max(axis=0))
    values = np.asarray(labels[plane.key(slice(top, bottom), slice(left, right))])
    return before.instead(ids, objects_of(values, corner=(top, left), ids=ids))


def _on_plane(write: Write, shape: tuple[int, ...], plane: Plane) -> list[LabelWrite]:
    if not write.touches(plane):
        return []
    if isinstance(write, LabelWrite):
        return [write]
    every = write.relabellings(shape)
    writes = (one for part in every for one in writes_of(part, shape, plane.axes))
    return [one for one in writes if one.plane == plane]


def _edges(labels: Any, plane: Plane, regions: ObjectRegions, by_class: bool, stop: Stop) -> Edges:
    """Return the edges of objects. Runs on a worker thread."""
    ends = []
    for n in range(len(regions)):
        if stop():
            raise Superseded
        one = regions.having(np.array([n]))
        part = Chosen(plane, labels, one, Scene(), by_class).read()
        ends.append(mask_outline(part.chosen, part.box).ends)
    return Edges(np.concatenate(ends))


def _named(chosen: Chosen) -> str:
    n = len(chosen.regions)
    return f"Object {int(chosen.ids[0])} is" if n == 1 else f"{n} objects are"
