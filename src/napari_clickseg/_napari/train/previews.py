"""Predictions on validation images, side by side in three layers that are refreshed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels

from napari_clickseg._napari.viewer.colours import class_colours, label_colormap
from napari_clickseg._napari.viewer.front import bring_into_view, take_units
from napari_clickseg._napari.viewer.layers import remove_layers
from napari_clickseg.data.classes import read_classes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers.base import Layer

    from napari_clickseg.training.progress import Preview

_SIDE = 512  # pixels: larger images are shown smaller, so that refreshing stays quick
_GAP = 8
_NAMES = ("validation images", "validation truth", "validation predictions")


@dataclass(frozen=True, slots=True)
class Montage:
    """Images with what is true of them and what was predicted.

    Parameters
    ----------
    image : uint8 (Y, X, 3)
    truth, prediction : int32 (Y, X)
    colours : tuple of str
        Of the ids from 1 on, where they are classes.
    """

    image: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.int32]
    prediction: npt.NDArray[np.int32]
    colours: tuple[str, ...] = ()


def montage(
    project: Path, run: Path, previews: Sequence[Preview], *, of_classes: bool = False
) -> Montage:
    """Read previews and lay them side by side; runs on a worker thread.

    Parameters
    ----------
    project : Path
        The folder that the images' and masks' paths are relative to.
    run : Path
        The folder of the run.
    previews : sequence of Preview
        At least one.
    of_classes : bool
        Their ids are the project's classes, and get their colours.

    Raises
    ------
    ImageError
        If a file can't be read.
    ProjectError
        If the project's classes can't be read.
    """
    parts = [_part(project, run, preview) for preview in previews]
    height = max(part.truth.shape[0] for part in parts)
    width = sum(part.truth.shape[1] for part in parts) + _GAP * (len(parts) - 1)
    whole = Montage(
        np.zeros((height, width, 3), np.uint8),
        np.zeros((height, width), np.int32),
        np.zeros((height, width), np.int32),
        _class_colours(project) if of_classes else (),
    )
    left = 0
    for part in parts:
        place = np.s_[: part.truth.shape[0], left : left + part.truth.shape[1]]
        whole.image[place] = part.image
        whole.truth[place] = part.truth
        whole.prediction[place] = part.prediction
        left += part.truth.shape[1] + _GAP
    return whole


def _class_colours(project: Path) -> tuple[str, ...]:
    classes = read_classes(project)
    known = {} if classes is None else {one.id: one.colour for one in classes.classes}
    return class_colours(known)


def _part(project: Path, run: Path, preview: Preview) -> Montage:
    from napari_clickseg.core.intensity import measure, to_channels
    from napari_clickseg.core.source import ImageSource
    from napari_clickseg.data.images import read_plane
    from napari_clickseg.data.masks import read_labels

    plane = read_plane(project / preview.image)
    source = ImageSource(plane.data, rgb=plane.rgb)
    step = max(1, -(-max(source.shape) // _SIDE))
    pixels = source.read_all()[::step, ::step]
    colours = to_channels(measure(source).apply(pixels), 3)
    prediction = _fitted(read_labels(run / preview.prediction), source.shape, step)
    truth = np.zeros_like(prediction)
    if preview.truth:
        truth = _fitted(read_labels(project / preview.truth), source.shape, step)
    return Montage((255 * colours + 0.5).astype(np.uint8), truth, prediction)


def _fitted(labels: npt.NDArray[Any], shape: tuple[int, int], step: int) -> npt.NDArray[np.int32]:
    """Take every `step`-th pixel of the image's; a preview may have been written smaller."""
    rows, columns = (
        np.arange(0, n, step) * have // n for n, have in zip(shape, labels.shape, strict=True)
    )
    return np.asarray(labels[np.ix_(rows, columns)], np.int32)


class PreviewLayers:
    """Shows montages in a viewer; runs on the main thread."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layers: list[Layer] = []
        self._shape: tuple[int, ...] = ()
        self._where: dict[str, Any] = {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that were made."""
        return tuple(self._layers)

    @property
    def there(self) -> bool:
        """Whether the layers are there; the user may have removed some."""
        return bool(self._layers) and all(layer in self._viewer.layers for layer in self._layers)

    def show(self, shown: Montage) -> bool:
        """Show a montage: in the layers that are there, or in new ones beside what is open.

        Returns
        -------
        bool
            Whether all is shown. If not, this is to be called again: napari takes a while for
            each new layer, so one is added at a time.
        """
        if self._layers and (not self.there or shown.truth.shape != self._shape):
            self.remove()
        if len(self._layers) < len(_NAMES):
            self._add(shown)
            if len(self._layers) < len(_NAMES):
                return False
            bring_into_view(self._viewer, self._layers)  # they lie beside what is looked at
            return True
        data = (shown.image, shown.truth, shown.prediction)
        for layer, part in zip(self._layers, data, strict=True):
            layer.data[...] = part
            layer.refresh()
        return True

    def remove(self) -> None:
        """Take the layers away."""
        gone, self._layers = self._layers, []
        remove_layers(self._viewer, gone)

    def _add(self, shown: Montage) -> None:
        """Add the next of the layers, without changing what is selected."""
        if not self._layers:
            self._shape, self._where = shown.truth.shape, self._place(shown.truth.shape)
        name = _NAMES[len(self._layers)]
        layer: Layer
        if name == "validation images":
            layer = Image(shown.image.copy(), name=name, rgb=True, **self._where)
        elif name == "validation truth":
            layer = Labels(shown.truth.copy(), name=name, opacity=0.9, **self._where)
            layer.contour = 2
        else:
            layer = Labels(shown.prediction.copy(), name=name, opacity=0.5, **self._where)
        if isinstance(layer, Labels) and shown.colours:
            layer.colormap = label_colormap(shown.colours)
        take_units(self._viewer, layer)
        selected = self._viewer.layers.selection.active
        self._viewer.layers.append(layer)
        if isinstance(layer, Labels):
            layer.editable = False
        self._viewer.layers.selection.active = selected
        self._layers.append(layer)

    def _place(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return scale and translation: right of what is open, and as high as that."""
        if not len(self._viewer.layers):
            return {}
        (*_, top, _), (*_, bottom, right) = np.asarray(self._viewer.layers.extent.world)
        high = bottom - top
        if not (np.isfinite(high) and high > 0):
            return {}
        scale = float(high / shape[0])
        return {"scale": (scale, scale), "translate": (top, right + _GAP * scale)}
