"""Ids and classes: which are free, which the user chose, and keeping them with the layer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap
from psygnal import Signal

from napari_clickseg._napari.annotate.state import ClassSpec
from napari_clickseg._napari.viewer.colours import (
    BY_SCORE,
    colour_of,
    object_colours,
    same_colours,
    score_colours,
)
from napari_clickseg._napari.viewer.features import saved_notes, show_features
from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg._napari.viewer.metadata import (
    CLASSES_KEY,
    ObjectClasses,
    listed_classes,
    saved_object_classes,
)
from napari_clickseg.data.classes import ProjectClass, ProjectClasses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Labels

    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.object_table import ObjectFacts
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.journal.scene import Scene

_BLOCK = 1 << 24  # pixels looked through at a time; clicks are answered between


class Identity:
    """Keeps ids and classes, with the annotation layer, too."""

    surveyed = Signal()  # it is known which ids are free
    saved = Signal(object)  # what is known of the objects of this pairing

    def __init__(self, context: Context, status: Status) -> None:
        self._context, self._state, self._status = context, context.state, status

    # ---- choices of the user

    def id_chosen(self, value: int) -> None:
        """Take over the id that the user chose for the current object."""
        pairing, plane = self._context.pairing, self._context.plane
        if pairing is None:
            return
        scene = pairing.scene
        draft = scene.draft(plane) if plane is not None else None
        if value == (scene.value(plane) if plane is not None else scene.object_id):
            return  # nobody chose it: it is what the counts show
        if draft is not None and draft.editing is not None:
            self._state.message = "An object keeps its id while it is corrected."
        elif draft is not None and plane is not None and draft.value is not None:
            draft = replace(draft, value=max(1, value))
            pairing.scene = scene.with_draft(plane, draft, scene.on(plane))
        else:
            pairing.scene = replace(scene, object_id=max(1, value))
        self._status.show_counts()

    def choose_class(self, identifier: int) -> None:
        """Make the class of an id the current one, if there is one."""
        for index, spec in enumerate(self._state.classes):
            if spec.identifier == identifier:
                self._state.class_index = index

    def add_class(self, name: str, colour: str | None = None) -> None:
        """Add a class with the next free id and make it the current one."""
        state = self._state
        identifier = max((spec.identifier for spec in state.classes), default=0) + 1
        colour = colour or colour_of(identifier)
        state.classes = (*state.classes, ClassSpec(identifier, name, colour))
        state.class_index = len(state.classes) - 1

    def rename_class(self, index: int, name: str, colour: str) -> None:
        """Give a class another name and colour; its id stays."""
        classes = list(self._state.classes)
        classes[index] = ClassSpec(classes[index].identifier, name, colour)
        self._state.classes = tuple(classes)

    def remove_class(self, index: int) -> None:
        """Remove a class from the list; what is labelled with it stays. One class remains."""
        state = self._state
        if len(state.classes) == 1:
            state.message = "One class has to remain; rename it instead."
            return
        kept = state.classes[:index] + state.classes[index + 1 :]
        current = state.current_class
        state.class_index = kept.index(current) if current in kept else 0
        state.classes = kept

    # ---- with the layer

    def save(self) -> None:
        """Keep scheme, classes and each object's class with the current annotation layer."""
        if self._context.pairing is not None:
            self.save_with(self._context.pairing)

    def classes_on(self, pairing: Pairing, plane: Plane) -> dict[int, int]:
        """Return the class of each object on a plane."""
        return _facts(pairing).classes.on(plane.index)

    def save_with(self, pairing: Pairing) -> None:
        """Keep scheme, classes and each object's class with the annotation layer."""
        state, layer = self._state, pairing.annotation
        if layer is None:
            return
        layer.metadata[CLASSES_KEY] = {
            "scheme": state.scheme,
            "classes": [
                {"id": c.identifier, "name": c.name, "colour": c.colour} for c in state.classes
            ],
        } | _facts(pairing).metadata
        layer.metadata.update(_facts(pairing).notes_metadata)
        of_ids, notes = _facts(pairing).classes.of_ids, _facts(pairing).notes
        show_features(layer, listed_classes(layer), of_ids, notes, self._later)
        self._colour(pairing, layer)
        self.saved.emit(pairing)

    def ahead(self, pairing: Pairing) -> Callable[[Scene], None]:
        """Return what works out beforehand, on any thread, what `save_with` needs of a scene."""
        facts, before = pairing.facts, pairing.colours_before
        earlier, notes = pairing.earlier_classes, pairing.earlier_notes
        classes = {one.identifier: one.colour for one in self._state.classes}

        def work_out(scene: Scene) -> None:
            known = facts.of(earlier, notes, scene.objects).work_out()
            object_colours(classes, known.classes.of_ids, before, scene.next_id - 1)

        return work_out

    def show_colours(self) -> None:
        """Colour the objects of all images as the state says."""
        for pairing in self._context.pairings.values():
            if pairing.annotation is not None:
                self._colour(pairing, pairing.annotation)

    def _later(self, make: Callable[[], Any], show: Callable[[Any], None]) -> None:
        """Have a table made on the worker thread; of several only the latest."""
        self._context.runner.submit("table", lambda _: make(), show, self._status.report)

    def _colour(self, pairing: Pairing, layer: Labels) -> None:
        """Give objects shades of their class's colour, or ids that of the class that they are."""
        state = self._state
        if state.by_score and state.scheme == "instances":
            scored = score_colours(
                {i: n.score for i, n in _facts(pairing).notes.items() if n.score is not None}
            )
            if not same_colours(layer.colormap, scored):
                layer.colormap = scored
            return
        if pairing.under_review:  # whose colours are not ours
            if layer.colormap.name == BY_SCORE:
                layer.colormap = pairing.colours_before
            return
        known = _facts(pairing).classes.of_ids
        if not known and not isinstance(layer.colormap, CyclicLabelColormap):
            return  # somebody's own
        class_of = {pairing.scene.object_id: state.current_class.identifier, **known}
        classes = {one.identifier: one.colour for one in state.classes}
        if state.scheme == "classes":
            colours = pairing.class_colours(state)
        else:
            largest = pairing.scene.next_id - 1
            colours = object_colours(classes, class_of, pairing.colours_before, largest)
        if not same_colours(layer.colormap, colours):
            layer.colormap = colours

    def restore(self, pairing: Pairing) -> None:
        """Take over what an annotation layer was saved with, if it was."""
        state, layer = self._state, pairing.annotation
        saved = layer.metadata.get(CLASSES_KEY) if layer is not None else None
        if layer is None or not isinstance(saved, dict):
            return
        try:
            classes = tuple(
                ClassSpec(int(c["id"]), str(c["name"]), str(c["colour"])) for c in saved["classes"]
            )
            scheme = saved["scheme"]
        except (AttributeError, KeyError, TypeError, ValueError):
            return
        if pairing.earlier_classes is None:
            pairing.earlier_classes = saved_object_classes(layer)
            pairing.earlier_notes = saved_notes(layer.metadata)
        if not classes or scheme not in ("instances", "classes"):
            return
        if (classes, scheme) != (state.classes, state.scheme):
            state.class_index = 0
            state.classes, state.scheme = classes, scheme

    # ---- free ids

    def survey(self, pairing: Pairing) -> None:
        """Find the first id that nothing in the annotation layer has, in the background."""
        if pairing.annotation is not None:
            layer = pairing.annotation
            data = full_resolution(layer)
            shape = tuple(int(n) for n in data.shape)
            self._survey_on(pairing, layer, (data[key] for key in _blocks(shape)))

    def painted(self, pairing: Pairing, value: int) -> None:
        """Note that the user painted with an id: it is an object of the class that is chosen."""
        step = pairing.timeline.last
        if step is not None and step.before.next_id < step.after.next_id:
            self._colour_all(pairing)
        own = pairing.scene.object_id == value
        begins = own and pairing.painting != value  # the strokes after it say nothing new
        if begins and value not in _facts(pairing).classes.of_ids:
            pairing.painting = value
            if self.class_painted():
                self.save_with(pairing)
        self._show_counts(pairing)

    def class_painted(self) -> bool:
        """Note the class that is chosen as that of what is being painted; whether it is new."""
        pairing, plane = self._context.pairing, self._context.plane
        if pairing is None or plane is None or self._state.scheme == "classes":
            return False
        value, chosen = pairing.scene.object_id, self._state.current_class.identifier
        if (
            pairing.painting != value
            or _facts(pairing).classes.on(plane.index).get(value) == chosen
        ):
            return False
        earlier = pairing.earlier_classes or ObjectClasses()
        pairing.earlier_classes = earlier.with_objects([(plane.index, value, chosen)])
        return True

    def _survey_on(self, pairing: Pairing, layer: Labels, blocks: Iterator[Any]) -> None:
        """Look through the next block, and then through the ones after it."""

        def work(_: Stop) -> int | None:
            block = next(blocks, None)
            return None if block is None else int(np.asarray(block).max(initial=0))

        def done(largest: int | None) -> None:
            if largest is None or layer != pairing.annotation:
                self.surveyed.emit()
                return
            self._number_from(pairing, largest + 1)
            self._survey_on(pairing, layer, blocks)

        self._context.runner.submit(pairing.survey, work, done, self._status.report)

    def _number_from(self, pairing: Pairing, least: int) -> None:
        if least <= pairing.scene.next_id:
            return
        pairing.scene = pairing.scene.numbered_from(least)
        pairing.timeline.revise(lambda scene: scene.numbered_from(least))
        self._colour_all(pairing)
        self._show_counts(pairing)

    def _colour_all(self, pairing: Pairing) -> None:
        """Colour the ids that were not known of so far, too: they look as they did."""
        if pairing.annotation is not None and self._state.scheme == "instances":
            self._colour(pairing, pairing.annotation)

    def _show_counts(self, pairing: Pairing) -> None:
        if pairing is self._context.pairing:
            self._status.show_counts()


def _facts(pairing: Pairing) -> ObjectFacts:
    """Return what is known of the objects in a pairing, what was there before included."""
    return pairing.facts.of(pairing.earlier_classes, pairing.earlier_notes, pairing.scene.objects)


def classes_of(state: AnnotateState) -> ProjectClasses:
    """Return what ids mean by now."""
    listed = [
        ProjectClass(id=c.identifier, name=c.name or str(c.identifier), colour=c.colour)
        for c in state.classes
    ]
    return ProjectClasses(scheme=state.scheme, classes=tuple(listed))


def _blocks(shape: tuple[int, ...], key: tuple[slice, ...] = ()) -> Iterator[tuple[slice, ...]]:
    """Yield indices that cut an array into blocks of at most so many pixels."""
    axis = len(key)
    if math.prod(shape[axis:]) <= _BLOCK:
        yield key or (slice(None),)
        return
    rest = math.prod(shape[axis + 1 :])
    thick = max(1, _BLOCK // rest)
    for start in range(0, shape[axis], thick):
        part = (*key, slice(start, start + thick))
        if rest <= _BLOCK:
            yield part
        else:
            yield from _blocks(shape, part)
