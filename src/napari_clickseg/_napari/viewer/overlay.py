"""Showing a small part of a plane as a layer, quickly and without flicker.

On images of usual size the layer is as large as the image and changed in place. On large ones it
holds the part and its surroundings only, so a click costs the same there; it is moved when a part
lies beyond them, which napari answers by working out anew how far all layers reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.layers import (
    companion_shape,
    companion_transform,
    corner_shift,
    set_transform,
)
from napari_clickseg._napari.viewer.private import drawn_once
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

    from napari_clickseg.core.plane import Plane

_WHOLE_PLANE = 2048 * 2048  # pixels of a plane that is shown whole
_WHOLE = 1 << 28  # pixels of a stack that is shown whole
_STAGE = 512  # pixels: side of the surroundings, at the least
_ROOM = 1.5  # and over the part's


class Overlay:
    """A layer that shows a part of a plane.

    Parameters
    ----------
    image : Image
        The image it lies on.
    dtype : dtype
        Of the layer's data.
    make : callable
        ``make(data, transform)`` returns the layer.
    """

    def __init__(
        self,
        image: Image,
        channel_axis: int | None,
        dtype: npt.DTypeLike,
        make: Callable[[npt.NDArray[Any], dict[str, Any]], Any],
    ) -> None:
        self._image, self._channel_axis = image, channel_axis
        shape = companion_shape(image, channel_axis)
        plane_area = int(np.prod(sorted(shape)[-2:]))
        self._whole = plane_area <= _WHOLE_PLANE and int(np.prod(shape)) <= _WHOLE
        self._shown: tuple[Plane, Box] | None = None
        self._stage: tuple[Plane, Box] | None = None  # what the layer covers of a large image
        data = np.zeros(shape if self._whole else (1,) * len(shape), dtype)
        self.layer = make(data, companion_transform(image, channel_axis))
        self.layer.editable = False

    @property
    def empty(self) -> bool:
        """Whether nothing is shown."""
        return self._shown is None

    def show(self, plane: Plane, box: Box, part: npt.NDArray[Any]) -> None:
        """Show `part` (box.height, box.width) at `box` of a plane, and nothing else."""
        if not box:
            self.clear()
            return
        if not self._whole and not self._on_stage(plane, box):
            self._move(plane, box)
        data = self.layer.data
        self._wipe(data)
        data[self._key(plane, box)] = part
        self._shown = plane, box
        self.layer.refresh(extent=False)

    def clear(self) -> None:
        """Show nothing."""
        if self._shown is not None:
            self._wipe(self.layer.data)
            self._shown = None
            self.layer.refresh(extent=False)

    def follow(self) -> None:
        """Take over a changed transform of the image."""
        transform = companion_transform(self._image, self._channel_axis)
        if self._stage is not None:
            transform["translate"] = self._translate(*self._stage)
        set_transform(self.layer, transform)

    def _wipe(self, data: npt.NDArray[Any]) -> None:
        if self._shown is not None:
            data[self._key(*self._shown)] = 0

    def _key(self, plane: Plane, box: Box) -> tuple[Any, ...]:
        """Return where a box of a plane lies in the layer's data."""
        if self._stage is None:
            return plane.key(*box.slices)
        corner = self._stage[1]
        out: list[Any] = [0] * len(plane.index)
        rows, columns = box.shift(-corner.top, -corner.left).slices
        out[plane.axes[0]], out[plane.axes[1]] = rows, columns
        return tuple(out)

    def _on_stage(self, plane: Plane, box: Box) -> bool:
        return self._stage is not None and (
            self._stage[0] == plane and self._stage[1].contains(box)
        )

    def _move(self, plane: Plane, box: Box) -> None:
        """Have the layer cover a box with its surroundings, empty."""
        corner, sides = [], []
        for start, length, limit in zip((box.top, box.left), box.shape, plane.shape, strict=True):
            side = min(max(_STAGE, round(length * _ROOM)), limit)
            corner.append(min(max(0, start - (side - length) // 2), limit - side))
            sides.append(side)
        stage = Box(*corner, *sides)
        shape = [1] * len(plane.index)
        shape[plane.axes[0]], shape[plane.axes[1]] = stage.shape
        data = np.zeros(shape, self.layer.data.dtype)
        with drawn_once(self.layer):  # else it is drawn once at the old place
            self.layer.translate = self._translate(plane, stage)
            self.layer.data = data
        self.layer.editable = False  # setting data turns it on again
        self.layer.refresh()
        self._stage, self._shown = (plane, stage), None

    def _translate(self, plane: Plane, box: Box) -> npt.NDArray[np.float64]:
        base = companion_transform(self._image, self._channel_axis)["translate"]
        corner = plane.position(box.top, box.left)
        return np.asarray(base + corner_shift(self._image, plane.axes, corner), float)
