"""How far each pixel of an object is from its edge and from its middle: what networks learn.

Both are shares of the object's own largest distance, so objects of all sizes look alike, and the
edge between two that touch is as plain as the edge towards the background.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_MIDDLE = 0.8  # share of the largest distance from the edge that the middle has at the least


def object_parts(labels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Give each piece of an object a number: 8-connected pixels of one id.

    A network sees pieces: that two of them are one object it can't know.

    Parameters
    ----------
    labels : int (Y, X)
        Ids of objects, or of classes; 0 is background.

    Returns
    -------
    int32 (Y, X)
        From 1 on, without gaps.
    """
    from skimage.measure import label

    return np.asarray(label(labels, background=0, connectivity=2), np.int32)


def object_distances(labels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return for each pixel of an object how far it is from the object's edge and its middle.

    The middle is the pixel nearest to the centre of gravity among those that lie far from the
    edge, so that it is inside crescents too. The border of the image is no edge: an object goes on
    beyond it.

    Parameters
    ----------
    labels : int (Y, X)
        Ids of objects; 0 is background. Pieces of one object are taken for themselves.

    Returns
    -------
    float32 (2, Y, X)
        First 1 where the edge is farthest, falling towards it; then 1 in the middle, 0 where the
        middle is farthest. 0 on the background.
    """
    from scipy.ndimage import find_objects

    parts = object_parts(labels)
    out = np.zeros((2, *parts.shape), np.float32)
    for number, box in enumerate(find_objects(parts), 1):
        around = tuple(
            slice(max(0, side.start - 1), min(length, side.stop + 1))
            for side, length in zip(box, parts.shape, strict=True)
        )
        mask = parts[around] == number
        edge, middle = _distances(mask)
        out[0][around][mask] = edge[mask]
        out[1][around][mask] = middle[mask]
    return out


def _distances(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    from scipy.ndimage import distance_transform_edt

    full = bool(mask.all())  # nothing of it ends within the image
    from_edge = distance_transform_edt(np.pad(mask, 1) if full else mask) - 0.5
    from_edge = from_edge[1:-1, 1:-1] if full else from_edge
    edge = from_edge / from_edge[mask].max()
    at = np.argwhere(mask)
    far = at[edge[mask] >= _MIDDLE]
    y, x = far[((far - at.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    away = np.hypot(rows - y, columns - x)
    most = away[mask].max()
    return edge, 1 - away / most if most else np.ones(mask.shape)
