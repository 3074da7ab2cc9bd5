"""Crowds of touching ellipses whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["crowd", "rendered"]

_MOST_COVERED = 0.15  # share of an ellipse that others may cover


def crowd(
    seed: int, side: int = 160, count: int = 60, radius: tuple[float, float] = (6, 12)
) -> npt.NDArray[np.int32]:
    """Return ellipses that touch but hardly cover each other, int32 (side, side).

    Parameters
    ----------
    seed : int
        Decides where they lie.
    side : int
        Of the image, in pixels.
    count : int
        Ellipses that are tried; those that would cover others are left out.
    radius : (float, float)
        The shortest and the longest half axis, in pixels.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for number in range(1, count + 1):
        top, left = rng.uniform(0, side, 2)
        long = rng.uniform(*radius)
        short, turn = long * rng.uniform(0.6, 1), rng.uniform(0, np.pi)
        u = (y - top) * np.cos(turn) + (x - left) * np.sin(turn)
        v = (x - left) * np.cos(turn) - (y - top) * np.sin(turn)
        inside = (u / long) ** 2 + (v / short) ** 2 < 1
        if inside.any() and (labels[inside] > 0).mean() < _MOST_COVERED:
            labels[inside & (labels == 0)] = number
    return labels


def rendered(labels: npt.NDArray[np.int32], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw how objects might look under a microscope, uint8 of the same shape.

    Each object has a brightness and a grain of its own; the ground is uneven. Blur, noise, and
    whether objects are brighter or darker than the ground, or known by their rims alone, are
    drawn for the whole image.

    Parameters
    ----------
    labels : int32 (Y, X)
        Ids of the objects.
    rng : Generator
        Decides how it looks.
    """
    inside = labels > 0
    bright = np.append(0, rng.uniform(0.35, 1, labels.max(initial=0)))[labels]
    bright = bright * (1 + _cloud(labels.shape, rng.uniform(1, 4), rng) * rng.uniform(0, 0.3))
    if rng.random() < 0.25:
        rim = inside & (ndimage.distance_transform_edt(_apart(labels)) <= rng.uniform(1, 2.5))
        bright = np.where(rim, bright, bright * rng.uniform(0, 0.4))
    ground = _cloud(labels.shape, rng.uniform(30, 90), rng) * rng.uniform(0, 0.15)
    picture = ndimage.gaussian_filter(bright, rng.uniform(0.5, 1.8)) + ground
    picture = picture + rng.normal(0, rng.uniform(0.01, 0.12), labels.shape)
    low, high = np.quantile(picture, (0.001, 0.999))
    share = ((picture - low) / max(high - low, 1e-6)).clip(0, 1)
    share = 1 - share if rng.random() < 0.35 else share
    return np.asarray(np.round(255 * share), np.uint8)


def _apart(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Return pixels whose neighbours are all of the same object."""
    same = ndimage.maximum_filter(labels, 3) == ndimage.minimum_filter(labels, 3)
    return np.asarray(same & (labels > 0))


def _cloud(shape: tuple[int, ...], size: float, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Return smooth noise of mean 0 and deviation 1."""
    cloud = ndimage.gaussian_filter(rng.normal(0, 1, shape), size)
    return np.asarray((cloud - cloud.mean()) / max(float(cloud.std()), 1e-9))
