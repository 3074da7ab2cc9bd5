"""An image of a cross-fitting as layers: its regions, and its clicks, which can be edited."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Points
from napari.layers.base import ActionType
from psygnal import Signal

from napari_clickseg._napari.viewer.colours import label_colormap
from napari_clickseg._napari.viewer.front import bring_into_view, take_units
from napari_clickseg._napari.viewer.layers import (
    NEGATIVE,
    POSITIVE,
    as_positions,
    remove_layers,
    unwrapped,
)
from napari_clickseg.core.clicks import Click
from napari_clickseg.pictures.outcomes import COLOURS, PixelOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers.base import Layer

    from napari_clickseg.crossfit.editing import ImageRegions
    from napari_clickseg.data.click_table import TableClick

# In the order of `editing.KINDS`.
_OUTCOMES = (
    PixelOutcome.TRUE_POSITIVE,
    PixelOutcome.FALSE_POSITIVE,
    PixelOutcome.FALSE_NEGATIVE,
)
_REGIONS = "regions: TP, FP, FN"
_POSITIVE, _NEGATIVE = "positive clicks", "negative clicks"
_CLICK = 40  # clicks have a diameter of the image's side over this
_DONE = (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED)


class RegionLayers:
    """Shows one image after the other in the same four layers; runs on the main thread.

    What else is open is hidden meanwhile.
    """

    edited = Signal()  # the user changed clicks with napari's tools
    removed = Signal()  # the user removed one of the layers
    walked = Signal(bool)  # napari is asked to undo, or (True) to redo

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layers: list[Layer] = []
        self._hidden: list[Layer] = []
        self._before: tuple[Any, ...] = ()  # where the camera was
        self._busy = False
        self._shown: ImageRegions | None = None
        viewer.layers.events.removed.connect(self._layer_removed)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that were made."""
        return tuple(self._layers)

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks that the layers show, positive ones first."""
        if len(self._layers) < 4:
            return ()
        return tuple(
            Click(y, x, positive)
            for layer, positive in ((self._layers[2], True), (self._layers[3], False))
            for y, x in as_positions(layer.data)
        )

    def show(self, sight: ImageRegions, *, editable: bool) -> bool:
        """Show an image with its regions and clicks.

        Returns
        -------
        bool
            Whether all is shown. If not, this is to be called again: napari takes a while for
            each layer. Until then the clicks are those that were there before.
        """
        begun = 0 < len(self._layers) < 4 and self._shown is not sight
        if begun or not all(layer in self._viewer.layers for layer in self._layers):
            self._forget()  # some are of another image, or the user removed some
        self._busy = True
        try:
            if len(self._layers) < 4:
                self._shown = sight
                self._add(sight)
                if len(self._layers) < 4:
                    return False
                self._finish()
            elif self._shown is not sight:
                self._shown = sight
                self._fill(sight)
                return False
            else:
                self._put(sight.clicks)
            self._appear(editable)
        finally:
            self._busy = False
        return True

    def put(self, clicks: Sequence[TableClick]) -> None:
        """Show other clicks on the same image."""
        self._busy = True
        try:
            if len(self._layers) == 4:
                self._put(clicks)
        finally:
            self._busy = False

    def set_editable(self, editable: bool) -> None:
        """Let napari's tools change the clicks, or not."""
        for layer in self._layers[2:]:
            layer.editable = editable
        if len(self._layers) > 1:
            self._layers[1].editable = False

    def hide(self) -> None:
        """Hide the layers, and show again what was hidden for them.

        They stay, to be filled again: with Mesa's software renderer, what draws after a layer of
        points was removed crashes now and then.
        """
        self.set_editable(False)
        for layer in self._layers:
            layer.visible = False
        hidden, self._hidden = self._hidden, []
        for layer in hidden:
            if layer in self._viewer.layers:
                layer.visible = True
        if self._before and hidden:
            camera = self._viewer.scene.camera
            camera.center, camera.zoom, self._viewer.dims.ndisplay = self._before
        self._before = ()

    def end(self) -> None:
        """Let go of the viewer; the layers stay."""
        self._viewer.layers.events.removed.disconnect(self._layer_removed)

    def _forget(self) -> None:
        gone, self._layers = self._layers, []
        remove_layers(self._viewer, gone)

    def _fill(self, sight: ImageRegions) -> None:
        """Show another image, and its regions, in the layers that are there."""
        image: Any = self._layers[0]
        shape = image.data.shape
        if image.rgb != sight.rgb or image.data.ndim != sight.pixels.ndim:
            place = self._viewer.layers.index(image)
            self._layers[0] = _image(sight)
            take_units(self._viewer, self._layers[0])
            self._viewer.layers.insert(place, self._layers[0])
            self._viewer.layers.remove(image)
        else:
            image.name, image.data = Path(sight.image).name, sight.pixels
            if not sight.rgb:
                image.reset_contrast_limits()
        self._layers[1].data = sight.kinds
        if shape != sight.pixels.shape and self._before:
            bring_into_view(self._viewer, self._layers[:1])

    def _appear(self, editable: bool) -> None:
        """Show the layers alone, and let clicks be edited."""
        if not self._before:
            self._hide_others()
            for layer in self._layers:
                layer.visible = True
            bring_into_view(self._viewer, self._layers[:1])
            self._viewer.layers.selection.active = self._layers[2]
            self.set_editable(editable)
            if editable:
                self._layers[2].mode = "select"
        self.set_editable(editable)

    def _add(self, sight: ImageRegions) -> None:
        """Add the next of the layers."""
        layer = (_image, _regions, _positive, _negative)[len(self._layers)](sight)
        layer.visible = False
        take_units(self._viewer, layer)
        self._viewer.layers.append(layer)
        self._layers.append(unwrapped(layer))

    def _finish(self) -> None:
        """Follow what the user does in the layers."""
        for layer in self._layers[2:]:
            layer.events.data.connect(self._points_event)
            layer.bind_key("Control-Z", lambda _: self.walked.emit(False), overwrite=True)
            layer.bind_key("Control-Shift-Z", lambda _: self.walked.emit(True), overwrite=True)

    def _hide_others(self) -> None:
        camera = self._viewer.scene.camera
        self._before = camera.center, camera.zoom, self._viewer.dims.ndisplay
        self._viewer.dims.ndisplay = 2
        self._hidden = [layer for layer in self._viewer.layers if layer.visible]
        for layer in self._hidden:
            layer.visible = False

    def _put(self, clicks: Sequence[TableClick]) -> None:
        for layer, positive in ((self._layers[2], True), (self._layers[3], False)):
            points: Any = layer
            points.selected_data = set()
            points.data = _positions(clicks, positive)

    def _layer_removed(self, event: Any) -> None:
        if not self._busy and any(event.value == layer for layer in self._layers):
            self.removed.emit()

    def _points_event(self, event: Any) -> None:
        if not self._busy and event.action in _DONE:
            self.edited.emit()


def _image(sight: ImageRegions) -> Layer:
    return Image(sight.pixels, rgb=sight.rgb, name=Path(sight.image).name)


def _regions(sight: ImageRegions) -> Layer:
    colours = label_colormap([COLOURS[one] for one in _OUTCOMES])
    return Labels(sight.kinds, name=_REGIONS, colormap=colours, opacity=0.5)


def _positive(sight: ImageRegions) -> Layer:
    return _points(sight, positive=True)


def _negative(sight: ImageRegions) -> Layer:
    return _points(sight, positive=False)


def _points(sight: ImageRegions, *, positive: bool) -> Points:
    size = max(3.0, max(sight.kinds.shape) / _CLICK)
    layer = Points(
        _positions(sight.clicks, positive),
        ndim=2,
        name=_POSITIVE if positive else _NEGATIVE,
        face_color=POSITIVE if positive else NEGATIVE,
        border_color="white",
        border_width=0.15,
        symbol="disc" if positive else "square",
        size=size,
    )
    layer.current_size = size
    return layer


def _positions(clicks: Sequence[TableClick], positive: bool) -> Any:
    positions = [(click.y, click.x) for click in clicks if click.positive == positive]
    return np.array(positions, float).reshape(-1, 2)
