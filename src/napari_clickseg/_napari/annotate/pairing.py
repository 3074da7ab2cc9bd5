"""An image with the layers that go with it, and what the user has made on it so far."""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from napari.utils.colormaps import CyclicLabelColormap, label_colormap
from psygnal import Signal

from napari_clickseg._napari.annotate.click_layers import ClickLayers
from napari_clickseg._napari.annotate.display import Display
from napari_clickseg._napari.annotate.object_table import ObjectFactsCache
from napari_clickseg._napari.annotate.painting.pyramid_brush import PyramidBrush
from napari_clickseg._napari.annotate.sessions import SessionMemory
from napari_clickseg._napari.annotate.timeline import Entry, Timeline
from napari_clickseg._napari.viewer.changes import leave
from napari_clickseg._napari.viewer.label_matching import note_image
from napari_clickseg._napari.viewer.layers import (
    TRANSFORMS,
    CompanionError,
    as_positions,
    check_companion,
    click_limits,
    companion_shape,
    data_under,
    follow_transform,
    make_annotation,
    make_points,
    remove_layers,
    step_to,
    unwrapped,
)
from napari_clickseg._napari.viewer.metadata import is_under_review, mark_complete
from napari_clickseg._napari.viewer.one_history import OneHistory
from napari_clickseg._napari.viewer.planes import displayed_plane, walking_axis
from napari_clickseg._napari.viewer.private import unselected
from napari_clickseg._napari.viewer.writes import check_writable, is_writable
from napari_clickseg.core.clicks import Click
from napari_clickseg.journal.scene import Drawn, Scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Points
    from napari.layers.base import Layer

    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg._napari.viewer.metadata import ObjectClasses
    from napari_clickseg._napari.viewer.writes import Write
    from napari_clickseg.core.gestures import Gesture
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.data.annotations import ObjectNote
    from napari_clickseg.journal.scene import Accepted, AnyMark, Mark

_count = itertools.count()
_AT_ONCE = 1 << 16  # pixels that are written in one slot, which takes 5 ms


class PairingEvents:
    """What the user does to the layers of pairings; each signal but the first says to which."""

    before_edit = Signal()  # anything that the user did is going to become a step
    edited = Signal(object, object)  # clicks were, with napari's own tools, on this plane
    image_edited = Signal(object)  # the image's data became others
    contrast_changed = Signal(object)  # its contrast limits did
    reshaped = Signal(object)  # it got another shape: the layers don't fit any more
    painted = Signal(object, int)  # with this id
    tool_refused = Signal(object)  # a tool of napari's was chosen that paints no pyramid
    written = Signal(object, object)  # these writes into the annotation, or they were taken back
    relabelled = Signal(object)  # the annotation layer got other data
    walked = Signal(object, bool)  # napari is asked to undo, or (True) to redo
    completed = Signal(object)  # all its layers are there
    ahead = Signal(object, object)  # this was written, and its step comes later
    complete_said = Signal(object, tuple, bool)  # whether this plane, by position, is complete
    writing = Signal(object)  # more is to be written: `write_next` is to be called soon
    closed = Signal(object)  # it has let go of its layers


@dataclass(frozen=True, eq=False, slots=True)
class _LeftToWrite:
    """A part of what is to be written into an annotation layer; the last one says of what."""

    layer: Labels
    write: Write
    revert: bool
    last_of: tuple[Write, ...] = ()


