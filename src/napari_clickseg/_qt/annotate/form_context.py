"""What every form of the Annotate widget works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.viewer.metadata import is_explaining

if TYPE_CHECKING:
    from napari.layers.base import Layer

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg._qt.parts.binding import Ties


@dataclass(frozen=True)
class FormContext:
    """A viewer, the controller of its annotation, and the ties of one widget."""

    viewer: Any
    controller: AnnotateController
    ties: Ties

    @property
    def state(self) -> AnnotateState:
        """What the widget shows."""
        return self.controller.state

    def is_companion(self, layer: Layer) -> bool:
        """Whether a layer was made to go with an image, the annotation included."""
        return is_explaining(layer) or any(
            layer == one
            for pairing in self.controller.pairings.values()
            for one in pairing.layers()
            if one != pairing.image
        )
