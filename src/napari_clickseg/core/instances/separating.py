"""What a network answers becomes objects: a watershed from a seed in the middle of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
_EIGHT = np.ones((3, 3), bool)
_STEPS = 250  # levels that a height is told apart by


@dataclass(frozen=True, slots=True)
class SeparationRules:
    """What is an object.

    Parameters
    ----------
    seed_height : float
        How far the land between two peaks must lie below the lower one for them to be two
        objects, 0 … 1: the lower, the more is told apart.
    smallest : int
        Pixels of the smallest object; smaller ones are left out.
    foreground : float
        Probability above which a pixel belongs to some object.
    """

    seed_height: float = 0.1
    smallest: int = 1
    foreground: float = 0.5


def separate(foreground: FloatArray, distances: FloatArray, rules: SeparationRules) -> IntArray:
    """Tell objects apart; small ones are not left out yet.

    Parameters
    ----------
    foreground : float32 (Y, X)
        Probability that a pixel belongs to an object.
    distances : float32 (2, Y, X)
        As `object_distances` gives them.
    rules : SeparationRules
        What is an object.

    Returns
    -------
    int32 (Y, X)
        Ids from 1 on; 0 is background. Each connected part of the foreground is one object at
        the least, and all of it belongs to some object.
    """
    from scipy import ndimage
    from skimage.morphology import reconstruction
    from skimage.segmentation import watershed

    inside = foreground > rules.foreground
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    height = np.where(inside, 1 + np.round(distances.mean(axis=0) * _STEPS), 0).astype(np.int16)
    least = max(1, round(rules.seed_height * _STEPS))
    # Maxima of at least that height: what a flood from below them can't reach.
    flooded = reconstruction(np.maximum(height - least, 0), height, footprint=_EIGHT)
    peaks = inside & (height - flooded >= np.minimum(height, least))
    seeds, _ = ndimage.label(peaks, _EIGHT)
    labels = watershed(-height, seeds, connectivity=_EIGHT, mask=inside)
    return np.asarray(labels, np.int32)


def without_small(labels: npt.NDArray[Any], smallest: int) -> IntArray:
    """Leave out objects of fewer pixels, and number the others as `numbered` does."""
    counts = np.bincount(labels.ravel())
    kept = counts >= smallest
    kept[0] = False
    return numbered(np.where(kept[labels], labels, 0))


def numbered(labels: npt.NDArray[Any]) -> IntArray:
    """Give objects (Y, X) numbers from 1 on in the order in which they come, row by row."""
    ids, first, at = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(np.where(ids == 0, -1, first)))
    start = 0 if (ids == 0).any() else 1
    return np.asarray(order[at].reshape(labels.shape) + start, np.int32)
