"""Masks: from probability to mask, and how a mask is written among labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.patch import Patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.core.clicks import Click
    from napari_clickseg.core.window import Box

__all__ = ["OverlapRule", "Refinement", "plan_commit", "refine", "region_of"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
OverlapRule = Literal["overwrite", "keep", "background"]
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True)
class Refinement:
    """How a probability becomes a mask.

    Parameters
    ----------
    threshold : float
        Probability above which a pixel belongs to the object.
    smooth : float
        Standard deviation of the smoothing, in image pixels; 0 is none.
    fill_holes : bool
        Fill holes that hold no negative click.
    keep_clicked : bool
        Keep only the parts that hold a positive click (where there is one).
    """

    threshold: float = 0.5
    smooth: float = 0.0
    fill_holes: bool = False
    keep_clicked: bool = False


def refine(
    probability: FloatArray,
    box: Box,
    clicks: Sequence[Click],
    refinement: Refinement,
) -> BoolArray:
    """Turn the probability in a box into a mask.

    Whatever the settings, a positive click's pixel is in the mask and a negative's is not.

    Parameters
    ----------
    probability : float32 (box.height, box.width)
        Of the foreground.
    box : Box
        Where the probability lies in the image.
    clicks : sequence of Click
        In image pixels; where two fall on one pixel the later one counts.
    refinement : Refinement
        What is asked for.

    Returns
    -------
    bool (box.height, box.width)
    """
    from scipy import ndimage  # slow to import: not when the widget opens

    if not box:
        return np.zeros(box.shape, bool)
    if refinement.smooth > 0:
        probability = ndimage.gaussian_filter(probability, refinement.smooth, mode="nearest")
    mask = probability > refinement.threshold
    pixels = _pixels_in(box, clicks)
    _enforce(mask, pixels)
    if refinement.keep_clicked:
        mask = _clicked_parts(mask, pixels)
    if refinement.fill_holes:
        mask = _filled(mask, pixels)
    return mask


def _pixels_in(box: Box, clicks: Sequence[Click]) -> dict[tuple[int, int], bool]:
    pixels = {}
    for click in clicks:
        row, column = click.pixel[0] - box.top, click.pixel[1] - box.left
        if 0 <= row < box.height and 0 <= column < box.width:
            pixels[row, column] = click.positive
    return pixels


def _enforce(mask: BoolArray, pixels: dict[tuple[int, int], bool]) -> None:
    for pixel, positive in pixels.items():
        mask[pixel] = positive


def _clicked_parts(mask: BoolArray, pixels: dict[tuple[int, int], bool]) -> BoolArray:
    from scipy import ndimage  # slow to import: not when the widget opens

    positive = [pixel for pixel, inside in pixels.items() if inside]
    if not positive:
        return mask
    parts, _ = ndimage.label(mask, _EIGHT)
    wanted = {int(parts[pixel]) for pixel in positive} - {0}
    return np.isin(parts, list(wanted))


def _filled(mask: BoolArray, pixels: dict[tuple[int, int], bool]) -> BoolArray:
    from scipy import ndimage  # slow to import: not when the widget opens

    filled = np.asarray(ndimage.binary_fill_holes(mask), bool)
    negative = [pixel for pixel, inside in pixels.items() if not inside]
    if negative:
        holes, _ = ndimage.label(filled & ~mask)
        asked_for = {int(holes[pixel]) for pixel in negative} - {0}
        filled &= ~np.isin(holes, list(asked_for)) if asked_for else True
    return filled


def plan_commit(
    labels: npt.NDArray[Any],
    mask: BoolArray,
    value: int,
    rule: OverlapRule,
    *,
    earlier: BoolArray | None = None,
) -> tuple[BoolArray, npt.NDArray[Any]]:
    """Decide which pixels of a label map change when a mask is accepted.

    Parameters
    ----------
    labels : int (h, w)
        The label map in the box of the mask (and of `earlier`); not changed.
    mask : bool (h, w)
        The object.
    value : int
        Its id or class.
    rule : {"overwrite", "keep", "background"}
        ``overwrite``: the mask takes every pixel it covers. ``keep``: pixels of other ids stay
        theirs. ``background``: only pixels without any label are written, nothing is erased.
    earlier : bool (h, w), optional
        Where this same object was accepted before: what it no longer covers becomes background,
        except under ``background``.

    Returns
    -------
    changed : bool (h, w)
        The pixels to write.
    values : array (h, w)
        What to write there, in the dtype of `labels`.

    Raises
    ------
    ValueError
        If the rule is not known, or the labels' dtype has no room for `value`.
    """
    if labels.dtype.kind in "iu" and not 0 <= value <= np.iinfo(labels.dtype).max:
        raise ValueError(
            f"The id {value} does not fit into labels of dtype {labels.dtype}; choose an id up to "
            f"{np.iinfo(labels.dtype).max}, or convert the labels to a larger dtype."
        )
    free = labels <= 0  # of some programs' maps the background is -1
    if rule == "overwrite":
        write = mask
    elif rule == "keep":
        write = mask & (free | (labels == value))
    elif rule == "background":
        write = mask & free
    else:
        raise ValueError(f"The rule for overlap is overwrite, keep or background, not {rule!r}.")
    values = labels.copy()
    values[write] = value
    if earlier is not None and rule != "background":
        values[earlier & ~mask & (labels == value)] = 0
    return np.asarray(values != labels), values


def region_of(
    labels: npt.NDArray[Any], pixel: tuple[int, int], *, connected: bool = False
) -> Patch | None:
    """Take the region that holds a pixel out of a label map (Y, X).

    Parameters
    ----------
    labels : int (Y, X)
        0 is background, and whatever is below.
    pixel : (int, int)
        Row and column.
    connected : bool
        True takes only the 8-connected part at the pixel; False all pixels with its id.

    Returns
    -------
    Patch or None
        None where the pixel is background or outside.
    """
    from scipy import ndimage  # slow to import: not when the widget opens

    row, column = pixel
    if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]):
        return None
    value = labels[row, column]
    if value <= 0:
        return None
    mask = np.asarray(labels == value)
    if connected:
        parts, _ = ndimage.label(mask, _EIGHT)
        mask = parts == parts[row, column]
    return Patch.of(mask)
