"""The controller of the Annotate widget: clicks in, masks out, objects accepted.

Everything here runs on the main thread and only decides; what takes time goes to the runner.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from napari_clickseg._napari.annotate.answers import Answers
from napari_clickseg._napari.annotate.autosave.autosave import Autosave
from napari_clickseg._napari.annotate.classes import Identity
from napari_clickseg._napari.annotate.context import Context
from napari_clickseg._napari.annotate.editing.split_merge import SplitMerge
from napari_clickseg._napari.annotate.images import Images
from napari_clickseg._napari.annotate.listing.object_list import ObjectList
from napari_clickseg._napari.annotate.listing.scene_changes import SceneChanges
from napari_clickseg._napari.annotate.loading import Loading, ModelChoice
from napari_clickseg._napari.annotate.loading import load as load_by_name
from napari_clickseg._napari.annotate.objects import Objects
from napari_clickseg._napari.annotate.pairing import say_complete
from napari_clickseg._napari.annotate.pointing.click_tool import ClickTool
from napari_clickseg._napari.annotate.pointing.crosshair import Crosshair
from napari_clickseg._napari.annotate.pointing.drawing import Drawing
from napari_clickseg._napari.annotate.pointing.from_shapes import ObjectsFromShapes
from napari_clickseg._napari.annotate.pointing.hover_preview import HoverPreview
from napari_clickseg._napari.annotate.propagation import Propagation
from napari_clickseg._napari.annotate.searching.all_objects import AllObjects
from napari_clickseg._napari.annotate.searching.least_certain import LeastCertain
from napari_clickseg._napari.annotate.stacks.interpolation import Interpolation
from napari_clickseg._napari.annotate.state import AnnotateState
from napari_clickseg._napari.annotate.status import Status
from napari_clickseg._napari.viewer import changes
from napari_clickseg._napari.viewer.actions import Action, bindings
from napari_clickseg._napari.viewer.connections import Connections
from napari_clickseg._napari.viewer.keys import Keys
from napari_clickseg._napari.viewer.planes import plane_data
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.core.clicks import Click
from napari_clickseg.engine.segmenter import Superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Points

    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.trained_models import TrainedModels

_SHOWN = ("fill", "contour", "hidden")
_PAUSE = 0.002  # seconds between parts of a large change, for what else the window has to do


class AnnotateController:
    """Ties a viewer, the state and the background worker together.

    Parameters
    ----------
    notify : callable, optional
        Called on the worker thread when results wait; it must have `deliver` called on the main
        thread. Without it somebody has to call `deliver` now and then.
    state : AnnotateState, optional
        The state to begin with.
    load : callable, optional
        ``load(model, device, half)`` returns a Segmenter; by default `load_segmenter`.
    save : callable, optional
        Has what was annotated saved in projects, in the background.
    trained : TrainedModels, optional
        Where models are found that learned from an image's project; without it none are.
    home : Path, optional
        Where unsaved work is kept; without it none is.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        notify: Callable[[], None] | None = None,
        state: AnnotateState | None = None,
        load: Callable[[str, str, bool], Segmenter] = load_by_name,
        save: Callable[[], object] | None = None,
        trained: TrainedModels | None = None,
        home: Path | None = None,
    ) -> None:
        notify = notify or (lambda: None)
        runner = Runner(notify, Superseded)
        self.context = context = Context(viewer, state or AnnotateState(), runner)
        self._save = save or (lambda: None)
        self._closed = False
        self._status = status = Status(context)
        self.identity = identity = Identity(context, status)
        self.answers = answers = Answers(context, status)
        self.objects = Objects(context, status, identity, answers)
        self._propagation = Propagation(context, status, identity, answers, self.objects)
        self.images = Images(context, status, identity, answers, self._propagation)
        self._loading = Loading(context, answers, self._propagation, load)
        self.models = ModelChoice(context, self._loading, trained, notify)
        self.tool = ClickTool(viewer)
        self.drawing = Drawing(context, self.images, answers, self.objects)
        self.crosshair = Crosshair(viewer, self.state, self.tool, self.drawing)
        self._shapes = ObjectsFromShapes(context, status, identity, answers, self.objects)
        self._all_objects = AllObjects(context, status, identity, trained, load, notify)
        changes = SceneChanges(context, status, identity, answers)
        self.listing = ObjectList(context, status, answers, changes, notify)
        self._split_merge = SplitMerge(context, identity, answers, changes)
        self._interpolation = Interpolation(context, identity, answers, changes)
        self._least_certain = LeastCertain(context, self.listing)
        self.preview = HoverPreview(context, self.images, answers)
        self.autosave = Autosave(context, identity, answers, home, notify)
        self._connections = Connections()
        self._connect()
        self._keys = Keys(viewer, bindings(self.do, "Annotate"))
        self.tool.follow(self.state.previews)
        self.load_model()

    @property
    def viewer(self) -> ViewerModel:
        return self.context.viewer

    @property
    def state(self) -> AnnotateState:
        """What the widget shows."""
        return self.context.state

    @property
    def runner(self) -> Runner:
        """The worker."""
        return self.context.runner

    @property
    def pairings(self) -> Mapping[Image, Pairing]:
        """All images that are set up, with their layers."""
        return self.context.pairings

    @property
    def pairing(self) -> Pairing | None:
        """The image that clicks go to, with its layers."""
        return self.context.pairing

    @property
    def segmenter(self) -> Segmenter | None:
        """The model; None while none is loaded."""
        return self.context.segmenter

    # ---- public: what views and keys call

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self.autosave.deliver()
        self.runner.deliver()
        self.models.deliver()
        self._all_objects.deliver()
        self.listing.deliver()

    def choose_model(self, model: str) -> None:
        """Have the model answer that the user chose: a name, or the path of its file."""
        self.models.choose(model)

    def load_model(self) -> None:
        """Load the state's model on the state's device, in the background."""
        self._loading.begin()

    def set_up(self, image: Image | None = None) -> None:
        """Annotate an image with the layers that are there, and with new ones where none are.

        Where it is not clear which labels belong to it, the message asks.
        """
        self.images.find(image)

    def adopt(
        self,
        image: Image | None,
        *,
        annotation: Labels | None = None,
        positive: Points | None = None,
        negative: Points | None = None,
        afresh: bool = False,
    ) -> None:
        """Pair an image with layers that are open; what is not given is made.

        `afresh` says that a new annotation layer is made even where there is one.
        """
        self.images.adopt(image, annotation, positive, negative, afresh=afresh)

    def choose(self, image: Image) -> None:
        """Show an image in front; clicks go to it if it is set up, and to none if it is not."""
        self.images.choose(image)

    def do(self, action: Action) -> None:
        """Do what a key or button stands for."""
        state = self.state
        if action is Action.TOOL:
            state.tool = not state.tool
        elif action is Action.SWAP:
            state.swapped = not state.swapped
        elif action is Action.CROSSHAIR:
            state.crosshair = not state.crosshair
        elif action is Action.SHOW:
            state.shown = _SHOWN[(_SHOWN.index(state.shown) + 1) % 3]  # type: ignore[assignment]
        elif action is Action.PROBABILITY:
            state.probability = not state.probability
        elif action is Action.NEXT_CLASS:
            state.class_index = (state.class_index + 1) % len(state.classes)
        elif action is Action.SAVE:
            self._save()
        else:
            self._do_on_pairing(action)

    def propagate(self, last: int) -> None:
        """Carry the mask on to plane `last` of the stack, accepting on the way."""
        pairing, plane = self.context.resolve()
        if pairing is None or plane is None:
            self.state.message = "Only a stack can be gone through; this image has one plane."
            return
        start = partial(self._propagation.start, pairing, last)
        self.answers.when_answered(pairing, plane, start)

    def cancel(self) -> None:
        """Stop a running propagation; what it accepted stays."""
        self._propagation.cancel()

    def objects_from_shapes(self) -> None:
        """Make an object of each selected shape, or of all; where that goes on, stop."""
        if self.state.shapes != (0, 0):
            self._shapes.cancel()
            return
        pairing, plane = self.context.resolve()
        if pairing is None or plane is None:
            self.state.message = "Choose an image, and a 2D view of it, first."
            return
        self.answers.in_turn(pairing, lambda: self._shapes.start(pairing, plane))

    def find_all(self) -> None:
        """Find all objects of the displayed plane; where that goes on, stop."""
        if self.state.finding:
            self._all_objects.cancel()
            return
        pairing, plane = self.context.resolve()
        if pairing is None or plane is None:
            self.state.message = "Choose an image, and a 2D view of it, first."
            return
        self._all_objects.start(pairing, plane)

    def keep_new_objects(self) -> None:
        """Make the objects that were found, and are shown, objects of the annotation."""
        self._all_objects.keep()

    def give_up_new_objects(self) -> None:
        """Show the objects that were found no longer."""
        self._all_objects.give_up()

    def mark_complete(self, complete: bool) -> None:
        """Say whether all objects of the displayed plane are labelled.

        Where they are, what is not labelled is learned as background.
        """
        pairing, plane = self.context.resolve()
        if pairing is None or plane is None or pairing.annotation is None:
            self.state.message = "Choose an image, and a 2D view of it, first."
        else:
            say_complete(pairing.annotation, [plane.index], complete)
        self._status.show_complete()

    def add_class(self, name: str, colour: str | None = None) -> None:
        """Add a class with the next free id and make it the current one."""
        self.identity.add_class(name, colour)

    def rename_class(self, index: int, name: str, colour: str) -> None:
        """Give a class another name and colour; its id stays."""
        self.identity.rename_class(index, name, colour)

    def remove_class(self, index: int) -> None:
        """Remove a class from the list; what is labelled with it stays. One class remains."""
        self.identity.remove_class(index)

    def show_seen(self) -> None:
        """Add the displayed plane as the model sees it, as a layer."""
        pairing, plane = self.context.resolve()
        if pairing is None or plane is None or self.segmenter is None:
            self.state.message = "Set up an image and wait for the model first."
            return
        self.objects.show_seen(pairing, plane)

    def clicked_on(self) -> tuple[Any, bool, list[tuple[float, float]]] | None:
        """Return what is annotated: the displayed plane's pixels, if RGB, and positive clicks."""
        pairing, plane = self.context.resolve()
        if pairing is None or plane is None:
            return None
        levels = plane_data(pairing.image, plane, pairing.channel_axis)
        clicks = [(one.y, one.x) for one in pairing.scene.prompt(plane).clicks if one.positive]
        return levels, bool(pairing.image.rgb), clicks

    def close(self) -> None:
        """Unbind everything, stop the worker and free the model; the layers stay."""
        if self._closed:
            return
        self._closed = True
        self.crosshair.switch(False)
        self.tool.switch(False)
        self._connections.close()
        self._keys.give_back()
        self.models.close()
        self.autosave.close()
        self._all_objects.close()
        self.listing.close()
        self.images.close()
        self._loading.end()

    def displayed(self) -> Plane | None:
        """Return the plane of the current image that the viewer shows."""
        return None if self.pairing is None else self.pairing.displayed()

    def prompt(self) -> Prompt:
        """Return what the user has said about the object on the displayed plane."""
        self.context.resolve()
        return self.context.prompt()

    def request(self) -> None:
        """Have the displayed plane's prompt answered; the latest request wins."""
        self.context.resolve()
        self.answers.request()

    def activate(self, pairing: Pairing) -> None:
        """Make a pairing the current one."""
        self.images.activate(pairing)

    # ---- what is connected

    def _connect(self) -> None:
        """Connect signals of the viewer, the layers, the state and the parts to what is done."""
        connect, images = self._connections.connect, self.images
        layers, dims = self.viewer.layers.events, self.viewer.dims.events
        connect(layers.removed, images.layer_removed, self._all_objects.layer_removed)
        connect(self.viewer.layers.selection.events.active, images.active_changed)
        for name in ("current_step", "order", "ndisplay"):
            connect(getattr(dims, name), self.preview.clear, images.plane_changed)

        self._connect_tool()
        connect(self.identity.surveyed, self.answers.go_on)
        connect(images.turned, self.models.look)

        pairings = self.context.events
        connect(pairings.before_edit, self._propagation.cancel, self._shapes.cancel)
        connect(pairings.edited, self._marks_edited)
        connect(pairings.painted, self.identity.painted)
        connect(pairings.relabelled, self.identity.survey)
        connect(pairings.walked, self._walked)
        connect(pairings.tool_refused, self._tool_refused)
        self._connect_autosave()
        connect(pairings.image_edited, images.image_edited)
        connect(pairings.contrast_changed, images.contrast_changed)
        connect(pairings.reshaped, images.reshaped)
        connect(pairings.closed, self._all_objects.image_closed)

        state = self.state.events
        for name in ("threshold", "smooth", "fill_holes", "keep_clicked"):
            connect(getattr(state, name), self.answers.request)
        for name in ("shown", "opacity", "classes", "class_index", "scheme", "click_size"):
            connect(getattr(state, name), images.look_changed)
        for name in ("scheme", "class_index", "classes"):
            connect(
                getattr(state, name),
                self.identity.class_painted,
                self.identity.save,
                self._status.show_brush,
            )
        connect(state.by_score, self.identity.show_colours, self._all_objects.show_colours)
        for name in ("seed_height", "smallest"):
            connect(getattr(state, name), self._all_objects.divide)
        connect(state.object_id, self.identity.id_chosen)
        connect(state.probability, images.probability_switched)
        connect(state.contrast_from_layer, images.contrast_switched)
        connect(state.channel_axis, images.channels_changed)
        self._connect_preview()
        self._connect_list()

    def _connect_tool(self) -> None:
        """Have the mouse, and the crosshair in its place, click and draw."""
        connect, tool, state = self._connections.connect, self.tool, self.state.events
        connect(tool.clicked, self._clicked)
        connect(tool.shift_clicked, self._take_up_at)
        connect(tool.left, self._tool_left)
        connect(tool.begun, self.drawing.begin)
        connect(tool.moved, self.drawing.go_on)
        connect(tool.released, self.drawing.finish)
        connect(tool.given_up, self.drawing.give_up)
        connect(tool.pressed, self.crosshair.give_up)
        connect(state.tool, tool.switch, self.crosshair.tool_switched)
        connect(state.crosshair, self.crosshair.switch)
        connect(state.previews, tool.follow)

    def _connect_autosave(self) -> None:
        """Have all that happens noted."""
        connect, pairings, autosave = self._connections.connect, self.context.events, self.autosave
        connect(pairings.completed, autosave.follow)
        connect(pairings.closed, autosave.leave)
        connect(pairings.ahead, autosave.ahead)
        connect(pairings.complete_said, autosave.complete_said)
        connect(pairings.relabelled, autosave.relabelled)
        connect(changes.events.saved, autosave.saved)
        connect(self.state.events.image, autosave.show)
        connect(self.state.events.model_status, autosave.model_changed)

    def _connect_preview(self) -> None:
        """Have the preview end with whatever makes it another one, or none."""
        viewer, tool, state = self.viewer, self.tool, self.state.events
        camera = viewer.scene.camera.events
        ends = [camera.center, camera.zoom, viewer.events.mouse_over_canvas]
        ends += [tool.hovered, tool.begun, tool.shift_clicked, self.context.events.image_edited]
        ends += [state.tool, state.previews, state.begun, state.image, state.swapped]
        ends += [state.model_status, state.contrast_from_layer, state.channel_axis]
        ends += [state.threshold, state.smooth, state.fill_holes, state.keep_clicked]
        for signal in ends:
            self._connections.connect(signal, self.preview.clear)

    def _connect_list(self) -> None:
        """Have the list of objects kept up; it comes last, as it goes by what is displayed."""
        connect, listing, state = self._connections.connect, self.listing, self.state.events
        connect(self.context.events.writing, self._write_on)
        connect(self.context.events.written, listing.written)
        connect(self.context.events.relabelled, listing.relabelled)
        connect(self.identity.saved, listing.known)
        for name in ("current_step", "order", "ndisplay"):
            connect(getattr(self.viewer.dims.events, name), listing.refresh)
        for signal in (state.listing, state.annotation, state.scheme):
            connect(signal, listing.refresh)

    # ---- clicks

    def _clicked(self, position: tuple[float, ...], left: bool) -> None:
        pointed = self.images.pointed_at(position)
        if pointed is None:
            return
        pairing, plane = pointed
        at = pairing.under(position, plane)
        if at is None:
            self.state.message = "That click was outside the image; click on the image."
            return
        click = Click(*at, positive=left != self.state.swapped)
        self.answers.in_turn(pairing, lambda: self._click(pairing, plane, click))

    def _click(self, pairing: Pairing, plane: Plane, click: Click) -> None:
        there = [c for c in pairing.scene.prompt(plane).clicks if c.pixel == click.pixel]
        if there and there[-1].positive == click.positive:
            return  # the second half of a double click
        mark = pairing.mark_of(plane, click)
        if pairing.under_review and not pairing.scene.prompt(plane):
            said = None if click.positive else mark
            if self.objects.take_up_instead(pairing, plane, click.pixel, said):
                return
        pairing.step(pairing.scene.with_marks([*pairing.scene.marks, mark]), plane)
        self.state.message = ""
        self.answers.request()

    def _take_up_at(self, position: tuple[float, ...]) -> None:
        pointed = self.images.pointed_at(position)
        if pointed is not None:
            self.objects.take_up_at(*pointed, position)

    def _marks_edited(self, pairing: Pairing, plane: Plane | None) -> None:
        """Note that napari's own tools changed clicks on a plane."""
        if pairing is not self.pairing:
            return
        if plane is not None:
            clicks = len(pairing.scene.prompt(plane).clicks)
            self.state.message = (
                "A click outside the image is not used; move it onto the image."
                if clicks < len(pairing.scene.on(plane))
                else ""
            )
        self.answers.request()

    # ---- actions

    def _do_on_pairing(self, action: Action) -> None:
        pairing, plane = self.context.resolve()
        if pairing is None:
            self.state.message = "Choose an image and press “Annotate this image” first."
        elif action is Action.UNDO:
            if not self.answers.take_back():
                self._walk(redo=False)
        elif action is Action.REDO:
            self.answers.in_turn(pairing, lambda: self._walk(redo=True))
        elif plane is not None:
            self._do_on_plane(action, pairing, plane)
        elif action is Action.PROPAGATE:
            self.state.message = "There is no next plane; this image is not a stack."
        elif action in (Action.TAKE_UP, Action.FILL_IN):
            self.state.message = "Choose an image, and a 2D view of it, first."

    def _do_on_plane(self, action: Action, pairing: Pairing, plane: Plane) -> None:
        objects, when_answered = self.objects, self.answers.when_answered
        prompt, in_use = pairing.scene.prompt(plane), pairing.scene.in_use
        shown = not in_use and self._all_objects.is_shown(pairing, plane)
        begun = prompt.has_positive or prompt.start is not None  # or there is nothing to accept
        if shown and not begun and action is Action.ACCEPT:
            self._all_objects.keep()
        elif shown and not prompt and action is Action.CLEAR:
            self._all_objects.give_up()
        elif action is Action.ACCEPT:
            when_answered(pairing, plane, partial(objects.accept, pairing))
        elif action is Action.SKIP:
            objects.skip(pairing, plane)
        elif action is Action.CLEAR:
            objects.clear(pairing, plane)
        elif action is Action.TAKE_UP:
            position = tuple(self.viewer.cursor.position)
            if not self.images.covered(position, pairing):
                objects.take_up_at(pairing, plane, position)
        elif action in (Action.READING, Action.READING_BACK):
            step = 1 if action is Action.READING else -1
            when_answered(pairing, plane, lambda at, _: self._read_on(pairing, at, step))
        elif action is Action.PROPAGATE:
            when_answered(pairing, plane, partial(self._propagation.one, pairing))
        elif action is Action.FILL_IN:
            self._interpolation.fill(pairing, plane)
        elif action is Action.MERGE:
            self._split_merge.merge(pairing, plane)
        elif action is Action.SPLIT:
            self._split_merge.split(pairing, plane)
        elif action in (Action.LEAST_CERTAIN, Action.LEAST_CERTAIN_BACK):
            self._least_certain.step(back=action is Action.LEAST_CERTAIN_BACK)
        elif action is Action.DELETE:
            position = tuple(self.viewer.cursor.position)
            if pairing.scene.draft(plane).editing or not self.images.covered(position, pairing):
                objects.delete_at(pairing, plane, position)

    def _read_on(self, pairing: Pairing, plane: Plane, step: int) -> None:
        """Take the first click for the next object that it may mean, or for the one before."""
        scene, state = pairing.scene, self.state
        if state.readings < 2 or not scene.prompt(plane).clicks:
            state.message = "What was clicked on can be taken for one object only."
            return
        draft = scene.draft(plane)
        other = replace(draft, reading=(draft.reading + step) % state.readings)
        pairing.step(scene.with_draft(plane, other, scene.on(plane)), plane)
        state.message = ""
        self.answers.request()

    def _walk(self, *, redo: bool) -> None:
        pairing = self.pairing
        if pairing is None or (redo and not pairing.timeline.can_redo):
            return
        self._propagation.cancel()  # after which there is nothing to redo, but a step to undo
        entry = pairing.timeline.redo() if redo else pairing.timeline.undo()
        if entry is None:
            return
        try:
            pairing.write_in_parts(*entry.writes, revert=not redo)
        except ValueError as error:
            _ = pairing.timeline.undo() if redo else pairing.timeline.redo()
            self.state.message = str(error)
            return
        pairing.set_scene(entry.after if redo else entry.before)
        self.identity.save_with(pairing)
        self.state.message = ""
        plane = (entry.end or entry.plane) if redo else entry.plane
        if plane is not None and plane != self.context.plane:
            pairing.go_to(plane)
        self.answers.request()

    def _walked(self, pairing: Pairing, redo: bool) -> None:
        """Undo or redo as napari's own key asks for it on an annotation layer."""
        if pairing is not self.pairing:
            self.activate(pairing)
        self.do(Action.REDO if redo else Action.UNDO)

    def _tool_refused(self, _: Pairing) -> None:
        self.state.message = "On so large an image brush and eraser paint; the other tools don't."

    def _write_on(self, pairing: Pairing) -> None:
        """Write what is left of a large change, after what else the window has to do."""

        def go_on(_: None) -> None:
            pairing.write_next()
            if not pairing.is_writing:
                self.answers.go_on()

        self.context.runner.submit(None, lambda _: time.sleep(_PAUSE), go_on, self._status.report)

    def _tool_left(self) -> None:
        self.state.tool = False
