"""Which image is annotated, and with which layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Labels, Points
from psygnal import Signal

from napari_clickseg._napari.annotate.pairing import Pairing
from napari_clickseg._napari.annotate.sessions import SessionMemory
from napari_clickseg._napari.viewer.front import Front
from napari_clickseg._napari.viewer.label_matching import LabelMatch, clicks_of, match_labels
from napari_clickseg._napari.viewer.layers import full_resolution, remove_layers
from napari_clickseg._napari.viewer.metadata import is_explaining, is_under_review
from napari_clickseg._napari.viewer.planes import displayed_plane, plane_data
from napari_clickseg.core.source import ImageSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from napari.layers.base import Layer

    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.propagation import Propagation
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg.core.plane import Plane

_LABELS_STAY = "The image was removed; your labels are still there."
_PYRAMID = (
    " So large an annotation is a pyramid, which napari's File menu can't save: Save to project "
    "(Shift+S) can."
)


class Images:
    """Pairs images with layers, and says which pairing is the current one."""

    turned = Signal()  # another image is annotated

    def __init__(
        self,
        context: Context,
        status: Status,
        identity: Identity,
        answers: Answers,
        propagation: Propagation,
    ) -> None:
        self._context, self._state, self._status = context, context.state, status
        self._identity, self._answers, self._propagation = identity, answers, propagation
        self._front = Front(context.viewer)
        self._asked: str | None = None

    # ---- which layers

    def adopt(
        self,
        image: Image | None,
        annotation: Labels | None,
        positive: Points | None,
        negative: Points | None,
        *,
        afresh: bool = False,
    ) -> None:
        """Pair an image with layers that are open, make what is not given, and begin.

        `afresh` says that a new annotation layer is made even where there is one.
        """
        context, state = self._context, self._state
        image = image if image is not None else self._default()
        if image is None:
            state.message = "Open an image first (File menu, or drop one on the window)."
            return
        self._propagation.cancel()
        there = context.pairings.get(image)
        pairing = there
        try:
            if pairing is None or pairing.channel_axis != state.channel_axis:
                self._check(image)
                if pairing is None:
                    self._remove_left(image)
                pairing = Pairing(context.viewer, image, state.channel_axis, context.events)
            if afresh and annotation is None:
                pairing.leave_annotation()
            self._complete(pairing, annotation, positive, negative)
        except ValueError as error:
            if pairing is not None and pairing is not there:
                pairing.close()
            state.message = str(error)
            return
        context.pairings[image] = pairing
        if there is not None and there is not pairing:
            there.close()
            there.discard()
        self.activate(pairing)
        self._select(image)
        state.tool = True
        state.message = "Click on an object or drag a box around it; right click what is wrong."
        if pairing.annotation is not None and pairing.annotation.multiscale:
            state.message += _PYRAMID
        if annotation is not None:
            state.message = f"Objects go on in '{annotation.name}'. {state.message}"

    def _remove_left(self, image: Image) -> None:
        """Take out what a widget that was closed showed; there would be two of them."""
        viewer = self._context.viewer
        shown = [one for p in self._context.pairings.values() for one in p.display.layers()]
        name = f"{image.name} prediction"
        left = [one for one in viewer.layers if one.name == name and one not in shown]
        remove_layers(viewer, [o for o in left if isinstance(o, Labels) and is_under_review(o)])

    def find(self, image: Image | None) -> None:
        """Pair an image with the layers that clearly belong to it; ask where that is not clear."""
        context, state = self._context, self._state
        image = image if image is not None else self._default()
        if image is None or image in context.pairings:
            self.adopt(image, None, None, None)
            return
        match = self.matching_labels(image)
        if match.possible:
            named = " or ".join(f"'{one.name}'" for one in match.possible)
            state.message = (
                f"Which labels belong to '{image.name}': {named}, or new ones? Choose under "
                "“Labels”, then press “Annotate this image”."
            )
            return
        layers = context.viewer.layers
        positive, negative = (clicks_of(image, layers, positive=p) for p in (True, False))
        self.adopt(image, match.labels, positive, negative)

    def matching_labels(self, image: Image) -> LabelMatch:
        """Return the open labels that belong to an image."""
        context = self._context
        others = [p for p in context.pairings.values() if p.image != image]
        taken = [layer for pairing in others for layer in pairing.layers()]
        here = context.pairings.get(image)
        taken += here.display.layers() if here is not None else []
        axis = self._state.channel_axis
        return match_labels(image, axis, context.viewer.layers, taken)

    # ---- which image

    def choose(self, image: Image) -> None:
        """Show an image in front; clicks go to it if it is set up, and to none if it is not."""
        context = self._context
        pairing = context.pairings.get(image)
        if pairing is None:
            before = self._asked
            self._asked = f"Press “Annotate this image” to annotate '{image.name}'."
            if context.pairing is not None:
                self._rest(self._asked)
            elif self._state.message == before:
                self._state.message = self._asked
            self._bring(image)
        elif pairing is not context.pairing:
            self.activate(pairing)
        self._select(image)

    def activate(self, pairing: Pairing) -> None:
        """Make a pairing the current one."""
        context, state = self._context, self._state
        another = context.pairing is not pairing
        if another:
            self._propagation.cancel()
            context.runner.cancel("predict")
            context.runner.cancel("take_up")
        context.turn_to(pairing)
        self._bring(pairing.image)
        state.channel_axis = pairing.channel_axis
        self._status.show_layers()
        self._identity.restore(pairing)
        self._identity.save_with(pairing)
        pairing.look(state)
        pairing.show_probability(state.probability)
        self._show_plane(pairing, context.plane)
        if another:
            self.turned.emit()

    def close(self) -> None:
        """Let go of all images; the layers stay, those in front as they were before."""
        self._front.restore()
        for pairing in self._context.pairings.values():
            pairing.close()

    def seen_at(self, position: Sequence[float], pairing: Pairing) -> Image | None:
        """Return the image that covers a pairing's at a world position, if one does."""
        return self._front.seen_at(position, pairing.layers())

    def _drop(self, pairing: Pairing, message: str) -> None:
        context = self._context
        del context.pairings[pairing.image]
        self._front.restore(pairing.layers())
        if pairing is context.pairing:
            self._answers.forget()
            self._state.tool = False
            self._rest(message)
        pairing.display.show_nothing()
        pairing.close()

    def _rest(self, message: str) -> None:
        """Have clicks go to no image; what was made stays, and is gone on with later."""
        context, state = self._context, self._state
        self._propagation.cancel()
        context.runner.cancel("predict")
        context.runner.cancel("take_up")
        context.turn_to(None)
        state.busy = False
        state.reading, state.readings = 0, 1
        self._status.show_layers()
        self._status.show_counts()
        state.message = message

    def _select(self, image: Image) -> None:
        """Have napari's own tools act on an image and its layers, not on one that is hidden."""
        pairing, selection = (
            self._context.pairings.get(image),
            self._context.viewer.layers.selection,
        )
        if selection.active not in (pairing.layers() if pairing is not None else [image]):
            selection.active = image

    def _bring(self, image: Image) -> None:
        pairings = self._context.pairings
        pairing = pairings.get(image)
        own = pairing.layers() if pairing is not None else [image]
        others = [p for p in pairings.values() if p is not pairing]
        self._front.bring(own, [layer for one in others for layer in one.layers()])

    # ---- what happens in the viewer and to layers

    def plane_changed(self) -> None:
        """Show what there is on the plane that is displayed now."""
        pairing, plane = self._context.resolve()
        if pairing is not None:
            self._show_plane(pairing, plane)

    def _show_plane(self, pairing: Pairing, plane: Plane | None) -> None:
        if pairing.image not in self._context.viewer.layers:
            return
        state, axis = self._state, pairing.walking_axis()
        finest: Any = full_resolution(pairing.image)
        state.planes = 1 if axis is None else int(finest.shape[axis])
        state.plane = 0 if axis is None or plane is None else plane.index[axis]
        answered = pairing.display.answered
        if answered is None or answered[0] != plane:
            pairing.display.show_nothing()
        self._answers.request()

    def active_changed(self) -> None:
        """Go on with the image that a selected layer belongs to."""
        context = self._context
        active = context.viewer.layers.selection.active
        if active is None or (context.pairing is not None and active in context.pairing.layers()):
            return
        for pairing in context.pairings.values():
            if active in pairing.layers():
                self.activate(pairing)
                return

    def pointed_at(self, position: tuple[float, ...]) -> tuple[Pairing, Plane] | None:
        """Work out what a gesture at a world position is about; say why where it can't be."""
        context, state = self._context, self._state
        pairing, plane = context.resolve()
        if pairing is None:
            state.message = "Choose an image and press “Annotate this image” first."
            return None
        if plane is None:
            state.message = "Clicks need a 2D view of the image; leave 3D or move the sliders."
            return None
        return None if self.covered(position, pairing) else (pairing, plane)

    def covered(self, position: tuple[float, ...], pairing: Pairing) -> bool:
        """Whether another image is what one sees at a world position; say so."""
        seen = self.seen_at(position, pairing)
        if seen is not None:
            self._state.message = (
                f"That is '{seen.name}', but '{pairing.image.name}' is being annotated; choose "
                f"'{seen.name}' under “Image” to annotate it, or hide it."
            )
        return seen is not None

    def layer_removed(self, event: Any) -> None:
        """Do without a layer that the user removed."""
        context, state, layer = self._context, self._state, event.value
        if context.pairing is not None and layer in context.pairing.layers():
            self._propagation.cancel()
        for image, pairing in list(context.pairings.items()):
            if layer == image:
                self._drop(pairing, _LABELS_STAY)
            elif pairing.forget(layer) and pairing is context.pairing:
                self._do_without(layer, pairing)
        if state.region_source is not None and layer == state.region_source:
            state.region_source = None
        if state.message == _LABELS_STAY and not any(
            isinstance(one, Labels) for one in context.viewer.layers
        ):
            state.message = ""

    def _do_without(self, layer: Layer, pairing: Pairing) -> None:
        self._status.show_layers()
        self._state.probability = pairing.display.probability is not None
        if pairing.annotation is None or None in (pairing.positive, pairing.negative):
            self._state.message = (
                f"The layer '{layer.name}' was removed; press “Annotate this image” to "
                "have a new one."
            )
        self._answers.request()

    def image_edited(self, pairing: Pairing) -> None:
        """Answer anew: the model sees another image."""
        pairing.sessions = SessionMemory()
        if pairing is self._context.pairing:
            self._answers.request()

    def contrast_changed(self, pairing: Pairing) -> None:
        """Answer anew, where the model sees the image with these contrast limits."""
        if self._state.contrast_from_layer:
            self.image_edited(pairing)

    def reshaped(self, pairing: Pairing) -> None:
        """Let go of an image whose layers don't fit any more."""
        self._drop(
            pairing,
            f"The image '{pairing.image.name}' has another shape now; press “Annotate this image” "
            "to have new layers for it.",
        )

    # ---- choices of the user

    def contrast_switched(self) -> None:
        """Answer anew: the model sees all images with other contrast limits."""
        for pairing in self._context.pairings.values():
            self.image_edited(pairing)

    def look_changed(self) -> None:
        """Draw prediction and clicks as the state says."""
        if self._context.pairing is not None:
            self._context.pairing.look(self._state)

    def probability_switched(self, on: bool) -> None:
        """Add or remove the probability layer."""
        if self._context.pairing is not None:
            self._context.pairing.show_probability(on)

    def channels_changed(self) -> None:
        """Pair the image anew, with another axis for its channels."""
        pairing = self._context.pairing
        if pairing is not None and pairing.channel_axis != self._state.channel_axis:
            self.adopt(pairing.image, None, None, None)

    # ---- pairing

    def _complete(
        self,
        pairing: Pairing,
        annotation: Labels | None,
        positive: Points | None,
        negative: Points | None,
    ) -> None:
        before = pairing.annotation
        pairing.complete(self._state, annotation=annotation, positive=positive, negative=negative)
        if annotation is not None and pairing.annotation is not before:
            annotation.visible = True  # nobody annotates what he can't see
            self._identity.survey(pairing)

    def _default(self) -> Image | None:
        layers, pairings = self._context.viewer.layers, self._context.pairings.values()
        active = layers.selection.active
        ours = [layer for pairing in pairings for layer in pairing.display.layers()]
        ours += [layer for layer in layers if is_explaining(layer)]
        if isinstance(active, Image) and active not in ours:
            return active
        images = [layer for layer in layers if isinstance(layer, Image) and layer not in ours]
        return images[-1] if images else None

    def _check(self, image: Image) -> None:
        """Raise ValueError if an image can't be annotated as it is shown."""
        axis = self._state.channel_axis
        plane = displayed_plane(self._context.viewer.dims, image, axis)
        if plane is None:
            raise ValueError(
                "Show a 2D plane of the image first (2D view, sliders within the image), with "
                "its channels on a slider."
            )
        ImageSource(plane_data(image, plane, axis), rgb=bool(image.rgb))
