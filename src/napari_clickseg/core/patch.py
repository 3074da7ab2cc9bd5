"""A mask as the piece of the image that it covers."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import Box
from napari_clickseg.util.spilling import Spillable

BoolArray = npt.NDArray[np.bool_]


class Patch:
    """A mask kept as its bounding box and the pixels in it; equal where the pixels are.

    Thousands are kept for undo, so a pixel takes a bit, be it in memory or on the disk. It never
    changes.

    Parameters
    ----------
    box : Box
        Where it lies in the image.
    mask : bool (box.height, box.width)
    """

    __slots__ = ("box", "digest", "kept")

    def __init__(self, box: Box, mask: BoolArray) -> None:
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != box.shape:
            raise ValueError(f"The mask's shape {mask.shape} is not the box's {box.shape}.")
        self.box: Final = box
        packed = np.packbits(mask)
        self.kept: Final = Spillable(packed)
        place = f"{box.top},{box.left},{mask.shape}".encode()
        self.digest: Final = hashlib.blake2b(place + packed.tobytes(), digest_size=16).digest()

    @classmethod
    def of(cls, mask: npt.NDArray[Any], *, offset: tuple[int, int] = (0, 0)) -> Patch:
        """Cut a mask (Y, X) to its bounding box; `offset` is where its first pixel lies."""
        if mask.ndim != 2:
            raise ValueError(f"A mask has two axes (Y, X), not {mask.ndim}.")
        mask = np.asarray(mask)
        mask = (mask != 0) & (mask == mask)  # NaN belongs to nothing
        box = Box.of_mask(mask)
        return cls(box.shift(*offset) if box else box, mask[box.slices])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patch) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __bool__(self) -> bool:
        return bool(self.box)

    def __repr__(self) -> str:
        return f"Patch({self.box})"

    @property
    def mask(self) -> BoolArray:
        """The pixels in the box, bool (box.height, box.width); read-only, laid out each time."""
        return self._rows(0, self.box.height)

    def holds(self, row: int, column: int) -> bool:
        """Whether a pixel of the image belongs to it."""
        y, x = row - self.box.top, column - self.box.left
        if not (0 <= y < self.box.height and 0 <= x < self.box.width):
            return False
        byte, bit = divmod(y * self.box.width + x, 8)
        return bool(self.kept.value[byte] & (128 >> bit))

    def cut(self, box: Box) -> BoolArray:
        """Return the mask within `box`, False outside the patch; bool (box.height, box.width)."""
        out = np.zeros(box.shape, bool)
        common = self.box.intersection(box)
        if common:
            target = common.shift(-box.top, -box.left)
            rows, columns = common.shift(-self.box.top, -self.box.left).slices
            out[target.slices] = self._rows(rows.start, rows.stop)[:, columns]
        return out

    def _rows(self, start: int, stop: int) -> BoolArray:
        width = self.box.width
        first, last = start * width, stop * width
        bits = np.unpackbits(self.kept.value[first // 8 : -(-last // 8)])
        inside: BoolArray = (
            bits[first % 8 :][: last - first].view(bool).reshape(stop - start, width)
        )
        inside.setflags(write=False)
        return inside