class Pairing:
    """The layers of one image, held by reference, and the scene on it.

    Parameters
    ----------
    image : Image
        Never changed.
    events : PairingEvents
        Emitted when the user does something to the layers.
    """

    alive: ClassVar[weakref.WeakSet[Pairing]] = weakref.WeakSet()  # not closed yet

    def __init__(
        self, viewer: ViewerModel, image: Image, channel_axis: int | None, events: PairingEvents
    ) -> None:
        self.viewer, self.image, self.channel_axis = viewer, image, channel_axis
        self.annotation: Labels | None = None
        self.display = Display(image, channel_axis, self._put)
        self._clicks = ClickLayers(
            viewer, image, channel_axis, lambda: self.scene.clicks, self._clicks_edited
        )
        self.scene = Scene()
        self.timeline = Timeline()
        self.sessions = SessionMemory()
        self.earlier_classes: ObjectClasses | None = None
        self.earlier_notes: dict[int, ObjectNote] = {}
        self.painting: int | None = None  # the id of the object that is made with the brush
        self.facts = ObjectFactsCache()
        self._colours_before: Any = None  # of the annotation, when it was taken
        self.survey = f"survey {next(_count)}"
        self.events = events
        self._shape = companion_shape(image, channel_axis)
        self._made: list[Layer] = []
        self._beside: list[Layer] = []  # that show the image in another way
        self._history: OneHistory | None = None
        self._brush: PyramidBrush | None = None
        self._writing = False  # we change the annotation layer
        self._unwritten: deque[_LeftToWrite] = deque()  # of the annotation
        for name in TRANSFORMS:
            getattr(image.events, name).connect(self._follow)
        image.events.data.connect(self._image_data_changed)
        image.events.contrast_limits.connect(self._image_contrast_changed)
        self.alive.add(self)

    def complete(
        self,
        state: AnnotateState,
        *,
        annotation: Labels | None = None,
        positive: Points | None = None,
        negative: Points | None = None,
    ) -> None:
        """Take the given layers and make those that are missing.

        Raises
        ------
        CompanionError
            If a given layer can't go with the image; then nothing is changed.
        """
        for layer in (annotation, positive, negative):
            if layer is not None:
                check_companion(layer, self.image, self.channel_axis)
        same = positive is not None and positive == negative
        if same or annotation in self.display.layers():
            raise CompanionError(
                "Positive clicks, negative clicks, the annotation and the prediction each need a "
                "layer of their own; choose other layers or have new ones made."
            )
        self._take_annotation(annotation)
        self.display.make(state)
        self._take_points(negative, False, state.click_size)
        self._take_points(positive, True, state.click_size)
        self.events.completed.emit(self)

    @property
    def positive(self) -> Points | None:
        """The layer of positive clicks."""
        return self._clicks.positive

    @property
    def negative(self) -> Points | None:
        """The layer of negative clicks."""
        return self._clicks.negative

    @property
    def under_review(self) -> bool:
        """Whether the annotation layer holds a prediction that is looked through."""
        return self.annotation is not None and is_under_review(self.annotation)

    @property
    def colours_before(self) -> CyclicLabelColormap:
        """What ids of no class look like in the annotation layer."""
        before = self._colours_before
        return before if isinstance(before, CyclicLabelColormap) else label_colormap()

    def class_colours(self, state: AnnotateState) -> CyclicLabelColormap:
        """Return what ids look like where each is a class."""
        return self.display.class_colours(state)

    def layers(self) -> list[Layer]:
        """Return the layers of the pairing that are there."""
        own = [self.image, self.annotation, self.positive, self.negative]
        there = [layer for layer in own if layer is not None] + self.display.layers()
        return there + [layer for layer in self._beside if layer in self.viewer.layers]

    def forget(self, layer: Layer) -> bool:
        """Let go of a layer that was removed; return whether it was one of ours."""
        self._made = [one for one in self._made if one != layer]
        self._beside = [one for one in self._beside if one != layer]
        if self.annotation is not None and layer == self.annotation:
            self._release_annotation()
        elif self.positive is not None and layer == self.positive:
            self._clicks.release(True)
        elif self.negative is not None and layer == self.negative:
            self._clicks.release(False)
        else:
            return self.display.forget(layer)
        return True

    def leave_annotation(self) -> None:
        """Let go of the annotation layer, so that another one is taken or made."""
        self._release_annotation()

    def close(self) -> None:
        """Let go of all layers; they stay in the viewer."""
        self.finish_writing()
        self.alive.discard(self)
        events = self.image.events
        for name in TRANSFORMS:
            getattr(events, name).disconnect(self._follow)
        events.data.disconnect(self._image_data_changed)
        events.contrast_limits.disconnect(self._image_contrast_changed)
        for positive in (True, False):
            self._clicks.release(positive)
        self._disconnect_annotation()
        self.sessions = SessionMemory()
        self.events.closed.emit(self)

    def discard(self) -> None:
        """Take the prediction out of the viewer, and what was made but never used."""
        gone = self.display.layers()
        if self.untouched and self.scene.next_id == 1:  # else somebody painted
            gone += self._made
        remove_layers(self.viewer, gone)

    def begin_anew(self) -> None:
        """Forget what was made, as the layers are going to show another image of that shape."""
        self.finish_writing()
        self.timeline, self.earlier_classes, self.earlier_notes = Timeline(), None, {}
        self.painting = None
        self.sessions = SessionMemory()
        self.set_scene(Scene())
        self.display.show_nothing()

    @property
    def untouched(self) -> bool:
        """Whether nothing was done that could be undone or redone, and nothing is clicked on."""
        return self.timeline.is_empty and not self.scene.marks

    def take_over(self, scene: Scene, past: Sequence[Entry], future: Sequence[Entry]) -> None:
        """Go on with what was made of the image earlier, and with the steps that led to it."""
        self.timeline.restore(past, future)
        steps = (*past, *future)
        scenes = [scene, *(one for step in steps for one in (step.before, step.after))]
        self._clicks.skip_keys(max((m.key for one in scenes for m in _all_marks(one)), default=0))
        self.set_scene(scene)

    def displayed(self) -> Plane | None:
        """Return the plane of the image that the viewer shows."""
        if self.image not in self.viewer.layers:
            return None
        return displayed_plane(self.viewer.dims, self.image, self.channel_axis)

    def walking_axis(self) -> int | None:
        """Return the axis of a stack that is stepped through; None for a flat image."""
        return walking_axis(self.viewer.dims, self.image, self.channel_axis)

    def go_to(self, plane: Plane) -> None:
        """Have the viewer show a plane of the image."""
        dims = self.viewer.dims
        for axis, value in step_to(self.image, dims, plane.index).items():
            at = axis - (dims.ndim - self.image.ndim)
            if at not in plane.axes and at != self.channel_axis:
                dims.set_point(axis, value)

    def under(self, position: Sequence[float], plane: Plane) -> tuple[float, float] | None:
        """Return y and x of a world position on a plane; None if it is outside the image."""
        at = self.beside(position, plane)
        return at if at is not None and Click(*at).inside(plane.shape) else None

    def beside(self, position: Sequence[float], plane: Plane) -> tuple[float, float] | None:
        """Return y and x of a world position on a plane, also outside the image."""
        inside = data_under(self.image, self.viewer.dims, position)
        return plane.locate(
            [
                float(value) if axis in plane.axes else float(plane.index[axis])
                for axis, value in enumerate(inside)
            ]
        )

    def taken_before(self, plane: Plane) -> Accepted | None:
        """Return the object that was taken up just before the one that is being corrected.

        None where something was done in between, or since.
        """
        last, now = self.timeline.last, self.scene.draft(plane).editing
        if last is None or now is None or last.after.draft(plane).editing != now:
            return None
        before = last.before.draft(plane).editing
        return before if before is not None and before.value != now.value else None

    # ---- the scene

    def step(
        self,
        after: Scene,
        plane: Plane | None,
        writes: tuple[Write, ...] = (),
        end: Plane | None = None,
    ) -> None:
        """Make `after` the scene, as a step that can be undone, and show its clicks."""
        if after == self.scene and not writes:
            return
        self.events.before_edit.emit()
        self.timeline.add(Entry(self.scene, after, plane, writes, end))
        self.set_scene(after)

    def write(self, *writes: Write, revert: bool = False) -> None:
        """Write into the annotation layer, or take back what was written.

        Raises
        ------
        AnnotationError
            If the annotation layer can't take it.
        """
        self.write_in_parts(*writes, revert=revert)
        self.finish_writing()

    def write_in_parts(self, *writes: Write, revert: bool = False) -> None:
        """Do the same, but where that is much, write the rest later, so that no slot takes long.

        It may become a step at once: what is written later comes after all that was to be written
        before. Who reads the annotation meanwhile calls `finish_writing` first.

        Raises
        ------
        AnnotationError
            If the annotation layer can't take it; then nothing is written.
        """
        layer = self.annotation
        if layer is None or not writes:
            return
        check_writable(layer, max(write.largest for write in writes))
        ordered = writes[::-1] if revert else writes
        every = [_LeftToWrite(layer, one, revert) for w in ordered for one in w.parts(_AT_ONCE)]
        waits = self.is_writing
        self._unwritten += [*every[:-1], replace(every[-1], last_of=writes)]
        if len(every) == 1 and not waits:
            self._write_part()
        elif not waits:
            self.events.writing.emit(self)

    @property
    def is_writing(self) -> bool:
        """Whether something is still to be written into the annotation."""
        return bool(self._unwritten)

    def write_next(self) -> None:
        """Write the next part of what is to be written."""
        self._write_part()
        if self.is_writing:
            self.events.writing.emit(self)

    def finish_writing(self) -> None:
        """Write all that is to be written, now."""
        while self.is_writing:
            self._write_part()

    def _write_part(self) -> None:
        if not self._unwritten:
            return
        part = self._unwritten.popleft()
        self._writing = True
        try:
            (part.write.revert if part.revert else part.write.apply)(part.layer)
        except BaseException:
            self._unwritten.clear()  # nothing waits for what can't be done
            raise
        finally:
            self._writing = False
            if part.last_of:
                self.events.written.emit(self, part.last_of)

    def set_scene(self, scene: Scene) -> None:
        """Make `scene` the present one and show its clicks."""
        self.scene = scene
        self._clicks.show()

    def new_mark(self, position: tuple[float, ...], positive: bool) -> Mark:
        """Make a mark that comes after all others."""
        return self._clicks.new_mark(position, positive)

    def mark_of(self, plane: Plane, gesture: Gesture) -> AnyMark:
        """Make a mark of a gesture on a plane, which comes after all others."""
        if isinstance(gesture, Click):
            return self.new_mark(plane.position(gesture.y, gesture.x), gesture.positive)
        return Drawn(self._clicks.new_key(), plane, gesture)

    def _clicks_edited(self, clicks: list[Mark]) -> None:
        """Make the clicks of the scene what the points layers show."""
        drawn = [mark for mark in self.scene.marks if isinstance(mark, Drawn)]
        if self.scene.with_marks([*clicks, *drawn]) == self.scene:
            return
        with self._clicks.kept():
            self.events.before_edit.emit()
        after = self.scene.with_marks([*clicks, *drawn])
        plane = self.displayed()
        self.timeline.add(Entry(self.scene, after, plane))
        self.scene = after
        self.events.edited.emit(self, plane)

    # ---- the annotation layer

    def _take_annotation(self, given: Labels | None) -> None:
        there = self.annotation
        if there is not None and (given is None or given == there):
            return
        self._release_annotation()
        plane = self.displayed()
        axes = plane.axes if plane is not None else None
        layer = self._added(given or make_annotation(self.image, self.channel_axis, axes))
        if given is None:
            self._made.append(layer)
        else:
            follow_transform(layer, self.image, self.channel_axis)
        layer.events.paint.connect(self._painted)
        layer.events.data.connect(self._relabelled)
        self.annotation = layer
        self._colours_before = layer.colormap
        note_image(layer, self.image)
        self._history = OneHistory(layer, lambda redo: self.events.walked.emit(self, redo))
        if layer.multiscale and is_writable(layer):
            refused = partial(self.events.tool_refused.emit, self)
            self._brush = PyramidBrush(
                self.viewer.dims, layer, self.displayed, self._brushed, refused
            )
        for stroke in self._history.earlier():
            self.timeline.add(Entry(self.scene, self.scene, None, (stroke,)))

    def _release_annotation(self) -> None:
        """Forget the layer and the objects in it; clicks that are not accepted stay."""
        self.finish_writing()
        if self.annotation is None:
            return
        self._disconnect_annotation()
        self.annotation, self.earlier_classes, self.earlier_notes = None, None, {}
        drafts = {p: replace(d, editing=None) for p, d in self.scene.drafts.items()}
        self.scene = replace(self.scene, objects=(), drafts=drafts)
        self.timeline = Timeline()

    def _disconnect_annotation(self) -> None:
        if self.annotation is not None:
            if not self.under_review:
                leave(self.annotation, self.timeline.writes)
            self.annotation.events.paint.disconnect(self._painted)
            self.annotation.events.data.disconnect(self._relabelled)
        if self._history is not None:
            self._history.give_back()
            self._history = None
        if self._brush is not None:
            self._brush.give_back()
            self._brush = None

    def _painted(self, event: Any) -> None:
        if not self._writing and self._history is not None:
            self._brushed(self.displayed(), (self._history.taken_over(event.value),))

    def _brushed(self, plane: Plane | None, writes: tuple[Write, ...]) -> None:
        """Make what the brush or another tool did a step, which is undone in its turn."""
        layer = self.annotation
        if layer is not None:
            self.events.before_edit.emit()
            before, self.scene = self.scene, self.scene.painted(int(layer.selected_label))
            self.timeline.add(Entry(before, self.scene, plane, writes))
            self.events.painted.emit(self, int(layer.selected_label))
            self.events.written.emit(self, writes)

    def _relabelled(self) -> None:
        if self.annotation is not None:
            try:
                check_companion(self.annotation, self.image, self.channel_axis)
            except CompanionError:
                self._unwritten.clear()  # it was to be written into what is gone
        self.events.relabelled.emit(self)

    # ---- the image

    def _image_data_changed(self) -> None:
        if companion_shape(self.image, self.channel_axis) != self._shape:
            self.events.reshaped.emit(self)
        else:
            self.events.image_edited.emit(self)

    def _image_contrast_changed(self) -> None:
        self.events.contrast_changed.emit(self)

    # ---- what is shown

    def look(self, state: AnnotateState) -> None:
        """Draw the prediction and the clicks as the state says."""
        self.display.look(state)
        for points in (self.positive, self.negative):
            if points is not None:
                points.canvas_size_limits = click_limits(state.click_size)

    def show_probability(self, on: bool) -> None:
        """Add or remove the probability layer."""
        gone = self.display.show_probability(on)
        if gone is not None and gone in self.viewer.layers:
            self.viewer.layers.remove(gone)

    def add_on_top(self, layer: Layer) -> None:
        """Put another layer into the viewer, without changing what is selected."""
        self._beside.append(self._added(layer))

    # ---- the points layers

    def _take_points(self, given: Points | None, positive: bool, size: float) -> None:
        there = self._clicks.of(positive)
        if there is not None and (given is None or given == there):
            return
        self._clicks.release(positive)
        layer = self._added(
            given or make_points(self.image, self.channel_axis, positive=positive, size=size)
        )
        self._clicks.hold(layer, positive)
        note_image(layer, self.image, positive=positive)
        if given is None:
            self._made.append(layer)
        else:
            follow_transform(layer, self.image, self.channel_axis)
            kept = [
                mark
                for mark in self.scene.marks
                if isinstance(mark, Drawn) or mark.positive != positive
            ]
            new = [self.new_mark(at, positive) for at in as_positions(layer.data)]
            self.scene = self.scene.with_marks([*kept, *new])
        self._clicks.watch(positive)
        self._clicks.show()

    def _added(self, layer: Any, below: Layer | None = None) -> Any:
        """Put a layer into the viewer if it is not there, without changing what is selected."""
        layers = self.viewer.layers
        if layer in layers:
            return layer
        with unselected(self.viewer):
            if below is not None and below in layers:
                layers.insert(layers.index(below), layer)
            else:
                layers.append(layer)
        return layer

    def _put(self, layer: Layer, below: Layer | None) -> Any:
        return self._added(layer, below or self.negative or self.positive)

    def _follow(self) -> None:
        for layer in (self.annotation, self.positive, self.negative):
            if layer is not None:
                follow_transform(layer, self.image, self.channel_axis)
        self.display.follow()


def _all_marks(scene: Scene) -> list[AnyMark]:
    """Return the marks of a scene, those of its objects included."""
    settled = [mark for draft in scene.drafts.values() for mark in draft.settled]
    return [*scene.marks, *settled, *(mark for one in scene.objects for mark in one.marks)]


def _annotating(labels: Labels) -> list[Pairing]:
    there = (one for one in list(Pairing.alive) if one.annotation is not None)
    return [one for one in there if unwrapped(one.annotation) is unwrapped(labels)]


def finish_writing(labels: Labels) -> None:
    """Have all that is being written into an annotation layer written, before it is read."""
    for pairing in _annotating(labels):
        pairing.finish_writing()


def say_complete(labels: Labels, indices: Iterable[tuple[int, ...]], complete: bool) -> None:
    """Note with an annotation layer, and in its journal, whether planes are complete.

    Parameters
    ----------
    indices : iterable of tuple of int
        The planes' positions along all data axes, 0 along y and x.
    complete : bool
        Whether all objects of them are labelled.
    """
    planes = list(indices)
    mark_complete(labels, planes, complete)
    for pairing in _annotating(labels):
        for index in planes:
            pairing.events.complete_said.emit(pairing, index, complete)
