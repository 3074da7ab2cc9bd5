"""The controller of the Annotate widget: clicks in, masks out, objects accepted.

Everything here runs on the main thread and only decides; what takes time goes to the runner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Labels, Points
from napari.utils.notifications import show_error

from napari_clickseg._napari.actions import Action
from napari_clickseg._napari.clicktool import ClickTool
from napari_clickseg._napari.objects import Objects
from napari_clickseg._napari.pairing import Pairing
from napari_clickseg._napari.planes import Plane, displayed_plane, plane_data
from napari_clickseg._napari.propagate import Propagation
from napari_clickseg._napari.runner import Runner, Stop
from napari_clickseg._napari.state import PALETTE, AnnotateState, ClassSpec
from napari_clickseg._napari.wiring import Wiring
from napari_clickseg.core.clicks import Click, Prompt
from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.source import ImageSource
from napari_clickseg.segmenter import Superseded

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_clickseg._napari.scene import Entry
    from napari_clickseg.segmenter import Prediction, Segmenter, Session

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
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        notify: Callable[[], None] | None = None,
        state: AnnotateState | None = None,
        load: Callable[[str, str, bool], Segmenter] | None = None,
    ) -> None:
        self.viewer = viewer
        self.state = state or AnnotateState()
        self.click_size = 9.0
        self.runner = Runner(notify or (lambda: None), Superseded)
        self.pairings: dict[Image, Pairing] = {}
        self.pairing: Pairing | None = None
        self.segmenter: Segmenter | None = None
        self._load = load or _load
        self._closed = False
        self._last_error = ""
        self._accept_next: Callable[[], object] | None = None
        self.objects = Objects(self)
        self.propagation = Propagation(self)
        self.tool = ClickTool(viewer, self._clicked, self.objects.take_up_at, self._tool_left)
        self.wiring = Wiring(self)
        self.load_model()

    # ---- public: what views and keys call

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self.runner.deliver()

    def load_model(self) -> None:
        """Load the state's model on the state's device, in the background."""
        state = self.state
        name, device, half = state.model, state.device, state.half
        state.model_status, state.model_text = "loading", f"Loading {name} …"
        old, self.segmenter = self.segmenter, None
        self.runner.cancel("predict")
        for pairing in self.pairings.values():
            pairing.sessions.clear()

        def work(_: Stop) -> Segmenter:
            if old is not None:
                old.close()
            return self._load(name, device, half)

        self.runner.submit("load", work, self._loaded, self._not_loaded)

    def set_up(self, image: Image | None = None) -> None:
        """Make the layers that go with an image, or return to the ones that are there."""
        self.adopt(image)

    def adopt(
        self,
        image: Image | None,
        *,
        annotation: Labels | None = None,
        positive: Points | None = None,
        negative: Points | None = None,
    ) -> None:
        """Pair an image with layers that are open; what is not given is made."""
        state = self.state
        image = image if image is not None else self._default_image()
        if image is None:
            state.message = "Open an image first (File menu, or drop one on the window)."
            return
        pairing = self.pairings.get(image)
        try:
            if pairing is None or pairing.channel_axis != state.channel_axis:
                self._check_image(image)
                if pairing is not None:
                    pairing.close()
                pairing = Pairing(
                    self.viewer,
                    image,
                    state.channel_axis,
                    lambda: self.displayed(),
                    self._marks_changed,
                )
            pairing.complete(
                state,
                annotation=annotation,
                positive=positive,
                negative=negative,
                click_size=self.click_size,
            )
        except ValueError as error:
            state.message = str(error)
            return
        self.pairings[image] = pairing
        self.activate(pairing)
        self.objects.survey()
        state.tool = True
        state.message = "Click on an object; right click where it should not be."

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
        elif self.pairing is None:
            state.message = "Choose an image and press 'Annotate this image' first."
        else:
            self._do_on_pairing(action)

    def propagate(self, last: int) -> None:
        """Carry the mask on to plane `last` of the stack, accepting on the way."""
        self.when_answered(lambda: self.propagation.start(last))

    def cancel(self) -> None:
        """Stop a running propagation; what it accepted stays."""
        self.propagation.cancel()

    def add_class(self, name: str, colour: str | None = None) -> None:
        """Add a class with the next free id and make it the current one."""
        classes = self.state.classes
        identifier = max((spec.identifier for spec in classes), default=0) + 1
        colour = colour or PALETTE[(identifier - 1) % len(PALETTE)]
        self.state.classes = (*classes, ClassSpec(identifier, name, colour))
        self.state.class_index = len(classes)

    def rename_class(self, index: int, name: str, colour: str) -> None:
        """Give a class another name and colour; its id stays."""
        classes = list(self.state.classes)
        classes[index] = ClassSpec(classes[index].identifier, name, colour)
        self.state.classes = tuple(classes)

    def remove_class(self, index: int) -> None:
        """Remove a class from the list; what is labelled with it stays. One class remains."""
        classes = self.state.classes
        if len(classes) == 1:
            self.state.message = "One class has to remain; rename it instead."
            return
        self.state.class_index = 0
        self.state.classes = classes[:index] + classes[index + 1 :]

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
        for pairing in self.pairings.values():
            pairing.close()
        segmenter, self.segmenter = self.segmenter, None
        self.runner.close(segmenter.close if segmenter is not None else None)

    # ---- what the siblings (objects, propagation) use

    def displayed(self) -> Plane | None:
        """Return the plane of the current image that the viewer shows."""
        if self.pairing is None or self.pairing.image not in self.viewer.layers:
            return None
        return displayed_plane(self.viewer.dims, self.pairing.image, self.pairing.channel_axis)

    def session_of(self, pairing: Pairing, plane: Plane) -> Session:
        """Return the session of a plane; runs on the worker thread."""
        segmenter = self.segmenter
        if segmenter is None:
            raise RuntimeError("The model is not loaded.")
        image, contrast = pairing.image, self.state.contrast_from_layer

        def start() -> Session:
            limits = tuple(image.contrast_limits) if contrast and not image.rgb else None
            return segmenter.start(
                plane_data(image, plane, pairing.channel_axis),
                rgb=bool(image.rgb),
                contrast_limits=limits,
            )

        return pairing.session(plane, start)

    def refinement(self) -> Refinement:
        """Return how the state says that a probability becomes a mask."""
        s = self.state
        return Refinement(s.threshold, s.smooth, s.fill_holes, s.keep_clicked)

    def when_answered(self, act: Callable[[], object]) -> None:
        """Act now, or as soon as the clicks made so far are answered."""
        if self._answer_is_due():
            self._accept_next = act
        else:
            act()

    def request(self) -> None:
        """Have the displayed plane's prompt answered; the latest request wins."""
        pairing, plane, state = self.pairing, self.displayed(), self.state
        self.show_counts()
        if pairing is None:
            return
        prompt = pairing.scene.prompt(plane) if plane is not None else Prompt()
        if plane is None or not prompt:
            self.runner.cancel("predict")
            self._accept_next = None
            pairing.show_nothing()
            state.busy = False
            return
        if self.segmenter is None:
            state.busy = state.model_status == "loading"
            return
        state.busy = True
        refinement = self.refinement()

        def work(stop: Stop) -> tuple[Prediction, tuple[str, ...]]:
            session = self.session_of(pairing, plane)
            return session.evaluate(prompt, refinement, stop=stop), session.notices

        def done(found: tuple[Prediction, tuple[str, ...]]) -> None:
            self._answered(pairing, plane, prompt, *found)

        self.runner.submit("predict", work, done, self._not_answered)

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
        if pairing is None or plane is None:
            self.state.message = "Choose an image, and a 2D view of it, to click on."
            return
        at = plane.locate(
            [
                value if axis in plane.axes else plane.index[axis]
                for axis, value in enumerate(pairing.image.world_to_data(position))
            ]
        )
        assert at is not None
        click = Click(*at, positive=left != self.state.swapped)
        if not click.inside(plane.shape):
            self.state.message = "That click was outside the image; click on the image."
            return
        if any(
            c.pixel == click.pixel and c.positive == click.positive
            for c in pairing.scene.prompt(plane).clicks
        ):
            return  # the second half of a double click
        mark = pairing.new_mark(plane.position(*at), click.positive)
        pairing.step(pairing.scene.with_marks([*pairing.scene.marks, mark]), plane)
        self.state.message = ""
        self.request()

    def _marks_changed(self, pairing: Pairing) -> None:
        """Note that napari's own tools changed clicks."""
        plane = self.displayed()
        if pairing is not self.pairing:
            return
        if plane is not None:
            outside = [
                mark
                for mark in pairing.scene.on(plane)
                if not Click(*(plane.locate(mark.position) or (0, 0))).inside(plane.shape)
            ]
            self.state.message = (
                "A click outside the image is not used; move it onto the image." if outside else ""
            )
        self.request()

    def _answered(
        self,
        pairing: Pairing,
        plane: Plane,
        prompt: Prompt,
        found: Prediction,
        notices: tuple[str, ...],
    ) -> None:
        if pairing is not self.pairing or plane != self.displayed():
            return
        pairing.show(self.state, plane, found)
        pairing.answered = plane, prompt
        self.state.busy = False
        self._last_error = ""
        if notices and not self.state.message:
            self.state.message = " ".join(notices)
        act, self._accept_next = self._accept_next, None
        if act is not None:
            act()

    def _not_answered(self, error: Exception) -> None:
        self.state.busy = False
        self._accept_next = None
        self.report(error)

    def _answer_is_due(self) -> bool:
        pairing, plane = self.pairing, self.displayed()
        if pairing is None or plane is None:
            return False
        prompt = pairing.scene.prompt(plane)
        waiting = self.runner.active("predict") or self.state.model_status == "loading"
        return bool(prompt) and waiting

    # ---- actions

    def _do_on_pairing(self, action: Action) -> None:
        if action in (Action.UNDO, Action.REDO):
            self._walk(redo=action is Action.REDO)
        elif action is Action.ACCEPT:
            self.when_answered(self.objects.accept)
        elif action is Action.SKIP:
            self.objects.skip()
        elif action is Action.CLEAR:
            self.objects.clear()
        elif action is Action.TAKE_UP:
            self.objects.take_up_at(tuple(self.viewer.cursor.position))
        elif action is Action.PROPAGATE:
            self.when_answered(self.propagation.one)

    def _walk(self, *, redo: bool) -> None:
        pairing = self.pairing
        assert pairing is not None
        self.propagation.cancel()
        entry: Entry | None = pairing.timeline.redo() if redo else pairing.timeline.undo()
        if entry is None:
            return
        if pairing.annotation is not None:
            for write in entry.writes if redo else reversed(entry.writes):
                (write.apply if redo else write.revert)(pairing.annotation)
        pairing.set_scene(entry.after if redo else entry.before)
        self.state.object_id = pairing.scene.object_id
        self.state.message = ""
        if entry.plane is not None and entry.plane != self.displayed():
            self.go_to(entry.plane)
        self.request()

    def go_to(self, plane: Plane) -> None:
        """Have the viewer show a plane of the current image."""
        pairing, dims = self.pairing, self.viewer.dims
        if pairing is None:
            return
        offset = dims.ndim - pairing.image.ndim
        world = pairing.image.data_to_world(plane.position(0, 0))
        for axis, value in enumerate(world):
            if axis not in plane.axes and axis != pairing.channel_axis:
                dims.set_point(axis + offset, float(value))

    # ---- the model

    def _loaded(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.state.model_status = "ready"
        self.state.model_text = f"{segmenter.card.name} on {segmenter.device.type}"
        self.request()

    def _not_loaded(self, error: Exception) -> None:
        self.state.model_status = "failed"
        self.state.busy = False
        self._accept_next = None
        text = " ".join(str(error).split())
        self.state.model_text = f"No model: {text}"
        self.report(error if isinstance(error, ValueError) else ValueError(text))

    # ---- the viewer

    def activate(self, pairing: Pairing) -> None:
        """Make a pairing the current one."""
        if self.pairing is not pairing:
            self.propagation.cancel()
            self.runner.cancel("predict")
        self.pairing = pairing
        self.show_layers()
        self.state.object_id = pairing.scene.object_id
        self.wiring.plane_changed()

    def show_layers(self) -> None:
        """Bring the state's layers into line with the pairing."""
        state, pairing = self.state, self.pairing
        state.image = pairing.image if pairing else None
        state.annotation = pairing.annotation if pairing else None
        state.positive = pairing.positive if pairing else None
        state.negative = pairing.negative if pairing else None
        state.prediction = pairing.overlay.layer if pairing and pairing.overlay else None

    def show_counts(self) -> None:
        """Bring the state's counts into line with the scene."""
        state, pairing, plane = self.state, self.pairing, self.displayed()
        clicks = pairing.scene.prompt(plane).clicks if pairing and plane else ()
        state.n_positive = sum(click.positive for click in clicks)
        state.n_negative = len(clicks) - state.n_positive
        state.n_objects = len(pairing.scene.objects) if pairing else 0
        state.can_undo = bool(pairing and pairing.timeline.can_undo)
        state.can_redo = bool(pairing and pairing.timeline.can_redo)
        editing = pairing.scene.draft(plane).editing if pairing and plane else None
        state.editing = editing is not None

    def let_go(self) -> None:
        """Have no current pairing: its image was removed."""
        self.propagation.cancel()
        self.runner.cancel("predict")
        self.pairing = None
        self.state.busy = False
        self.state.tool = False
        self.show_layers()
        self.show_counts()
        self.state.message = "The image was removed; your labels are still there."

    def _tool_left(self) -> None:
        self.state.tool = False

    def _default_image(self) -> Image | None:
        layers = self.viewer.layers
        active = layers.selection.active
        if isinstance(active, Image):
            return active
        ours = {id(p.probability.layer) for p in self.pairings.values() if p.probability}
        images = [layer for layer in layers if isinstance(layer, Image) and id(layer) not in ours]
        return images[-1] if images else None

    def _check_image(self, image: Image) -> None:
        axis = self.state.channel_axis
        plane = displayed_plane(self.viewer.dims, image, axis)
        if plane is None:
            raise ValueError(
                "Show a 2D plane of the image first (2D view, sliders within the image), with "
                "its channels on a slider."
            )
        ImageSource(plane_data(image, plane, axis), rgb=bool(image.rgb))


def _load(model: str, device: str, half: bool) -> Segmenter:
    """Load a model; runs on the worker thread, where torch is imported."""
    from napari_clickseg.segmenter import load_segmenter

    return load_segmenter(model, device, half=half)
