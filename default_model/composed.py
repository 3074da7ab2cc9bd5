"""Real images with something else put into them, as objects whose outline is known.

A shape (of another image's object, or drawn) shows the other image, or the same image in another
light. So objects with any outline lie in surroundings of every kind, and the hardest ones differ
from them by a shade.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from default_model.generated import draw_objects

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compose"]

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_STAMPED = 0.5  # share of the images that get another image's object; the others drawn shapes
_COPIED = 0.5  # share of those that show it as it was, but for a shade
_OTHER_LIGHT = 0.55  # share of the rest that shows the same image in another light
_BLURRED = 0.3  # share of the images that are blurred in the end
_DRAWN = 512  # pixels of the side on which outlines are drawn, at the most
_SEEN = 10  # of 255, by which an object changes the ground, at the least; others count as ground
_SOFT = 1.6  # pixels by which borders are blurred, at the most


def compose(
    ground: Image, other: Image, mask: Mask, rng: np.random.Generator
) -> tuple[Image, Labels]:
    """Put objects into an image.

    Parameters
    ----------
    ground : uint8 (C, Y, X)
        The image that gets them.
    other : uint8 (C, V, U)
        What they may show.
    mask : bool (V, U)
        An object of the other image, which may give its outline.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    image : uint8 (C, Y, X)
    labels : int32 (Y, X)
        0 is where the ground was left, each object has an id of its own.
    """
    _, height, width = ground.shape
    image = ground.astype(np.float32)
    if rng.random() < _STAMPED:
        labels = _stamp(image, ground, other, mask, rng)
    else:
        labels = _drawn((height, width), rng)
        _blend(image, _look(ground, other, rng), labels > 0, rng)
    changed = np.abs(image.clip(0, 255) - ground).max(0)
    counts = np.bincount(labels.ravel())
    seen = np.bincount(labels.ravel(), changed.ravel()) >= _SEEN * counts
    if rng.random() < _BLURRED:
        sigma = rng.uniform(0, 1.2)
        image = ndimage.gaussian_filter(image, (0, sigma, sigma))
    return image.clip(0, 255).astype(np.uint8), np.where(seen[labels], labels, 0)


def _drawn(shape: tuple[int, int], rng: np.random.Generator) -> Labels:
    """Draw outlines on a square of bounded size, and enlarge a part of it to a shape."""
    side = min(max(shape), _DRAWN)
    drawn = draw_objects(rng, side)
    scale = side / max(shape)
    starts = [int(rng.integers(side - int(n * scale) + 1)) for n in shape]
    rows, columns = (
        start + np.minimum(np.arange(n) * scale, side - 1 - start).astype(np.intp)
        for start, n in zip(starts, shape, strict=True)
    )
    return np.asarray(drawn[rows[:, None], columns[None]])


def _stamp(
    image: Floats, ground: Image, other: Image, mask: Mask, rng: np.random.Generator
) -> Labels:
    """Put one or several of another image's object into an image; return their ids."""
    sides = image.shape[1:]
    labels = np.zeros(sides, np.int32)
    stamp, pixels = _cut_out(other, mask)
    copied = rng.random() < _COPIED
    look = image.copy() if copied else _look(ground, other, rng)
    extent = math.exp(rng.uniform(math.log(0.1), math.log(0.7))) * min(sides)
    shade = rng.normal(0, 20, (len(image), 1, 1)).astype(np.float32)
    for identifier in range(1, int(rng.choice([2, 2, 3, 4, 7]))):
        factor = extent * rng.uniform(0.75, 1.33) / max(stamp.shape)
        turned = _turning(rng)
        shape = turned(_resized(stamp[None].astype(np.float32), factor))[0] > 0.5
        (rows, there_y), (columns, there_x) = (
            _overlap(int(rng.integers(-n // 3, max(1, side - n // 2))), n, side)
            for n, side in zip(shape.shape, sides, strict=True)
        )
        if copied:
            there = turned(_resized(pixels, factor))[:, there_y, there_x]
            look[:, rows, columns] = there + shade
        object_mask = np.zeros(sides, bool)
        object_mask[rows, columns] = shape[there_y, there_x]
        _blend(image, look, object_mask, rng)
        labels[object_mask] = identifier
    return labels


def _cut_out(other: Image, mask: Mask) -> tuple[Mask, Floats]:
    """Return the box around an object: its mask, and the image's pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return mask[box], other[:, box[0], box[1]].astype(np.float32)


def _resized(planes: Floats, factor: float) -> Floats:
    sides = [max(2, round(n * factor)) for n in planes.shape[1:]]
    zoom = (1.0, *(side / n for side, n in zip(sides, planes.shape[1:], strict=True)))
    if factor < 0.7:
        planes = ndimage.gaussian_filter(planes, (0, *(0.4 / factor,) * 2))
    return np.asarray(ndimage.zoom(planes, zoom, order=1, grid_mode=True, mode="nearest"))


def _turning(rng: np.random.Generator) -> Callable[[Floats], Floats]:
    quarters, flipped = int(rng.integers(4)), bool(rng.random() < 0.5)

    def turned(planes: Floats) -> Floats:
        out = np.rot90(planes, quarters, (1, 2))
        return out[:, :, ::-1] if flipped else out

    return turned


def _overlap(start: int, n: int, size: int) -> tuple[slice, slice]:
    """Return what of n pixels from `start` on lies within `size`: there, and in the n."""
    low, high = max(0, start), max(0, min(size, start + n))
    return slice(low, high), slice(low - start, max(low, high) - start)


def _look(ground: Image, other: Image, rng: np.random.Generator) -> Floats:
    """Return what objects show, of the ground's shape."""
    if rng.random() < _OTHER_LIGHT:
        return _other_light(ground.astype(np.float32), rng)
    _, height, width = ground.shape
    step = math.exp(rng.uniform(math.log(0.4), math.log(2.0)))
    rows, columns = (
        _mirrored(rng.uniform(0, n) + step * np.arange(size), n)
        for size, n in zip((height, width), other.shape[1:], strict=True)
    )
    look = other[:, rows[:, None], columns[None]].astype(np.float32)
    if rng.random() < 0.4:  # nearly as bright as the ground, so that the texture tells
        own, new = ((p.mean((1, 2), keepdims=True), p.std()) for p in (ground, look))
        look = (look - new[0]) * (float(own[1]) / max(float(new[1]), 1.0)) + own[0]
        look += rng.normal(0, 12)
    return look.astype(np.float32)


def _mirrored(places: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.intp]:
    """Return indices of n pixels for places beyond them, as in a mirror."""
    folded = np.abs((places.astype(np.intp) + n) % (2 * n) - n)
    return np.minimum(folded, n - 1)


def _other_light(ground: Floats, rng: np.random.Generator) -> Floats:
    """Return an image brighter, darker, paler, smoother, rougher, or in other colours."""
    change = float(rng.uniform(18, 90) * rng.choice([-1, 1]))
    kind = rng.integers(6)
    out: npt.NDArray[np.floating] = ground + change / 3
    if kind == 0:
        out = ground + change
    elif kind == 1:
        out = ground + change * rng.uniform(0, 1, (len(ground), 1, 1))
    elif kind == 2:
        middle = ground.mean((1, 2), keepdims=True)
        out += (ground - middle) * (math.exp(rng.uniform(0.5, 1.2) * rng.choice([-1, 1])) - 1)
    elif kind == 3:
        sigma = rng.uniform(2, 6)
        out = ndimage.gaussian_filter(out, (0, sigma, sigma))
    elif kind == 4:
        grain = ndimage.gaussian_filter(rng.normal(0, 1, ground.shape[1:]), rng.uniform(0, 1.5))
        out = ground + abs(change) / grain.std() * 0.6 * grain
    else:
        out = 255 - ground + change / 3
    return out.astype(np.float32)


def _blend(image: Floats, look: Floats, mask: Mask, rng: np.random.Generator) -> None:
    """Show `look` where the mask is, with a border as soft as optics make it."""
    share = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(0, _SOFT))
    image += share * (look - image)
