"""The controller of the Annotate widget: clicks in, masks out, objects accepted.

Everything here runs on the main thread and only decides; what takes time goes to the runner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error

from napari_clickseg._napari.annotate.answers import Answers
from napari_clickseg._napari.annotate.classes import Identity
from napari_clickseg._napari.annotate.click_tool import ClickTool
from napari_clickseg._napari.annotate.connections import Wiring
from napari_clickseg._napari.annotate.images import Images
from napari_clickseg._napari.annotate.loading import Loading, ModelChoice
from napari_clickseg._napari.annotate.loading import load as load_by_name
from napari_clickseg._napari.annotate.objects import Objects
from napari_clickseg._napari.annotate.propagation import Propagation
from napari_clickseg._napari.annotate.state import AnnotateState
from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._napari.viewer.front import Front
from napari_clickseg._napari.viewer.layers import data_under, step_to
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.core.clicks import Click
from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.engine.segmenter import Superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Points

    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.viewer.planes import Plane
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.fitting import TrainedModels

__all__ = ["AnnotateController"]

_SHOWN = ("fill", "contour", "hidden")


class AnnotateController:
    """Ties a viewer, the state and the background worker together.

    Parameters
    ----------
    viewer : ViewerModel
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
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        notify: Callable[[], None] | None = None,
        state: AnnotateState | None = None,
        load: Callable[[str, str, bool], Segmenter] | None = None,
        save: Callable[[], object] | None = None,
        trained: TrainedModels | None = None,
    ) -> None:
        self.viewer = viewer
        self.state = state or AnnotateState()
        notify = notify or (lambda: None)
        self.runner = Runner(notify, Superseded)
        self.front = Front(viewer)
        self.pairings: dict[Image, Pairing] = {}
        self.pairing: Pairing | None = None
        self.segmenter: Segmenter | None = None
        self._save = save or (lambda: None)
        self._closed = False
        self._last_error = ""
        self.answers = Answers(self)
        self.identity = Identity(self)
        self.images = Images(self)
        self.objects = Objects(self)
        self.propagation = Propagation(self)
        self.loading = Loading(self, load or load_by_name)
        self.models = ModelChoice(self, trained, notify)
        self.tool = ClickTool(viewer, self._clicked, self._take_up_at, self._tool_left)
        self.wiring = Wiring(self)
        self.load_model()

    # ---- public: what views and keys call

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self.runner.deliver()
        self.models.deliver()

    def choose_model(self, model: str) -> None:
        """Have the model answer that the user chose: a name, or the path of its file."""
        self.models.choose(model)

    def load_model(self) -> None:
        """Load the state's model on the state's device, in the background."""
        self.loading.begin()

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
        pairing = self.pairings.get(image)
        if pairing is None:
            if self.pairing is not None:
                self._rest(f"Press “Annotate this image” to annotate '{image.name}'.")
            self._bring(image)
        elif pairing is not self.pairing:
            self.activate(pairing)
        own = pairing.layers() if pairing is not None else [image]
        if self.viewer.layers.selection.active not in own:
            self.viewer.layers.selection.active = image

    def do(self, action: Action) -> None:
        """Do what a key or button stands for."""
        state = self.state
        if action is Action.TOOL:
            state.tool = not state.tool
        elif action is Action.SWAP:
            state.swapped = not state.swapped
        elif action is Action.SHOW:
            state.shown = _SHOWN[(_SHOWN.index(state.shown) + 1) % 3]  # type: ignore[assignment]
        elif action is Action.PROBABILITY:
            state.probability = not state.probability
        elif action is Action.NEXT_CLASS:
            state.class_index = (state.class_index + 1) % len(state.classes)
        elif action is Action.SAVE:
            self._save()
        elif self.pairing is None:
            state.message = "Choose an image and press 'Annotate this image' first."
        else:
            self._do_on_pairing(action)

    def propagate(self, last: int) -> None:
        """Carry the mask on to plane `last` of the stack, accepting on the way."""
        self.answers.when_answered(lambda: self.propagation.start(last))

    def cancel(self) -> None:
        """Stop a running propagation; what it accepted stays."""
        self.propagation.cancel()

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
        self.objects.show_seen()

    def close(self) -> None:
        """Unbind everything, stop the worker and free the model; the layers stay."""
        if self._closed:
            return
        self._closed = True
        self.tool.switch(False)
        self.wiring.close()
        self.front.restore()
        self.models.close()
        for pairing in self.pairings.values():
            pairing.close()
        self.loading.end()

    # ---- what the siblings use

    def displayed(self) -> Plane | None:
        """Return the plane of the current image that the viewer shows."""
        return None if self.pairing is None else self.pairing.displayed()

    def prompt(self) -> Prompt:
        """Return what the user has said about the object on the displayed plane."""
        plane = self.displayed()
        if self.pairing is None or plane is None:
            return Prompt()
        return self.pairing.scene.prompt(plane)

    def refinement(self) -> Refinement:
        """Return how the state says that a probability becomes a mask."""
        s = self.state
        return Refinement(s.threshold, s.smooth, s.fill_holes, s.keep_clicked)

    def request(self) -> None:
        """Have the displayed plane's prompt answered; the latest request wins."""
        self.answers.request()

    def pointed_at(self, pairing: Pairing, plane: Plane, position: Sequence[float]) -> list[float]:
        """Return where on a plane a world position points, in data pixels along every axis."""
        under = data_under(pairing.image, self.viewer.dims, position)
        return [
            float(value) if axis in plane.axes else float(plane.index[axis])
            for axis, value in enumerate(under)
        ]

    def model_works(self) -> None:
        """Note that the model answered: should it fail again, that is said again."""
        self._last_error = ""

    def report(self, error: Exception) -> None:
        """Say what went wrong: in the state always, as a notification once."""
        text = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, ValueError):
            text = (
                f"The model failed: {text} Your clicks are kept; click again or choose "
                "another model."
            )
        self.state.message = text
        if text != self._last_error:
            self._last_error = text
            show_error(text)

    # ---- clicks

    def _clicked(self, position: tuple[float, ...], left: bool) -> None:
        pairing, plane = self.pairing, self.displayed()
        if pairing is None:
            self.state.message = "Choose an image and press 'Annotate this image' first."
            return
        if plane is None:
            self.state.message = "Clicks need a 2D view of the image; leave 3D or move the sliders."
            return
        seen = self.front.seen_at(position, pairing.layers())
        if seen is not None:
            self.state.message = (
                f"That is '{seen.name}', but '{pairing.image.name}' is being annotated; choose "
                f"'{seen.name}' under “Image” to annotate it, or hide it."
            )
            return
        at = plane.locate(self.pointed_at(pairing, plane, position))
        if at is None or not Click(*at).inside(plane.shape):
            self.state.message = "That click was outside the image; click on the image."
            return
        click = Click(*at, positive=left != self.state.swapped)
        self.answers.in_turn(lambda: self._click(pairing, plane, click))

    def _click(self, pairing: Pairing, plane: Plane, click: Click) -> None:
        if pairing is not self.pairings.get(pairing.image):
            return  # it was closed meanwhile
        there = [c for c in pairing.scene.prompt(plane).clicks if c.pixel == click.pixel]
        if there and there[-1].positive == click.positive:
            return  # the second half of a double click
        if pairing.under_review and not pairing.scene.prompt(plane):
            if self.objects.take_up_instead(pairing, plane, click):
                return
        mark = pairing.new_mark(plane.position(click.y, click.x), click.positive)
        pairing.step(pairing.scene.with_marks([*pairing.scene.marks, mark]), plane)
        self.state.message = ""
        self.request()

    def _take_up_at(self, position: tuple[float, ...]) -> None:
        self.answers.in_turn(lambda: self.objects.take_up_at(position))

    def marks_edited(self, pairing: Pairing) -> None:
        """Note that napari's own tools changed clicks."""
        plane = self.displayed()
        if pairing is not self.pairing:
            return
        if plane is not None:
            clicks = len(pairing.scene.prompt(plane).clicks)
            self.state.message = (
                "A click outside the image is not used; move it onto the image."
                if clicks < len(pairing.scene.on(plane))
                else ""
            )
        self.request()

    # ---- actions

    def _do_on_pairing(self, action: Action) -> None:
        if action is Action.UNDO:
            if not self.answers.take_back():
                self._walk(redo=False)
        elif action is Action.REDO:
            self.answers.in_turn(lambda: self._walk(redo=True))
        elif action is Action.ACCEPT:
            self.answers.when_answered(self.objects.accept)
        elif action is Action.SKIP:
            self.objects.skip()
        elif action is Action.CLEAR:
            self.objects.clear()
        elif action is Action.TAKE_UP:
            self._take_up_at(tuple(self.viewer.cursor.position))
        elif action is Action.PROPAGATE:
            self.answers.when_answered(self.propagation.one)
        elif action is Action.DELETE:
            self.objects.delete_at(tuple(self.viewer.cursor.position))

    def _walk(self, *, redo: bool) -> None:
        pairing = self.pairing
        if pairing is None or (redo and not pairing.timeline.can_redo):
            return
        self.propagation.cancel()  # after which there is nothing to redo, but a step to undo
        entry = pairing.timeline.redo() if redo else pairing.timeline.undo()
        if entry is None:
            return
        try:
            pairing.write(*entry.writes, revert=not redo)
        except ValueError as error:
            _ = pairing.timeline.undo() if redo else pairing.timeline.redo()
            self.state.message = str(error)
            return
        pairing.set_scene(entry.after if redo else entry.before)
        self.identity.save_with(pairing)
        self.state.message = ""
        plane = (entry.end or entry.plane) if redo else entry.plane
        if plane is not None and plane != self.displayed():
            self.go_to(plane)
        self.request()

    def go_to(self, plane: Plane) -> None:
        """Have the viewer show a plane of the current image."""
        pairing, dims = self.pairing, self.viewer.dims
        if pairing is None:
            return
        for axis, value in step_to(pairing.image, dims, plane.index).items():
            at = axis - (dims.ndim - pairing.image.ndim)
            if at not in plane.axes and at != pairing.channel_axis:
                dims.set_point(axis, value)

    def walk(self, pairing: Pairing, redo: bool) -> None:
        """Undo or redo as napari's own key asks for it on an annotation layer."""
        if pairing is not self.pairing:
            self.activate(pairing)
        self.do(Action.REDO if redo else Action.UNDO)

    # ---- the viewer

    def activate(self, pairing: Pairing) -> None:
        """Make a pairing the current one."""
        state, another = self.state, self.pairing is not pairing
        if another:
            self.propagation.cancel()
            self.runner.cancel("predict")
            self.runner.cancel("take_up")
        self.pairing = pairing
        self._bring(pairing.image)
        state.channel_axis = pairing.channel_axis
        self.show_layers()
        self.identity.restore(pairing)
        self.identity.save_with(pairing)
        pairing.look(state)
        pairing.show_probability(state.probability)
        self.wiring.plane_changed()
        if another:
            self.models.look()

    def show_layers(self) -> None:
        """Bring the state's layers into line with the pairing."""
        state, pairing = self.state, self.pairing
        state.image = pairing.image if pairing else None
        state.annotation = pairing.annotation if pairing else None
        state.positive = pairing.positive if pairing else None
        state.negative = pairing.negative if pairing else None
        overlay = pairing.display.overlay if pairing else None
        state.prediction = overlay.layer if overlay else None

    def show_counts(self, plane: Plane | None, prompt: Prompt) -> None:
        """Bring the state's counts into line with the scene, given what is displayed of it."""
        state, pairing, clicks = self.state, self.pairing, prompt.clicks
        state.n_positive = sum(click.positive for click in clicks)
        state.n_negative = len(clicks) - state.n_positive
        state.n_objects = len(pairing.scene.objects) if pairing else 0
        state.begun = bool(prompt)
        state.can_undo = bool(pairing and pairing.timeline.can_undo)
        state.can_redo = bool(pairing and pairing.timeline.can_redo)
        draft = pairing.scene.draft(plane) if pairing and plane else None
        state.editing = draft is not None and draft.editing is not None
        if pairing is not None:
            scene = pairing.scene
            state.object_id = scene.object_id if plane is None else scene.value(plane)
            state.begun = state.begun or scene.in_use
            self.identity.show_brush()

    def let_go(self, message: str) -> None:
        """Have no current pairing, and say why."""
        self.answers.forget()
        self.state.tool = False
        self._rest(message)

    def _rest(self, message: str) -> None:
        """Have clicks go to no image; what was made stays, and is gone on with later."""
        self.propagation.cancel()
        self.runner.cancel("predict")
        self.runner.cancel("take_up")
        self.pairing = None
        self.state.busy = False
        self.show_layers()
        self.show_counts(None, Prompt())
        self.state.message = message

    def _bring(self, image: Image) -> None:
        pairing = self.pairings.get(image)
        own = pairing.layers() if pairing is not None else [image]
        others = [p for p in self.pairings.values() if p is not pairing]
        self.front.bring(own, [layer for one in others for layer in one.layers()])

    def _tool_left(self) -> None:
        self.state.tool = False
