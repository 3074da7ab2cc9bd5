"""Objects of the annotation layer: accepting them, skipping, and taking them up again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_clickseg._napari.annotate.listing.several_objects import holds
from napari_clickseg._napari.viewer.layers import (
    check_companion,
    companion_transform,
    corner_shift,
    drawn_alike,
    full_resolution,
    unwrapped,
)
from napari_clickseg._napari.viewer.planes import displayed_plane, lies_in
from napari_clickseg._napari.viewer.writes import (
    AnnotationError,
    LabelWrite,
    check_writable,
    read_labels,
    written_region,
)
from napari_clickseg.core.clicks import Click
from napari_clickseg.core.masks import plan_commit, region_of
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.journal.scene import Accepted, Draft, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import Choice
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.engine.segmenter import Prediction
    from napari_clickseg.journal.scene import AnyMark

_SEARCHED = 4096  # side of the part of a huge plane in which a region is looked for


@dataclass(frozen=True, slots=True)
class _Region:
    """A region: its id, its pixels, the accepted object that it is, if it is one, and its layer."""

    value: int
    patch: Patch | None
    known: Accepted | None
    source: _Source | None


@dataclass(frozen=True, eq=False, slots=True)
class _Source:
    """A labels layer that a region may be taken from.

    Parameters
    ----------
    data : array
        Its finest level.
    plane : Plane
        That lies on the plane of the image.
    own : bool
        It is the annotation.
    """

    layer: Labels
    data: Any
    plane: Plane
    own: bool

    def region_at(
        self, pixel: tuple[int, int], scene: Scene, plane: Plane, *, by_class: bool
    ) -> _Region:
        """Read the region that holds a pixel; runs on the worker thread."""
        value, connected = int(self._read(*pixel)), self.own and by_class
        if value == 0:
            return _Region(0, None, None, self)
        known = scene.object_at(plane, value, pixel) if self.own else None
        if known is not None and connected:
            mask = (self._read(*known.patch.box.slices) == value) & known.patch.mask
            corner = known.patch.box.top, known.patch.box.left
            return _Region(value, Patch.of(mask, offset=corner), known, self)
        box = _around(pixel, self.plane.shape)
        inside = (pixel[0] - box.top, pixel[1] - box.left)
        patch = region_of(self._read(*box.slices), inside, connected=connected)
        moved = patch and Patch(patch.box.shift(box.top, box.left), patch.mask)
        return _Region(value, moved, known, self)

    def _read(self, rows: Any, columns: Any) -> npt.NDArray[Any]:
        return np.asarray(self.data[self.plane.key(rows, columns)])


class Objects:
    """Accepts, skips, deletes and takes up whole objects."""

    def __init__(
        self, context: Context, status: Status, identity: Identity, answers: Answers
    ) -> None:
        self._context, self._state, self._status = context, context.state, status
        self._identity, self._answers = identity, answers

    def accept(self, pairing: Pairing, plane: Plane, choice: Choice) -> bool:
        """Write the shown mask into the annotation layer and begin the next object."""
        if pairing.scene.in_use and pairing.display.prediction is None:
            self._finish_painted(pairing, plane, choice)
            return True
        done = self.written(pairing, plane, choice)
        if done is None:
            return False
        scene, write = done
        pairing.step(scene, plane, (write,))
        self.accepted(pairing)
        return True

    def _finish_painted(self, pairing: Pairing, plane: Plane, choice: Choice) -> None:
        """Go on to the next object: what the brush made of this one is in the labels already."""
        scene, layer = pairing.scene, pairing.annotation
        value, strokes = scene.object_id, pairing.timeline.writes
        if layer is None:
            return
        data: Any = full_resolution(layer)

        def done(patch: Patch | None) -> None:
            after = pairing.scene.used(value)
            known = any((o.plane, o.value) == (plane, value) for o in scene.objects)
            if patch is not None and not known:
                new = Accepted(plane, value, (), patch, choice.spec.identifier)
                after = after.with_object(new, None)
            pairing.step(after, plane)
            self.accepted(pairing)
            self._state.message = f"Object {value} is what you painted."

        self._context.runner.submit(
            "take_up",
            lambda _: written_region(data, plane, value, strokes),
            done,
            self._answers.failed,
        )

    def written(
        self, pairing: Pairing, plane: Plane, choice: Choice
    ) -> tuple[Scene, LabelWrite] | None:
        """Write the shown mask, and return the scene after it; None where that can't be done."""
        prediction, state = pairing.display.prediction, self._state
        if prediction is None or not prediction.mask_part.any():
            state.message = "There is no mask to accept yet; click on an object first."
            return None
        try:
            choice = self.of_taken_up(pairing, plane) or choice
            value = pairing.scene.value(plane, choice.class_id)
            scene, write = self.plan(pairing, plane, prediction, pairing.scene, value, choice)
            pairing.write(write)
        except ValueError as error:
            state.message = str(error)
            return None
        return scene, write

    def accepted(self, pairing: Pairing) -> None:
        """Show that an object was accepted."""
        pairing.display.show_nothing()
        self._identity.save_with(pairing)
        self._state.message = ""
        self._answers.request()

    def of_taken_up(self, pairing: Pairing, plane: Plane) -> Choice | None:
        """Return what the object that is being corrected becomes; None where none is.

        Taking it up chose its class, which may have been after the user asked for this.
        """
        editing = pairing.scene.draft(plane).editing
        return None if editing is None else self._state.choice

    def plan(
        self,
        pairing: Pairing,
        plane: Plane,
        prediction: Prediction,
        scene: Scene,
        value: int,
        choice: Choice,
    ) -> tuple[Scene, LabelWrite]:
        """Work out what accepting a prediction writes, and the scene after it.

        Raises
        ------
        ValueError
            If the annotation layer can't take it, or nothing of the mask would be left.
        """
        layer = pairing.annotation
        if layer is None:
            raise AnnotationError(
                "The annotation layer was removed; press “Annotate this image” to have a new one."
            )
        check_companion(layer, pairing.image, pairing.channel_axis)
        check_writable(layer, value)
        draft, patch = scene.draft(plane), prediction.patch
        earlier = draft.editing.patch if draft.editing is not None else None
        box = patch.box.union(earlier.box) if earlier is not None else patch.box
        labels = read_labels(layer, plane, box)
        changed, values = plan_commit(
            labels,
            patch.cut(box),
            value,
            choice.rule,
            earlier=earlier.cut(box) if earlier is not None else None,
        )
        if not changed.any() and draft.editing is None:
            raise AnnotationError(
                "Every pixel of this mask has a label already; choose 'overwrite' to replace "
                "labels, or skip it."
            )
        kept = Patch.of((values == value) & patch.cut(box), offset=(box.top, box.left))
        class_id = choice.spec.identifier
        note = self._note(prediction, len(scene.on(plane)))
        new = Accepted(plane, value, scene.on(plane), kept, class_id, note)
        after = scene.with_draft(plane, None).with_object(new, draft.editing)
        if draft.editing is None:
            after = after.used(value)
        return after, LabelWrite.of(plane, box, labels, changed, values)

    def _note(self, prediction: Prediction, clicks: int) -> ObjectNote:
        """Return how an object came about: the mask's mean probability, clicks, and the model."""
        segmenter = self._context.segmenter
        inside = prediction.part[prediction.mask_part]
        score = round(float(inside.mean()), 4) if inside.size else None
        name = segmenter.card.name if segmenter is not None else ""
        return ObjectNote(score=score, clicks=clicks, model=name)

    def skip(self, pairing: Pairing, plane: Plane) -> None:
        """Leave the current object as it was and begin the next one."""
        segmenter = self._context.segmenter
        quiet = segmenter is not None and segmenter.card.automatic
        self._drop(pairing, plane, Draft(quiet=quiet))

    def clear(self, pairing: Pairing, plane: Plane) -> None:
        """Remove the clicks and the mask of the current object, but keep its id."""
        draft = pairing.scene.draft(plane)
        self._drop(pairing, plane, Draft(editing=draft.editing, value=draft.value))

    def _drop(self, pairing: Pairing, plane: Plane, draft: Draft) -> None:
        after = pairing.scene.with_draft(plane, draft)
        if after == pairing.scene and not self._context.runner.active("take_up"):
            return  # what changes nothing cancels nothing
        self._answers.forget()
        pairing.step(after, plane)
        self._state.message = ""
        self._answers.request()

    def delete_at(self, pairing: Pairing, plane: Plane, position: Sequence[float]) -> None:
        """Delete the object that is being corrected, or else the one under a world position."""
        if not pairing.scene.prompt(plane):
            self.take_up_at(pairing, plane, position)
        self._answers.in_turn(pairing, lambda: self.delete(pairing, plane))

    def delete(self, pairing: Pairing, plane: Plane) -> None:
        """Take the object that is being corrected out of the annotation layer."""
        state = self._state
        if pairing.annotation is None:
            return
        scene = pairing.scene
        earlier = scene.draft(plane).editing
        if earlier is None:
            if scene.prompt(plane):
                state.message = "This object is not in the annotation layer yet; skip it instead."
            return
        box = earlier.patch.box
        labels = read_labels(pairing.annotation, plane, box)
        changed = (labels == earlier.value) & earlier.patch.cut(box)
        write = LabelWrite.of(plane, box, labels, changed, np.zeros_like(labels))
        objects = tuple(one for one in scene.objects if one is not earlier)
        try:
            pairing.write(write)
        except ValueError as error:
            state.message = str(error)
            return
        after = replace(scene.with_draft(plane, Draft(quiet=True)), objects=objects)
        pairing.step(after, plane, (write,))
        self.accepted(pairing)
        state.message = f"Object {earlier.value} was deleted; undo brings it back."

    # ---- starting from what is there

    def take_up_instead(
        self, pairing: Pairing, plane: Plane, pixel: tuple[int, int], mark: AnyMark | None
    ) -> bool:
        """Begin from the object under the first gesture, if there is one.

        Parameters
        ----------
        pixel : (int, int)
            Row and column of where the gesture began.
        mark : Mark or Drawn, optional
            What it says beside that, as a negative click does: which part of the object is wrong.

        Returns
        -------
        bool
            Whether there is an object.
        """
        layer = pairing.annotation
        if layer is None:
            return False
        row, column = pixel
        if not (read_labels(layer, plane, Box(row, column, 1, 1)) > 0).any():
            return False
        self._take_up(pairing, plane, self._sources(pairing, plane, [layer]), pixel)
        if mark is not None:
            self._answers.in_turn(pairing, lambda: self._add_mark(pairing, plane, mark))
        return True

    def _add_mark(self, pairing: Pairing, plane: Plane, mark: AnyMark) -> None:
        pairing.step(pairing.scene.with_marks([*pairing.scene.marks, mark]), plane)
        self._answers.request()

    def take_up_at(self, pairing: Pairing, plane: Plane, position: Sequence[float]) -> None:
        """Begin from the region under a world position, in its turn."""
        self._answers.in_turn(pairing, lambda: self._take_up_at(pairing, plane, position))

    def _take_up_at(self, pairing: Pairing, plane: Plane, position: Sequence[float]) -> None:
        at = pairing.under(position, plane)
        if at is None:
            self._state.message = "That is outside the image; point at a region on it."
            return
        sources = self._sources(pairing, plane, self._candidates(pairing))
        if sources:
            self._take_up(pairing, plane, sources, Click(*at).pixel)
        else:
            self._state.message = (
                self._elsewhere(pairing, plane) or "There is no labels layer to take a region from."
            )

    def _take_up(
        self,
        pairing: Pairing,
        plane: Plane,
        sources: Sequence[_Source],
        pixel: tuple[int, int],
    ) -> None:
        """Begin from the region that holds a pixel (row, column), of the first that has one."""
        context = self._context
        by_class, scene = self._state.scheme == "classes", pairing.scene

        def work(_: Stop) -> _Region:
            for source in sources:
                region = source.region_at(pixel, scene, plane, by_class=by_class)
                if region.patch:
                    return region
            return _Region(0, None, None, None)

        def done(region: _Region) -> None:
            if pairing is context.pairing and plane == context.plane:
                self._taken(pairing, plane, region)
            self._answers.go_on()

        def failed(error: Exception) -> None:
            self._status.report(error)
            self._answers.go_on()

        context.runner.submit("take_up", work, done, failed)

    def _candidates(self, pairing: Pairing) -> list[Labels]:
        """Return what regions are looked for in: the annotation, the chosen layer, what is seen."""
        context = self._context
        shown = [layer for p in context.pairings.values() for layer in p.display.layers()]
        seen = [
            unwrapped(layer)
            for layer in reversed(list(context.viewer.layers))
            if isinstance(layer, Labels) and layer.visible and layer not in shown
        ]
        first = [pairing.annotation, self._state.region_source]
        return list(dict.fromkeys(unwrapped(x) for x in (*first, *seen) if x is not None))

    def _sources(self, pairing: Pairing, plane: Plane, layers: Sequence[Labels]) -> list[_Source]:
        """Return those layers that lie on the image pixel by pixel, to be read by the worker."""
        return [
            _Source(
                layer,
                full_resolution(layer),
                there,
                pairing.annotation is not None and layer == pairing.annotation,
            )
            for layer in layers
            if (there := self._plane_of(layer, pairing, plane)) is not None
        ]

    def _elsewhere(self, pairing: Pairing, plane: Plane) -> str:
        """Say that the chosen layer can't be a source, if that is so."""
        source = self._state.region_source
        if source is None or self._plane_of(source, pairing, plane) is not None:
            return ""
        return (
            f"The labels layer '{source.name}' does not lie on the image pixel by pixel; choose "
            "one of the same size and place."
        )

    def _plane_of(self, source: Labels, pairing: Pairing, plane: Plane) -> Plane | None:
        """Return the plane of a labels layer that lies on a plane of the image, if it does."""
        dims = self._context.viewer.dims
        own = pairing.annotation is not None and source == pairing.annotation
        # The annotation has the image's planes, unless somebody gave it other data.
        there = plane if own and lies_in(plane, source) else displayed_plane(dims, source)
        if there is None or there.shape != plane.shape:
            return None
        return there if drawn_alike(pairing.image, source, dims) else None

    def _taken(self, pairing: Pairing, plane: Plane, region: _Region) -> None:
        value = region.value
        if not region.patch or region.source is None:
            self._state.message = (
                self._elsewhere(pairing, plane)
                or "There is no region under the pointer; point at a labelled one."
            )
            return
        own = region.source.own
        scene = pairing.scene
        marks = region.known.marks if region.known is not None else ()
        # What was painted since is as the user wants it: clicks that say otherwise are of no use.
        marks = tuple(mark for mark in marks if holds(mark, plane, region.patch))
        draft = Draft(region.patch)
        if own:
            self._choose_class_of(pairing, plane, region)
            class_id = self._state.current_class.identifier
            editing = region.known or Accepted(plane, value, (), region.patch, class_id)
            if editing.patch != region.patch:  # painted on since
                editing = replace(editing, patch=region.patch)
                objects = tuple(editing if o is region.known else o for o in scene.objects)
                scene = replace(scene, objects=objects)
            draft = Draft(region.patch, marks, editing)
        pairing.step(scene.with_draft(plane, draft, marks), plane)
        before = pairing.taken_before(plane)
        self._state.message = (
            f"Objects {before.value} and {value} are taken up: Shift+M merges them; clicks correct "
            f"{value}."
            if before is not None
            else f"Correct object {value} with clicks, then accept it again."
            if own
            else f"Begun from region {value} of '{region.source.layer.name}'; correct it with "
            "clicks, then accept it."
        )
        self._answers.request()

    def _choose_class_of(self, pairing: Pairing, plane: Plane, region: _Region) -> None:
        identity, earlier = self._identity, pairing.earlier_classes
        if self._state.scheme == "classes":
            identity.choose_class(region.value)
        elif region.known is not None:
            identity.choose_class(region.known.class_id)
        elif earlier is not None and region.value in (classes := earlier.on(plane.index)):
            identity.choose_class(classes[region.value])

    # ---- what the model sees

    def show_seen(self, pairing: Pairing, plane: Plane) -> None:
        """Add the plane as the model sees it, as an image layer."""
        if plane.shape[0] * plane.shape[1] > _SEARCHED * _SEARCHED:
            self._state.message = "This image is too large to show as a whole; crop it first."
            return

        session_of = self._answers.opener(pairing, plane)

        def work(_: Stop) -> npt.NDArray[np.float32]:
            return session_of().seen_image()

        def done(seen: npt.NDArray[np.float32]) -> None:
            pairing.add_on_top(_seen_layer(pairing, plane, seen))

        self._context.runner.submit("seen", work, done, self._status.report)


def _seen_layer(pairing: Pairing, plane: Plane, seen: npt.NDArray[np.float32]) -> Image:
    from napari.layers import Image

    image, rgb = pairing.image, seen.shape[2] == 3
    shape = [1] * image.ndim
    shape[plane.axes[0]], shape[plane.axes[1]] = plane.shape
    transform = companion_transform(image, pairing.channel_axis)
    shift = corner_shift(image, plane.axes, plane.position(0, 0))
    transform["translate"] = np.asarray(transform["translate"]) + shift
    return Image(
        seen.reshape(*shape, 3) if rgb else seen.mean(axis=2).reshape(shape),
        rgb=rgb,
        contrast_limits=(0, 1),
        name=f"{image.name} as the model sees it",
        **transform,
    )


def _around(pixel: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Return the part of a plane in which a region is looked for: all of it, unless it is huge."""
    if shape[0] * shape[1] <= _SEARCHED * _SEARCHED:
        return Box(0, 0, *shape)
    half = _SEARCHED // 2
    wanted = Box(pixel[0] - half, pixel[1] - half, _SEARCHED, _SEARCHED)
    return wanted.intersection(Box(0, 0, *shape))
