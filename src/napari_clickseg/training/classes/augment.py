"""Windows cut from images, and how they are varied.

All is drawn from a generator of the window's own, and done by torchvision's functions for images
and for masks: torchvision's classes would draw from the one generator of the process, and
threads that share it make no two runs alike. Clicks are drawn afterwards, so that they are crisp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_clickseg.core.intensity import to_channels
from napari_clickseg.data.sets.dataset import IGNORED
from napari_clickseg.models.libraries import without_compiler

with without_compiler():
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as v2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Preset:
    """How much windows are varied: shares of the windows, and sizes of the changes."""

    turned: bool = False  # by quarters, and mirrored
    tilted: float = 0.0  # share that is turned by any angle
    zoomed: float = 0.0  # by a factor of up to e to this
    stretched: float = 0.0  # one side against the other, likewise
    bent: float = 0.0  # share
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    shade: float = 0.0  # share with uneven illumination
    blur: float = 0.0  # share
    noise: float = 0.0  # share
    colour: float = 0.0  # channels against each other


PRESETS = {
    "none": Preset(),
    "light": Preset(turned=True, zoomed=0.1, gamma=0.2, contrast=0.15, brightness=0.08),
    "strong": Preset(
        turned=True, tilted=0.4, zoomed=0.3, stretched=0.12, bent=0.25, gamma=0.5, contrast=0.35,
        brightness=0.15, shade=0.25, blur=0.2, noise=0.3, colour=0.1,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a window looks, and how it is turned.

    Parameters
    ----------
    height, width : float
        Of the part of the image that it shows, in image pixels.
    quarters : int
        Turns by 90 degrees.
    angle : float
        Further turn, in degrees.
    bend : float32 (1, n, n, 2) or None
        Coarse displacements, in shares of the window.
    """

    height: float
    width: float
    quarters: int = 0
    mirrored: bool = False
    angle: float = 0.0
    bend: npt.NDArray[np.float32] | None = field(default=None, compare=False)

    @classmethod
    def draw(cls, span: float, preset: Preset, rng: np.random.Generator) -> Geometry:
        """Draw a window that shows about `span` pixels of the image."""
        factor = math.exp(rng.uniform(-preset.zoomed, preset.zoomed))
        stretch = math.exp(rng.uniform(-preset.stretched, preset.stretched))
        bend = None
        if rng.random() < preset.bent:
            bend = rng.normal(0, 0.03, (1, 4, 4, 2)).astype(np.float32)
        return cls(
            span * factor * stretch,
            span * factor / stretch,
            int(rng.integers(4)) if preset.turned else 0,
            bool(preset.turned and rng.random() < 0.5),
            float(rng.uniform(-45, 45)) if rng.random() < preset.tilted else 0.0,
            bend,
        )

    @property
    def reach(self) -> float:
        """How much larger a square is that holds the turned window."""
        angle = math.radians(self.angle)
        return abs(math.cos(angle)) + abs(math.sin(angle))


def cut(
    pixels: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    centre: tuple[float, float],
    size: int,
    geometry: Geometry,
    channels: int,
    indices: Callable[[npt.NDArray[Any]], npt.NDArray[np.uint8]] = np.asarray,
) -> tuple[Tensor, Tensor]:
    """Cut a window out of an image.

    Parameters
    ----------
    pixels : uint8 or float16 (C, Y, X)
        As in `Sample`.
    labels : int (Y, X) or (M, Y, X)
        Ids, or indices of classes already; or several maps.
    centre : (float, float)
        Where the window is: y, x in pixels; it is moved into the image as far as it fits.
    size : int
        Side of the window in network pixels.
    geometry : Geometry
        How much it shows, and how it is turned.
    channels : int
        Of the network.
    indices : callable
        Makes indices of classes, or `IGNORED`, of ids: only where the window is, as images may
        be large.

    Returns
    -------
    image : float32 Tensor (channels, size, size)
        0 … 1; 0 outside the image.
    target : int64 Tensor (size, size) or (M, size, size)
        Indices; `IGNORED` outside the image.
    """
    shape = labels.shape[-2:]
    sides = [max(2, round(side * geometry.reach)) for side in (geometry.height, geometry.width)]
    tops = [
        _placed(middle, side, wanted, length)
        for middle, side, wanted, length in zip(
            centre, sides, (geometry.height, geometry.width), shape, strict=True
        )
    ]
    boxes = [
        (max(0, top), min(n, top + side)) for top, side, n in zip(tops, sides, shape, strict=True)
    ]
    rows, columns = (slice(*box) for box in boxes)
    pads = [
        (box[0] - top, top + side - box[1])
        for top, side, box in zip(tops, sides, boxes, strict=True)
    ]
    part = pixels[:, rows, columns].astype(np.float32)
    part /= 255.0 if pixels.dtype == np.uint8 else 1.0
    shown = to_channels(np.ascontiguousarray(part.transpose(1, 2, 0)), channels)
    shown = np.pad(shown, (*pads, (0, 0)))
    indexed = indices(labels[..., rows, columns])
    around = [(0, 0)] * (indexed.ndim - 2) + pads
    indexed = np.pad(indexed, around, constant_values=IGNORED)
    image = torch.from_numpy(np.ascontiguousarray(shown.transpose(2, 0, 1)))
    planes = indexed if indexed.ndim == 3 else indexed[None]
    mask = torch.from_numpy(np.ascontiguousarray(planes))
    values, target = _warped(image, mask, size, geometry)
    return values, target if indexed.ndim == 3 else target[0]


