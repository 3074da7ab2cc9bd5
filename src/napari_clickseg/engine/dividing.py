"""Objects put right by hand: one that is several is divided, several that are one are merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.core.window import Box
    from napari_clickseg.engine.prediction import Prediction
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.engine.session import Session

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
    patch = Patch.of(mask)
    _check(patch, clicks)
    session = segmenter.start(image, rgb=rgb)
    if session.shape != mask.shape:
        raise ValueError(f"The mask's shape {mask.shape} is not the image's {session.shape}.")
    out = np.zeros(mask.shape, np.int32)
    for number, part in enumerate(divided_in(session, patch, clicks), 1):
        out[part.patch.box.slices][part.patch.mask] = number
    return out


@dataclass(frozen=True, eq=False, slots=True)
class DividedPart:
    """A part of an object that was divided.

    Parameters
    ----------
    score : float
        The mean probability of its pixels for its own click.
    """

    patch: Patch
    score: float


def divided_in(
    session: Session,
    patch: Patch,
    clicks: Sequence[tuple[float, float]],
    *,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[DividedPart, ...]:
    """Divide an object as `divided` does, in a session of a model that takes clicks.

    The session is not changed, and only the part of the image around the object is worked out.

    Parameters
    ----------
    session : Session
        Of a model that takes clicks.
    patch : Patch
        The object.
    clicks : sequence of (float, float)
        As of `divided`.
    stop : callable
        Asked between the steps; True gives it up.

    Returns
    -------
    tuple of DividedPart
        In the clicks' order.

    Raises
    ------
    ValueError
        If there are not two clicks, each on a pixel of the object of its own.
    Superseded
        If `stop` said so.
    """
    pixels = _check(patch, clicks)
    likely = []
    for k in range(len(clicks)):
        others = (Click(*at, positive=False) for n, at in enumerate(clicks) if n != k)
        prediction = session.evaluate(Prompt((Click(*clicks[k]), *others)), stop=stop)
        likely.append(_within(prediction, patch.box))
    box = patch.box
    numbers = _parts(np.stack(likely), patch.mask, pixels)
    return tuple(
        DividedPart(
            Patch.of(numbers == k + 1, offset=(box.top, box.left)),
            float(one[numbers == k + 1].mean()),
        )
        for k, one in enumerate(likely)
    )


def _check(patch: Patch, clicks: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
    """Return the clicks' pixels within the object's box."""
    box, mask = patch.box, patch.mask
    pixels = [(round(y) - box.top, round(x) - box.left) for y, x in clicks]
    on = [0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and bool(mask[y, x]) for y, x in pixels]
    if len(set(pixels)) < max(2, len(pixels)) or not all(on):
        raise ValueError("To divide an object, click on two parts of it or more.")
    return pixels


def _within(prediction: Prediction, box: Box) -> npt.NDArray[np.float32]:
    """Return the probability in a box; what the prediction leaves out is background."""
    out = np.zeros(box.shape, np.float32)
    common = prediction.extent.intersection(box)
    if common:
        there = common.shift(-prediction.extent.top, -prediction.extent.left).slices
        out[common.shift(-box.top, -box.left).slices] = prediction.part[there]
    return out


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
