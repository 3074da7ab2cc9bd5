"""Which part of the image the network sees, at which zoom, and the exact way back.

The network always gets a square of `size` × `size` pixels. It shows a square of `span` × `span`
pixels of the image: a small object is magnified, a large one reduced, so a click costs the same
in any image. Positions refer to pixel centres throughout: pixel ``i`` covers
``[i - 0.5, i + 0.5)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable

    import scipy.sparse

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels: rows ``top … bottom - 1``, columns ``left … right - 1``."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The first row below the box."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The first column right of the box."""
        return self.left + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Pixels in the box."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index that takes this box from an array (Y, X)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def __bool__(self) -> bool:
        return bool(self.height > 0 and self.width > 0)

    @classmethod
    def from_edges(cls, top: int, left: int, bottom: int, right: int) -> Box:
        """Make a box from its edges; an empty one where they cross."""
        return cls(top, left, max(0, bottom - top), max(0, right - left))

    @classmethod
    def of_mask(cls, mask: npt.NDArray[np.bool_]) -> Box:
        """Return the smallest box around the true pixels of `mask` (Y, X); empty if none."""
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size == 0:
            return cls(0, 0, 0, 0)
        columns = np.flatnonzero(mask.any(axis=0))
        top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
        return cls(int(top), int(left), int(bottom - top + 1), int(right - left + 1))

    @classmethod
    def of_pixels(cls, pixels: Iterable[tuple[int, int]]) -> Box:
        """Return the smallest box around pixels (row, column); empty if there are none."""
        points = list(pixels)
        if not points:
            return cls(0, 0, 0, 0)
        rows, columns = zip(*points, strict=True)
        return cls.from_edges(min(rows), min(columns), max(rows) + 1, max(columns) + 1)

    def union(self, other: Box) -> Box:
        """Return the smallest box around both; an empty box counts for nothing."""
        if not self or not other:
            return self or other
        return Box.from_edges(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def intersection(self, other: Box) -> Box:
        """Return what both have in common, possibly empty."""
        return Box.from_edges(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def shift(self, dy: int, dx: int) -> Box:
        """Return the box moved by whole pixels."""
        return Box(self.top + dy, self.left + dx, self.height, self.width)

    def contains(self, other: Box) -> bool:
        """Whether `other` lies inside this box."""
        return self.intersection(other) == other


@dataclass(frozen=True, slots=True)
class Window:
    """A square of the image and the square of network pixels that shows it.

    Parameters
    ----------
    top, left : int
        Its first row and column in image pixels; may lie outside the image.
    span : int
        Its side in image pixels.
    size : int
        Its side in network pixels.
    """

    top: int
    left: int
    span: int
    size: int

    @property
    def box(self) -> Box:
        """The part of the plane that the window covers, in image pixels."""
        return Box(self.top, self.left, self.span, self.span)

    @property
    def pixels(self) -> Box:
        """All of its network pixels."""
        return Box(0, 0, self.size, self.size)

    @property
    def zoom(self) -> float:
        """Network pixels per image pixel."""
        return self.size / self.span

    def to_network(self, y: float, x: float) -> tuple[float, float]:
        """Map a position from image pixels to network pixels."""
        zoom = self.zoom
        return (y - self.top + 0.5) * zoom - 0.5, (x - self.left + 0.5) * zoom - 0.5

    def to_image(self, y: float, x: float) -> tuple[float, float]:
        """Map a position from network pixels to image pixels."""
        zoom = self.zoom
        return (y + 0.5) / zoom - 0.5 + self.top, (x + 0.5) / zoom - 0.5 + self.left

    def visible(self, shape: tuple[int, int]) -> Box:
        """Return the part of the window that lies in an image of this shape (Y, X)."""
        return self.box.intersection(Box(0, 0, *shape))

    def from_image(
        self,
        patch: FloatArray,
        origin: tuple[float, float],
        step: tuple[float, float],
        shape: tuple[int, int],
        part: Box | None = None,
    ) -> FloatArray:
        """Resample a patch of the image to network pixels.

        Parameters
        ----------
        patch : float32 (h, w) or (h, w, C)
            All that the window, or the part of it, shows of the image, possibly subsampled.
        origin : (float, float)
            Position of the patch's first pixel, in image pixels.
        step : (float, float)
            Distance between neighbouring pixels of the patch, in image pixels.
        shape : (int, int)
            The image's height and width.
        part : Box, optional
            The network pixels that are wanted; all by default.

        Returns
        -------
        float32 (size, size) or (size, size, C), or of the part's height and width
            Zero where the centre of a network pixel lies outside the image.
        """
        stride, wanted = self.span / self.size, part or self.pixels
        first = self.to_image(wanted.top, wanted.left)
        starts = [(f - o) / s for f, o, s in zip(first, origin, step, strict=True)]
        out = resample(
            patch,
            wanted.shape,
            (starts[0], starts[1]),
            (stride / step[0], stride / step[1]),
            clamp=True,
        )
        out[~self.covers(shape, part)] = 0.0
        return out

    def covers(self, shape: tuple[int, int], part: Box | None = None) -> npt.NDArray[np.bool_]:
        """Return which network pixels have their centre in an image of this shape (Y, X).

        Returns
        -------
        bool (size, size), or of the height and width of `part`
        """
        wanted = part or self.pixels
        out = np.zeros(wanted.shape, bool)
        if inside := self.covered(shape).intersection(wanted):
            out[inside.shift(-wanted.top, -wanted.left).slices] = True
        return out

    def covered(self, shape: tuple[int, int]) -> Box:
        """Return the network pixels that have their centre in an image of this shape (Y, X)."""
        return self.centred_in(Box(0, 0, *shape))

    def centred_in(self, box: Box) -> Box:
        """Return the network pixels that have their centre in a box of the image."""
        first, stride = self.to_image(0.0, 0.0), self.span / self.size
        edges = []
        for start, ends in zip(first, ((box.top, box.bottom), (box.left, box.right)), strict=True):
            centres = start + stride * np.arange(self.size)
            edges.append([int(k) for k in np.searchsorted(centres, np.subtract(ends, 0.5))])
        return Box.from_edges(edges[0][0], edges[1][0], edges[0][1], edges[1][1])

    def moved_to(self, window: Window, values: FloatArray) -> FloatArray:
        """Resample this window's pixels (size, size) to another's; zero where it does not reach."""
        if window == self:
            return values
        start = self.to_network(*window.to_image(0.0, 0.0))
        stride = self.zoom / window.zoom
        return resample(values, (window.size, window.size), start, (stride, stride))

    def to_box(self, values: FloatArray, box: Box) -> FloatArray:
        """Resample network pixels (size, size) to the pixels of `box` in the image.

        Outside the window the nearest value of its border is taken.
        """
        start = self.to_network(float(box.top), float(box.left))
        return resample(values, box.shape, start, (self.zoom, self.zoom), clamp=True)


@lru_cache(maxsize=128)
def resampling_matrix(
    n_in: int, n_out: int, start: float, stride: float, clamp: bool
) -> scipy.sparse.csr_array:
    """Build the matrix (n_out, n_in) of linear resampling along one axis.

    Output sample ``k`` lies at input position ``start + k * stride``. Where samples get sparser
    (stride > 1), the triangle filter is widened by the stride, so that nothing aliases; it is
    balanced, so that a ramp stays the same ramp at any stride.

    Parameters
    ----------
    n_in, n_out : int
        Samples before and after.
    start, stride : float
        Position of the first output sample and distance between them, in input samples.
    clamp : bool
        Beyond the ends: True repeats the end values, False gives zeros.
    """
    import scipy.sparse  # costs a tenth of a second, which opening the widget needn't

    width = max(1.0, stride)
    centres = start + stride * np.arange(n_out)
    reach = math.ceil(width)
    taps = np.floor(centres)[:, None].astype(np.int64) + np.arange(-reach, reach + 2)
    offsets = taps - centres[:, None]
    weights = np.clip(1.0 - np.abs(offsets) / width, 0.0, None)
    # A sampled triangle's centre of mass is not quite at its tip, unless its width is whole.
    first, second = (np.sum(weights * offsets**n, axis=1, keepdims=True) for n in (1, 2))
    weights *= 1.0 - first / np.maximum(second, 1e-9) * offsets
    weights /= weights.sum(axis=1, keepdims=True)
    if not clamp:
        outside = (centres < -0.5) | (centres >= n_in - 0.5)
        weights[outside] = 0.0
    rows = np.broadcast_to(np.arange(n_out)[:, None], taps.shape)
    columns = np.clip(taps, 0, n_in - 1)
    matrix = scipy.sparse.coo_array(
        (weights.ravel().astype(np.float32), (rows.ravel(), columns.ravel())), (n_out, n_in)
    )
    return scipy.sparse.csr_array(matrix)


def resample(
    values: FloatArray,
    shape: tuple[int, int],
    start: tuple[float, float],
    stride: tuple[float, float],
    *,
    clamp: bool = False,
) -> FloatArray:
    """Resample (h, w) or (h, w, C) to `shape` by linear interpolation; see `resampling_matrix`."""
    h, w = values.shape[:2]
    rows = resampling_matrix(h, shape[0], start[0], stride[0], clamp)
    columns = resampling_matrix(w, shape[1], start[1], stride[1], clamp)
    planes = values.reshape(h, w, -1)
    out = np.empty((*shape, planes.shape[2]), np.float32)
    for channel in range(planes.shape[2]):
        half = rows @ np.ascontiguousarray(planes[:, :, channel], dtype=np.float32)
        out[:, :, channel] = (columns @ np.ascontiguousarray(half.T)).T
    return out.reshape(*shape, *values.shape[2:])


def first_window(
    shape: tuple[int, int], position: tuple[float, float], size: int, span: int
) -> Window:
    """Choose the window of the first look: the whole image, or `span` pixels around a position.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    position : (float, float)
        Where the user clicked: y, x in pixels.
    size : int
        The network's window in network pixels.
    span : int
        The most image pixels to look at.
    """
    span = max(1, min(max(shape), span))
    return _placed(shape, position, span, size)


def object_window(
    shape: tuple[int, int], box: Box, size: int, *, margin: float, smallest: int, largest: int
) -> Window:
    """Choose the window around an object.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    box : Box
        The object with the clicks on it, not empty.
    size : int
        The network's window in network pixels.
    margin : float
        Side of the window over the longer side of the box.
    smallest, largest : int
        Limits of the window's side in image pixels.
    """
    wanted = math.ceil(max(box.shape) * margin)
    span = min(max(wanted, smallest), max(largest, smallest), max(*shape, smallest))
    centre = box.top + (box.height - 1) / 2, box.left + (box.width - 1) / 2
    return _placed(shape, centre, span, size)


def _placed(shape: tuple[int, int], centre: tuple[float, float], span: int, size: int) -> Window:
    """Put a window around a position, moved into the image as far as it fits."""
    corner = []
    for length, middle in zip(shape, centre, strict=True):
        if span >= length:
            corner.append(-((span - length) // 2))
        else:
            # Not round(), whose halves go to even numbers: a shifted image shifts the window.
            start = math.floor(middle - span / 2 + 1)
            corner.append(min(max(start, 0), length - span))
    return Window(corner[0], corner[1], span, size)
