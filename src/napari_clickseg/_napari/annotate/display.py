"""How the prediction on an image is shown: as a mask, and as a probability on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels

from napari_clickseg._napari.viewer.colours import class_colours, label_colormap
from napari_clickseg._napari.viewer.metadata import under_review
from napari_clickseg._napari.viewer.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers.base import Layer
    from napari.utils.colormaps import CyclicLabelColormap

    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.engine.segmenter import Prediction


class Display:
    """The layers that show a prediction; they are made when they are needed.

    Parameters
    ----------
    image : Image
        That it lies on.
    put : callable
        ``put(layer, below)`` puts a layer into the viewer, below another one of these.
    """

    def __init__(
        self, image: Image, channel_axis: int | None, put: Callable[[Layer, Layer | None], Any]
    ) -> None:
        self._image, self._channel_axis, self._put = image, channel_axis, put
        self.overlay: Overlay | None = None
        self.probability: Overlay | None = None
        self.prediction: Prediction | None = None
        self.answered: tuple[Plane, Prompt] | None = None
        self._several = False  # classes in one prediction

    def layers(self) -> list[Layer]:
        """Return the layers that are there."""
        return [overlay.layer for overlay in self._overlays()]

    def forget(self, layer: Layer) -> bool:
        """Let go of a layer that was removed; return whether it was one of these."""
        if self.overlay is not None and layer == self.overlay.layer:
            self.overlay = None
        elif self.probability is not None and layer == self.probability.layer:
            self.probability = None
        else:
            return False
        return True

    def follow(self) -> None:
        """Go where the image is now."""
        for overlay in self._overlays():
            overlay.follow()

    def show(
        self, state: AnnotateState, plane: Plane, prompt: Prompt, prediction: Prediction
    ) -> None:
        """Show the answer to a prompt."""
        self.prediction, self.answered = prediction, (plane, prompt)
        overlay = self.make(state)
        several = bool((prediction.class_part > 1).any())
        if several != self._several:
            self._several = several
            self.look(state)
        overlay.show(plane, prediction.extent, prediction.class_part)
        if self.probability is not None:
            self.probability.show(plane, prediction.extent, prediction.part)

    def show_nothing(self) -> None:
        """Clear the prediction."""
        self.prediction = self.answered = None
        for overlay in self._overlays():
            overlay.clear()

    def look(self, state: AnnotateState) -> None:
        """Draw the prediction as the state says."""
        if self.overlay is None:
            return
        layer = self.overlay.layer
        layer.visible = state.shown != "hidden"
        layer.opacity = state.opacity
        layer.contour = 2 if state.shown == "contour" else 0
        layer.colormap = self._colours(state)

    def make(self, state: AnnotateState) -> Overlay:
        """Return the mask's overlay; it is made if there is none."""
        if self.overlay is None:

            def make(data: npt.NDArray[Any], transform: dict[str, Any]) -> Labels:
                name = f"{self._image.name} prediction"
                # Also when nobody looks after it any more it is no annotation.
                known = {"colormap": self._colours(state), "metadata": under_review()}
                layer = Labels(data, name=name, **known, **transform)
                self._put(layer, None)
                return layer

            self.overlay = Overlay(self._image, self._channel_axis, np.uint8, make)
            self.look(state)
        return self.overlay

    def show_probability(self, on: bool) -> Layer | None:
        """Add the probability layer, or return the one that is to be removed."""
        if not on:
            gone, self.probability = self.probability, None
            return None if gone is None else gone.layer
        if self.probability is None:
            self.probability = Overlay(
                self._image, self._channel_axis, np.float32, self._make_probability
            )
            if self.prediction is not None and self.answered is not None:
                prediction = self.prediction
                self.probability.show(self.answered[0], prediction.extent, prediction.part)
        return None

    def _make_probability(self, data: npt.NDArray[Any], transform: dict[str, Any]) -> Image:
        layer = Image(
            data,
            name=f"{self._image.name} probability",
            colormap="magma",
            contrast_limits=(0, 1),
            blending="additive",
            opacity=0.7,
            **transform,
        )
        self._put(layer, self.overlay.layer if self.overlay else None)
        return layer

    def _overlays(self) -> list[Overlay]:
        return [one for one in (self.overlay, self.probability) if one is not None]

    def _colours(self, state: AnnotateState) -> CyclicLabelColormap:
        """Return the current class's colour for a mask; for several classes, a colour for each."""
        if self._several:
            return self.class_colours(state)
        return label_colormap([state.current_class.colour])

    def class_colours(self, state: AnnotateState) -> CyclicLabelColormap:
        """Return a colormap of ids that are classes."""
        return label_colormap(class_colours({one.identifier: one.colour for one in state.classes}))
