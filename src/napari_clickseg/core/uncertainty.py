"""How unsure a model is of a prediction: one number for an image, from its probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
SURROUNDINGS = 3  # pixels around what was found


def pixel_entropy(probabilities: npt.ArrayLike, *, overlapping: bool = False) -> FloatArray:
    """Return the entropy of each pixel's prediction, as a share of the highest possible.

    Parameters
    ----------
    probabilities : float (outputs, Y, X)
        Of the object; or of background and each class.
    overlapping : bool
        Whether each class is there or not by itself; its least certain class then counts.

    Returns
    -------
    float32 (Y, X)
        0 (certain) … 1 (all outcomes are as likely).
    """
    values = np.asarray(probabilities, np.float32)
    if len(values) > 1 and not overlapping:
        entropy, most = _surprise(values).sum(axis=0), len(values)
    else:
        each = values[1:] if len(values) > 1 else values
        entropy, most = (_surprise(each) + _surprise(1 - each)).max(axis=0), 2
    share: FloatArray = np.clip(entropy / np.float32(np.log(most)), 0, 1)
    return share


def mean_entropy(
    probabilities: npt.ArrayLike,
    inside: npt.NDArray[np.bool_] | None = None,
    *,
    overlapping: bool = False,
) -> float:
    """Return the mean entropy over the predicted foreground and 3 pixels around it.

    The mean over the predicted foreground tells how good a segmentation is (Mehrtash et al.,
    "Confidence calibration and predictive uncertainty estimation for deep medical image
    segmentation", IEEE TMI 39, 2020, doi:10.1109/TMI.2020.3006437). The surroundings are added,
    because what was missed lies there. Where nothing is found, what is at least half as likely
    to be foreground as the likeliest pixel takes its place: so an object that was nearly found
    counts, however large the image is.

    Parameters
    ----------
    probabilities : float (outputs, Y, X)
        As for `pixel_entropy`.
    inside : bool (Y, X), optional
        Which pixels are of the image; all by default.
    overlapping : bool
        As for `pixel_entropy`.

    Returns
    -------
    float
        0 … 1; 0 where there are no pixels.
    """
    values = np.asarray(probabilities, np.float32)
    foreground = values[0] if len(values) == 1 else 1 - values[0]
    within = np.ones(foreground.shape, bool) if inside is None else inside
    if not within.any():
        return 0.0
    object_pixels = within & (foreground > 0.5)
    if not object_pixels.any():
        object_pixels = within & (foreground >= foreground[within].max() / 2)
    counts = near(object_pixels) & within
    return float(pixel_entropy(values, overlapping=overlapping)[counts].mean(dtype=float))


def near(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the pixels (Y, X) of what was found, and those around it, up to `SURROUNDINGS`."""
    from scipy import ndimage

    if not mask.any():
        return np.zeros(mask.shape, bool)
    return np.asarray(ndimage.distance_transform_edt(~mask) <= SURROUNDINGS)


def _surprise(values: FloatArray) -> FloatArray:
    """Return -p ln p, 0 where p is 0."""
    kept = np.clip(values, np.float32(1e-12), 1)
    out: FloatArray = -kept * np.log(kept)
    return out
