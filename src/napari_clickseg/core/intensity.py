"""From the image's own intensities to the network's range, the same for the whole image.

The limits are measured once (never for a window: neighbouring windows would disagree) and so
that a few hot or dead pixels change nothing.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.source import ImageError, ImageSource

FloatArray = npt.NDArray[np.float32]
_FEWEST_TRIMMED = 4  # so many extreme pixels are left out even of small images


@dataclass(frozen=True, slots=True)
class Intensity:
    """Linear map of each channel to 0 … 1, clipped.

    Parameters
    ----------
    low, high : tuple of float
        For each channel, the intensities that become 0 and 1.
    gaps : bool
        Whether NaN or infinite pixels were seen when the limits were measured.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    gaps: bool = False

    @classmethod
    def from_limits(cls, limits: tuple[float, float], channels: int) -> Intensity:
        """Use the same limits for every channel, e.g. napari's contrast limits.

        Raises
        ------
        ImageError
            If the limits are not two rising numbers.
        """
        low, high = float(limits[0]), float(limits[1])
        if not (math.isfinite(low) and math.isfinite(high) and high > low):
            raise ImageError(f"The contrast limits {limits} must be two rising numbers.")
        return cls((low,) * channels, (high,) * channels)

    def apply(self, values: npt.NDArray[Any]) -> FloatArray:
        """Map pixels (…, C) of any real dtype to float32 0 … 1.

        NaN counts as the low limit, infinities as the limit on their side.
        """
        low, high = np.array(self.low, np.float64), np.array(self.high, np.float64)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            # Halved where the distance between the limits is too large for a float.
            unit = 1.0 if np.isfinite(high - low).all() else 0.5
            low, width = low * unit, high * unit - low * unit
            width[width <= 0] = 1.0
            large = np.result_type(values.dtype, np.float16).itemsize > 4
            work = np.dtype(np.float64 if large or not _fits(low, width) else np.float32)
            out = values.astype(work)
            if unit != 1.0:
                out *= work.type(unit)
            out -= low.astype(work)
            out /= width.astype(work)
        np.clip(out, 0.0, 1.0, out=out)
        if values.dtype.kind == "f":
            np.nan_to_num(out, copy=False, nan=0.0)
        return out.astype(np.float32, copy=False)


def measure(source: ImageSource, *, trim: float = 0.001) -> Intensity:
    """Measure the limits of an image.

    Parameters
    ----------
    source : ImageSource
        A large image is sampled, see `ImageSource.sample`.
    trim : float
        Share of pixels beyond each limit.

    Returns
    -------
    Intensity
        Of a colour image the three channels share their limits, so that its hues stay.
    """
    sample = source.sample()
    columns = [sample.ravel()] if source.rgb else list(sample.T)
    limits = [_limits(column, trim) for column in columns] * (source.channels if source.rgb else 1)
    gaps = sample.dtype.kind == "f" and not bool(np.isfinite(sample).all())
    return Intensity(tuple(low for low, _ in limits), tuple(high for _, high in limits), gaps)


def _fits(low: npt.NDArray[np.float64], width: npt.NDArray[np.float64]) -> bool:
    """Whether float32 can tell the limits apart."""
    bottom, top = low.astype(np.float32), (low + width).astype(np.float32)
    return bool((np.isfinite(top - bottom) & (top - bottom >= np.finfo(np.float32).tiny)).all())


def _limits(values: npt.NDArray[Any], trim: float) -> tuple[float, float]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    n = values.size
    if n == 0 or values.dtype == np.bool_:
        return 0.0, 1.0
    few = min(_FEWEST_TRIMMED, n // 8)
    # Where nearly all pixels are alike, the object itself may be all that differs: trim less.
    for k in (max(few, min(math.floor(n * trim), n // 8)), few, 0):
        ordered = np.partition(values, [k, n - 1 - k])
        low, high = float(ordered[k]), float(ordered[n - 1 - k])
        if high > low:
            return low, high
    return low, min(low + max(1.0, abs(low)), sys.float_info.max)


def to_channels(values: FloatArray, count: int) -> FloatArray:
    """Fit the channels of an image to those a network takes.

    One channel is repeated; surplus channels are averaged in `count` groups of neighbours, so
    none is dropped; of two channels for three, the third is their mean.

    Parameters
    ----------
    values : float32 (h, w, C)
        Pixels of the image in 0 … 1.
    count : int
        Channels of the network.

    Returns
    -------
    float32 (h, w, count)
    """
    have = values.shape[2]
    if have == count:
        return values
    if have > count:
        groups = np.array_split(np.arange(have), count)
        return np.stack([values[:, :, group].mean(axis=2) for group in groups], axis=2)
    mean = values.mean(axis=2, keepdims=True)
    return np.concatenate([values, np.repeat(mean, count - have, axis=2)], axis=2)
