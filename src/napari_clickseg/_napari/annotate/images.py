"""Which image is annotated, and with which layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Labels, Points

from napari_clickseg._napari.annotate.pairing import Pairing
from napari_clickseg._napari.viewer.belonging import Belonging, belonging, clicks_of
from napari_clickseg._napari.viewer.planes import displayed_plane, plane_data
from napari_clickseg.core.source import ImageSource

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.controller import AnnotateController

__all__ = ["Images"]

_PYRAMID = (
    " So large an annotation is a pyramid, which napari's File menu can't save: Save to project "
    "(Shift+S) can."
)


class Images:
    """Pairs images with layers.

    Parameters
    ----------
    owner : AnnotateController
    """

    def __init__(self, owner: AnnotateController) -> None:
        self._owner = owner

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
        owner, state = self._owner, self._owner.state
        image = image if image is not None else self._default()
        if image is None:
            state.message = "Open an image first (File menu, or drop one on the window)."
            return
        owner.propagation.cancel()
        there = owner.pairings.get(image)
        pairing = there
        try:
            if pairing is None or pairing.channel_axis != state.channel_axis:
                self._check(image)
                pairing = Pairing(owner.viewer, image, state.channel_axis, owner.wiring.reactions)
            if afresh and annotation is None:
                pairing.leave_annotation()
            self._complete(pairing, annotation, positive, negative)
        except ValueError as error:
            if pairing is not None and pairing is not there:
                pairing.close()
            state.message = str(error)
            return
        owner.pairings[image] = pairing
        if there is not None and there is not pairing:
            there.close()
            there.discard()
        owner.activate(pairing)
        state.tool = True
        state.message = "Click on an object; right click where it should not be."
        if pairing.annotation is not None and pairing.annotation.multiscale:
            state.message += _PYRAMID
        if annotation is not None:
            state.message = f"Objects go on in '{annotation.name}'. {state.message}"

    def find(self, image: Image | None) -> None:
        """Pair an image with the layers that clearly belong to it; ask where that is not clear."""
        owner, state = self._owner, self._owner.state
        image = image if image is not None else self._default()
        if image is None or image in owner.pairings:
            self.adopt(image, None, None, None)
            return
        found = self.belonging(image)
        if found.possible:
            named = " or ".join(f"'{one.name}'" for one in found.possible)
            state.message = (
                f"Which labels belong to '{image.name}': {named}, or new ones? Choose under "
                "“Labels”, then press “Annotate this image”."
            )
            return
        layers = owner.viewer.layers
        positive, negative = (clicks_of(image, layers, positive=p) for p in (True, False))
        self.adopt(image, found.labels, positive, negative)

    def belonging(self, image: Image) -> Belonging:
        """Return the open labels that belong to an image."""
        owner = self._owner
        others = [p for p in owner.pairings.values() if p.image != image]
        taken = [layer for pairing in others for layer in pairing.layers()]
        here = owner.pairings.get(image)
        taken += here.display.layers() if here is not None else []
        axis = owner.state.channel_axis
        return belonging(image, axis, owner.viewer.layers, taken)

    def _complete(
        self,
        pairing: Pairing,
        annotation: Labels | None,
        positive: Points | None,
        negative: Points | None,
    ) -> None:
        before = pairing.annotation
        pairing.complete(
            self._owner.state, annotation=annotation, positive=positive, negative=negative
        )
        if annotation is not None and pairing.annotation is not before:
            self._owner.identity.survey(pairing)

    def _default(self) -> Image | None:
        layers, pairings = self._owner.viewer.layers, self._owner.pairings.values()
        active = layers.selection.active
        ours = [layer for pairing in pairings for layer in pairing.display.layers()]
        if isinstance(active, Image) and active not in ours:
            return active
        images = [layer for layer in layers if isinstance(layer, Image) and layer not in ours]
        return images[-1] if images else None

    def _check(self, image: Image) -> None:
        """Raise ValueError if an image can't be annotated as it is shown."""
        axis = self._owner.state.channel_axis
        plane = displayed_plane(self._owner.viewer.dims, image, axis)
        if plane is None:
            raise ValueError(
                "Show a 2D plane of the image first (2D view, sliders within the image), with "
                "its channels on a slider."
            )
        ImageSource(plane_data(image, plane, axis), rgb=bool(image.rgb))
