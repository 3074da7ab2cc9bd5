"""Choosing the distance of the first look: several are tried, the most plausible one is kept.

After one click nobody knows how large the object is. A network shown the whole image misses what
is small; shown the click's surroundings alone, it takes a part for the object. So it looks from
several distances, and each answer is described by a few numbers: how sure it is, whether it
runs out of the window, how far it agrees with the answers from nearer and farther, how near to
its middle the click lies, how much it differs from what lies around it. Their weights, kept in the
model's card, were fitted to the overlap with the truth on training images.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import first_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.core.window import Box, Window

FloatArray = npt.NDArray[np.float32]
_NEAREST = 40  # pixels of the image that a look shows at the least
FEATURES = (
    "expected overlap",
    "touches the border",
    "extent",
    "extent squared",
    "agrees with the next farther",
    "is the farthest",
    "agrees with the next nearer",
    "is the nearest",
    "agrees with the second farther",
    "agrees with the second nearer",
    "probability at the click",
    "area",
    "is empty",
    "number",
    "decidedness",
    "distance",
    "centrality of the click",
    "centrality squared",
    "contrast",
    "estimated overlap",
)
LENGTHS = (16, 18, 19, len(FEATURES))
"""How many of the features, the first ones, the weights in a card may be for."""

_RIM = 2  # network pixels around an answer that it is compared with
_LEAST_DEVIATION = 0.02  # of intensities between 0 and 1, as the network sees them
_MOST_CONTRAST = 10.0
_SAME = 0.9  # IoU of two masks that say the same


class Scouted(NamedTuple):
    """What was found from one distance.

    Parameters
    ----------
    foreground : float32 (size, size)
        Probability of the object.
    box : Box
        The object's in the image; empty where nothing was found.
    touches : bool
        Whether the object runs out of the window.
    pixels : float32 (C, size, size)
        What the network saw of the image.
    overlap : float, optional
        The IoU with the object that the network itself expects; None if it can't tell.
    """

    window: Window
    foreground: FloatArray
    box: Box
    touches: bool
    pixels: FloatArray
    overlap: float | None = None


def scouting_windows(
    shape: tuple[int, int],
    position: tuple[float, float],
    size: int,
    span: int,
    looks: int,
    factor: float,
) -> list[Window]:
    """Return windows around a position, from far to near.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    position : (float, float)
        Of the click: y, x in pixels.
    size : int
        The windows' side in network pixels.
    span : int
        The most image pixels to look at.
    looks : int
        Windows at the most.
    factor : float
        By how much each is nearer than the one before.
    """
    farthest = first_window(shape, position, size, span)
    out, side = [farthest], farthest.span / factor
    while len(out) < looks and side >= _NEAREST:
        out.append(first_window(shape, position, size, int(side)))
        side /= factor
    return out


def describe(looks: Sequence[Scouted], position: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Describe what was found from each distance.

    Parameters
    ----------
    looks : sequence of Scouted
        From far to near.
    position : (float, float)
        Of the click: y, x in pixels.

    Returns
    -------
    float64 (looks, len(FEATURES))
    """
    return np.array([_features(looks, i, position) for i in range(len(looks))])


def plausibility(
    described: npt.NDArray[np.float64], weights: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Return how plausible each look is: float64 (looks,), the greater, the likelier.

    Parameters
    ----------
    described : float64 (looks, len(FEATURES))
        As `describe` gives it.
    weights : sequence of float
        Of the first features, as many as one of `LENGTHS` says.
    """
    return np.asarray(described[:, : len(weights)] @ np.asarray(weights))


def readings(
    looks: Sequence[Scouted], described: npt.NDArray[np.float64], weights: Sequence[float]
) -> list[int]:
    """Return which looks show different objects, the most plausible one first.

    Parameters
    ----------
    looks : sequence of Scouted
        From far to near.
    described, weights
        As for `plausibility`.

    Returns
    -------
    list of int
        At least one. Of looks whose masks agree (IoU of 0.9 and more) the more plausible one; none
        that found nothing, but where that is the most plausible.
    """
    scores = plausibility(described, weights)
    kept: list[int] = []
    for k in (int(k) for k in np.argsort(-scores, kind="stable")):
        if not kept or (looks[k].box and all(_iou(looks[k], looks[n]) < _SAME for n in kept)):
            kept.append(k)
    return kept


def _features(looks: Sequence[Scouted], i: int, position: tuple[float, float]) -> list[float]:
    window, p, box, touches, pixels, overlap = looks[i]
    mask, last = p > 0.5, len(looks) - 1
    inside = float(p[mask].sum())
    expected = inside / (float(mask.sum()) + float(p[~mask].sum()) + 1.0)
    extent = math.log2(max(*box.shape, 1) / window.span) if box else -6.0
    y, x = (min(max(round(v), 0), window.size - 1) for v in window.to_network(*position))
    central = _centrality(mask, (y, x))

    def agreement(far: int, near: int) -> float:
        return _agreement(looks[far], looks[near]) if 0 <= far and near <= last else 0.0

    return [
        expected,
        float(touches),
        extent,
        extent**2,
        agreement(i - 1, i),
        float(i == 0),
        agreement(i, i + 1),
        float(i == last),
        agreement(i - 2, i),
        agreement(i, i + 2),
        float(p[y, x]),
        float(mask.mean()),
        float(not box),
        float(i),
        float(np.abs(p - 0.5).mean() * 2),
        math.log2(window.span / looks[0].window.span),
        central,
        central**2,
        _contrast(mask, pixels),
        0.5 if overlap is None else overlap,
    ]


def _contrast(mask: npt.NDArray[np.bool_], pixels: FloatArray) -> float:
    """Return how far intensities in a mask are from those around it, over how much both vary.

    What differs from its surroundings more than from itself is likely to be one thing.
    """
    from scipy import ndimage

    rim = ndimage.binary_dilation(mask, iterations=_RIM) & ~mask
    if not rim.any():  # nothing was found, or all of the window
        return 0.0
    inside, around = pixels[:, mask], pixels[:, rim]
    apart = float(np.linalg.norm(inside.mean(axis=1) - around.mean(axis=1)))
    spread = float((inside.std(axis=1) + around.std(axis=1)).mean())
    return min(apart / (spread + _LEAST_DEVIATION), _MOST_CONTRAST)


def _centrality(mask: npt.NDArray[np.bool_], at: tuple[int, int]) -> float:
    """Return how deep a pixel lies in a mask, against its deepest one: people click in the middle.

    A click far from the middle of what was found was meant for a part of it, or for more.
    """
    from scipy import ndimage

    if not mask[at]:
        return 0.0
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return float(depth[at] / depth.max())


def _iou(one: Scouted, other: Scouted) -> float:
    """Return the IoU of two masks, in the window of the farther look."""
    far, near = (one, other) if one.window.span >= other.window.span else (other, one)
    mask = far.foreground > 0.5
    moved = near.window.moved_to(far.window, near.foreground) > 0.5
    either = int((mask | moved).sum())
    return float((mask & moved).sum()) / either if either else 1.0


def _agreement(far: Scouted, near: Scouted) -> float:
    """Return the soft overlap of two answers in the farther one's window."""
    moved = near.window.moved_to(far.window, near.foreground)
    either = float(np.maximum(far.foreground, moved).sum())
    return float(np.minimum(far.foreground, moved).sum()) / (either + 1e-3)