def _placed(middle: float, side: int, wanted: float, length: int) -> int:
    """Return the first row of a part so that the window in its middle lies in the image."""
    half = min(wanted, length) / 2
    middle = min(max(middle + 0.5, half), length - half)
    return round(middle - side / 2)


def _warped(image: Tensor, mask: Tensor, size: int, geometry: Geometry) -> tuple[Tensor, Tensor]:
    side = max(size, round(size * geometry.reach))
    image = v2.resize_image(image, [side, side], antialias=True)
    mask = v2.resize_mask(mask, [side, side])
    if geometry.angle:
        image = v2.rotate_image(image, geometry.angle, InterpolationMode.BILINEAR, fill=0)
        mask = v2.rotate_mask(mask, geometry.angle, fill=IGNORED)
    image = v2.center_crop_image(image, [size, size])
    mask = v2.center_crop_mask(mask, [size, size])
    if geometry.bend is not None:
        coarse = torch.from_numpy(geometry.bend).permute(0, 3, 1, 2)
        fine = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)
        moves = fine.permute(0, 2, 3, 1)
        image = v2.elastic_image(image, moves, fill=0)
        mask = v2.elastic_mask(mask, moves, fill=IGNORED)
    if geometry.mirrored:
        image, mask = v2.horizontal_flip_image(image), v2.horizontal_flip_mask(mask)
    values, target = (torch.rot90(one, geometry.quarters, (1, 2)) for one in (image, mask))
    return values.contiguous(), target.long().contiguous()


def shaded(image: Tensor, preset: Preset, rng: np.random.Generator) -> Tensor:
    """Vary brightness, contrast, sharpness and noise of a window.

    Parameters
    ----------
    image : float32 Tensor (C, N, N)
        0 … 1.
    rng : numpy.random.Generator
        Decides everything.
    """
    count, size = image.shape[0], image.shape[-1]
    if preset.gamma:
        image = v2.adjust_gamma(image.clamp(0, 1), math.exp(rng.uniform(-1, 1) * preset.gamma))
    if preset.contrast:
        image = (image - 0.5) * math.exp(rng.uniform(-1, 1) * preset.contrast) + 0.5
    if preset.brightness:
        image = image + rng.uniform(-1, 1) * preset.brightness
    if preset.colour and count > 1:
        factors = np.exp(rng.uniform(-1, 1, (count, 1, 1)) * preset.colour).astype(np.float32)
        image = image * torch.from_numpy(factors)
    if rng.random() < preset.shade:
        coarse = torch.from_numpy(rng.normal(0, 0.2, (1, 1, 3, 3)).astype(np.float32))
        field = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)
        image = image * (1 + field[0])
    if rng.random() < preset.blur:
        image = v2.gaussian_blur(image, [5, 5], [rng.uniform(0.4, 1.6)])
    if rng.random() < preset.noise:
        noise = rng.normal(0, rng.uniform(0.01, 0.06), tuple(image.shape)).astype(np.float32)
        image = image + torch.from_numpy(noise)
    return image.clamp(0, 1)


def sheet(windows: Sequence[tuple[Tensor, Tensor]], columns: int = 4) -> npt.NDArray[np.uint8]:
    """Draw windows side by side, with their masks' outlines and colours over them.

    Parameters
    ----------
    windows : sequence of (Tensor (C, N, N), Tensor (N, N))
        Images in 0 … 1 and indices of classes.
    columns : int
        Windows in a row.

    Returns
    -------
    uint8 (H, W, 3)
    """
    tiles = [_tile(image, target) for image, target in windows]
    side = tiles[0].shape[0] + 2
    rows = -(-len(tiles) // columns)
    out = np.full((rows * side, columns * side, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * side + 1, (i % columns) * side + 1
        out[top : top + side - 2, left : left + side - 2] = tile
    return out


_COLOURS = np.array(
    [[86, 180, 233], [230, 159, 0], [0, 158, 115], [204, 121, 167], [240, 228, 66], [213, 94, 0]]
)


def _tile(image: Tensor, target: Tensor) -> npt.NDArray[np.uint8]:
    values = to_channels(np.ascontiguousarray(image.numpy().transpose(1, 2, 0)), 3) * 255
    indices = target.numpy()
    inside = (indices > 0) & (indices != IGNORED)
    edge = np.zeros(indices.shape, bool)
    edge[:, 1:] |= indices[:, 1:] != indices[:, :-1]
    edge[1:] |= indices[1:] != indices[:-1]
    colours = _COLOURS[(indices - 1) % len(_COLOURS)]
    values = np.where(inside[..., None], 0.7 * values + 0.3 * colours, values)
    values = np.where((edge & inside)[..., None], colours, values)
    return np.asarray(values.clip(0, 255), np.uint8)
