"""A mask as the piece of the image that it covers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import Box

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Patch:
    """A mask kept as its bounding box and the pixels in it; equal where the pixels are.

    Parameters
    ----------
    box : Box
        Where it lies in the image.
    mask : bool (box.height, box.width)
        Read-only.
    """

    box: Box
    mask: BoolArray
    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        mask = np.array(self.mask, dtype=bool)
        if mask.shape != self.box.shape:
            raise ValueError(f"The mask's shape {mask.shape} is not the box's {self.box.shape}.")
        mask.setflags(write=False)
        object.__setattr__(self, "mask", mask)
        place = f"{self.box.top},{self.box.left},{mask.shape}".encode()
        packed = np.packbits(mask).tobytes()
        object.__setattr__(self, "digest", hashlib.blake2b(place + packed, digest_size=16).digest())

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

    def cut(self, box: Box) -> BoolArray:
        """Return the mask within `box`, False outside the patch; bool (box.height, box.width)."""
        out = np.zeros(box.shape, bool)
        common = self.box.intersection(box)
        if common:
            target = common.shift(-box.top, -box.left)
            out[target.slices] = self.mask[common.shift(-self.box.top, -self.box.left).slices]
        return out
