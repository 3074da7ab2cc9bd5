"""What was found, shown over the image until it is kept or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import label_colormap

from napari_clickseg._napari.viewer.colours import same_colours, score_colours
from napari_clickseg._napari.viewer.metadata import under_review
from napari_clickseg._napari.viewer.overlay import Overlay

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers.base import Layer

    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.searching.new_objects import NewObjects
    from napari_clickseg.core.plane import Plane

_OPACITY = 0.6


class NewObjectsPreview:
    """A layer with the objects that were found; there is none while nothing is shown."""

    def __init__(self) -> None:
        self._overlay: Overlay | None = None
        self._pairing: Pairing | None = None

    def show(self, pairing: Pairing, plane: Plane, new: NewObjects) -> None:
        """Show what was found on a plane of an image, and nothing else."""
        if self._overlay is None or self._pairing is not pairing:
            self.take_away()
            self._pairing = pairing
            self._overlay = Overlay(pairing.image, pairing.channel_axis, np.uint16, self._make)
        self._overlay.show(plane, new.box, new.shown)

    def colour(self, new: NewObjects, *, by_score: bool) -> None:
        """Colour the objects by how sure the model is of them, or each in its own."""
        if self._overlay is not None:
            colours = score_colours(new.scores) if by_score else label_colormap()
            if not same_colours(self._overlay.layer.colormap, colours):
                self._overlay.layer.colormap = colours

    def is_shown_by(self, layer: Layer) -> bool:
        """Whether a layer is the preview's."""
        return self._overlay is not None and layer == self._overlay.layer

    def forget(self) -> None:
        """Let go of the layer, which was removed."""
        self._overlay = self._pairing = None

    def take_away(self) -> None:
        """Take the layer out of the viewer."""
        overlay, pairing = self._overlay, self._pairing
        self.forget()
        if overlay is not None and pairing is not None and overlay.layer in pairing.viewer.layers:
            pairing.viewer.layers.remove(overlay.layer)

    def _make(self, data: npt.NDArray[Any], transform: dict[str, Any]) -> Labels:
        assert self._pairing is not None
        layer = Labels(
            data,
            name=f"{self._pairing.image.name} found",
            opacity=_OPACITY,
            metadata=under_review(),  # it is no annotation until it is kept
            **transform,
        )
        self._pairing.add_on_top(layer)
        return layer
