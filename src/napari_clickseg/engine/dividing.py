"""Objects put right by hand: one that is several is divided, several that are one are merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.engine.segmenter import Segmenter

__all__ = ["divided", "merged"]

_EIGHT = np.ones((3, 3), bool)


def divided(
    segmenter: Segmenter,
    image: Any,
    mask: npt.NDArray[np.bool_],
    clicks: Sequence[tuple[float, float]],
    *,
    rgb: bool | None = None,
) -> npt.NDArray[np.int32]:
    """Divide an object into as many parts as there are clicks on it.

    The model looks once for each click, which is positive then, while the others are negative;
    each pixel of the object goes to the click for which it is the likeliest. May run on any thread.

    Parameters
    ----------
    segmenter : Segmenter
        Of a model that takes clicks.
    image, rgb
        As for `Segmenter.start`.
    mask : bool (Y, X)
        The object.
    clicks : sequence of (float, float)
        y and x in pixels of a place on each part.

    Returns
    -------
    int32 (Y, X)
        The number of the click, from 1 on, in each pixel of the object; 0 elsewhere. Each part
        holds its click.

    Raises
    ------
    ValueError
        If the model takes no clicks, or there are not two clicks, each on a pixel of the object of
        its own; or the image can't be used.
    """
    if segmenter.card.encoding == "image":
        raise ValueError(
            f"The model '{segmenter.card.name}' takes no clicks; divide with a click model, such "
            "as the default one."
        )
    pixels = [(round(y), round(x)) for y, x in clicks]
    on = [0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and bool(mask[y, x]) for y, x in pixels]
    if len(set(pixels)) < max(2, len(pixels)) or not all(on):
        raise ValueError("To divide an object, click on two parts of it or more.")
    session = segmenter.start(image, rgb=rgb)
    if session.shape != mask.shape:
        raise ValueError(f"The mask's shape {mask.shape} is not the image's {session.shape}.")
    likely = []
    for k in range(len(clicks)):
        session.reset()
        session.click(*clicks[k])
        for other in (click for n, click in enumerate(clicks) if n != k):
            session.click(*other, positive=False)
        likely.append(session.predict().probability)
    return _parts(np.stack(likely), mask, pixels)


def merged(labels: npt.NDArray[Any], ids: Sequence[int]) -> npt.NDArray[Any]:
    """Return labels (Y, X) in which several objects are one, which has the lowest of their ids.

    Raises
    ------
    ValueError
        If there are not two ids, or one of them is the background's or no object's.
    """
    wanted = sorted(set(ids))
    missing = [one for one in wanted if one <= 0 or not (labels == one).any()]
    if len(wanted) < 2 or missing:
        what = f"there is no object {missing[0]}" if missing else "one object is chosen"
        raise ValueError(f"To merge objects, choose two or more; {what}.")
    return np.where(np.isin(labels, wanted), np.asarray(wanted[0], labels.dtype), labels)


def _parts(
    likely: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    pixels: Sequence[tuple[int, int]],
) -> npt.NDArray[np.int32]:
    """Give each pixel to the likeliest part, and what that leaves lying apart to its neighbours."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    best = likely.argmax(axis=0)
    for k, at in enumerate(pixels):
        best[at] = k
    seeds = np.zeros(mask.shape, np.int32)
    for k, at in enumerate(pixels):
        pieces, _ = ndimage.label(mask & (best == k), _EIGHT)
        seeds[pieces == pieces[at]] = k + 1
    out = watershed(np.zeros(mask.shape, np.uint8), seeds, connectivity=_EIGHT, mask=mask)
    apart = mask & (out == 0)  # pieces of the object without a click go to the nearest part
    if apart.any():
        nearest = ndimage.distance_transform_edt(
            out == 0, return_distances=False, return_indices=True
        )
        out = np.where(apart, out[tuple(nearest)], out)
    return np.asarray(out, np.int32)
