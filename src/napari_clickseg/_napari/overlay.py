"""Showing a small part of a plane as a layer, quickly and without flicker.

On images of usual size the layer is as large as the image and changed in place. On large ones it
holds only the part itself and is moved to where it belongs, so a click costs the same there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.layers import (
    companion_shape,
    companion_transform,
    corner_shift,
    set_transform,
)
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image

    from napari_clickseg._napari.planes import Plane

__all__ = ["Overlay"]

_WHOLE_PLANE = 2048 * 2048  # pixels of a plane that is shown whole
_WHOLE = 1 << 28  # pixels of a stack that is shown whole


class Overlay:
    """A layer that shows a part of a plane.

    Parameters
    ----------
    image : Image
        The image it lies on.
    channel_axis : int, optional
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
        elif self._whole:
            data = self.layer.data
            self._wipe(data)
            data[plane.key(*box.slices)] = part
            self._shown = plane, box
            self.layer.refresh(extent=False)
        else:
            self._move(plane, box, part)

    def clear(self) -> None:
        """Show nothing."""
        if self._shown is None:
            return
        if self._whole:
            self._wipe(self.layer.data)
            self._shown = None
            self.layer.refresh(extent=False)
        else:
            plane, box = self._shown
            corner = Box(box.top, box.left, 1, 1)
            self._move(plane, corner, np.zeros((1, 1), self.layer.data.dtype))
            self._shown = None

    def follow(self) -> None:
        """Take over a changed transform of the image."""
        transform = companion_transform(self._image, self._channel_axis)
        if not self._whole and self._shown is not None:
            transform["translate"] = self._translate(*self._shown)
        set_transform(self.layer, transform)

    def _wipe(self, data: npt.NDArray[Any]) -> None:
        if self._shown is not None:
            plane, box = self._shown
            data[plane.key(*box.slices)] = 0

    def _move(self, plane: Plane, box: Box, part: npt.NDArray[Any]) -> None:
        shape = [1] * len(plane.index)
        shape[plane.axes[0]], shape[plane.axes[1]] = box.shape
        data = np.ascontiguousarray(part, dtype=self.layer.data.dtype).reshape(shape)
        with self.layer._block_refresh():  # else it is drawn once at the old place
            self.layer.translate = self._translate(plane, box)
            self.layer.data = data
        self.layer.editable = False  # setting data turns it on again
        self.layer.refresh()
        self._shown = plane, box

    def _translate(self, plane: Plane, box: Box) -> npt.NDArray[np.float64]:
        base = companion_transform(self._image, self._channel_axis)["translate"]
        corner = plane.position(box.top, box.left)
        return np.asarray(base + corner_shift(self._image, plane.axes, corner), float)
