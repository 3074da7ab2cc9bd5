"""Training samples of click models: objects of images, in windows of all zooms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_clickseg.training.clicks.record import SMALLEST, TrainingImage

_ZOOMS = ((1.15, 2.2), (2.2, 5.0), (0.5, 1.15))  # window's side over the object's
_ZOOM_SHARES = (0.66, 0.22, 0.12)
_CLOSEST = 40.0  # pixels of the image in a first look, at the least


def least_span(size: int) -> float:
    """Return the side in image pixels of the nearest view that a window of `size` shows."""
    return max(size / 5, 24.0)


@dataclass(frozen=True, slots=True)
class View:
    """A square of the image that the network is shown.

    Parameters
    ----------
    centre : float64 (2,)
        y, x in pixels.
    span : float
        Its side in pixels.
    """

    centre: npt.NDArray[np.float64]
    span: float


@dataclass(frozen=True, eq=False, slots=True)
class Subject:
    """An object of an image, and how its windows are turned.

    Parameters
    ----------
    mask : bool (Y, X)
    middle : float64 (2,)
        Of its box: y, x in pixels.
    extent : float
        The longer side of its box, in pixels.
    turn : float64 (2, 2)
        Maps a window's x, y (-1 … 1) to the image's, for a window of two pixels.
    """

    record: TrainingImage
    mask: npt.NDArray[np.bool_]
    middle: npt.NDArray[np.float64]
    extent: float
    turn: npt.NDArray[np.float64]

    @classmethod
    def draw(
        cls, record: TrainingImage, rng: np.random.Generator, *, together: bool = False
    ) -> Subject:
        """Choose an object of an image; rotation, mirroring and stretching are drawn.

        Parameters
        ----------
        rng : numpy.random.Generator
            Decides everything.
        together : bool
            Sometimes several objects are taken for one, as where a mask says classes.
        """
        mask = _object_mask(record, rng, together=together)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        middle = np.array([(rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2])
        angle = (
            rng.uniform(-math.pi, math.pi)
            if rng.random() < 0.25
            else (rng.integers(4) * math.pi / 2)
        )
        stretch = math.exp(rng.uniform(-0.2, 0.2)) if rng.random() < 0.3 else 1.0
        flip = -1.0 if rng.random() < 0.5 else 1.0
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]]) * np.array([flip * stretch, 1 / stretch])
        return cls(record, mask, middle, float(extent), turn)

    def whole(self, rng: np.random.Generator) -> View:
        """Return a view of the whole image, as the first look at a photograph is."""
        height, width = self.mask.shape
        span = max(height, width) * rng.uniform(0.95, 1.15)
        return View(np.array([height / 2, width / 2]), span)

    def zoomed(self, rng: np.random.Generator, low: float, high: float) -> View:
        """Return a view whose side is the object's longer one times `low` … `high`."""
        factor = math.exp(rng.uniform(math.log(low), math.log(high)))
        span = min(self.extent * factor, max(self.mask.shape) * 1.15)
        slack = 0.5 * max(span - self.extent, 0.15 * self.extent)
        return View(self.middle + rng.uniform(-1, 1, 2) * slack * 0.9, span)

    def any_view(self, rng: np.random.Generator, whole: float = 0.12) -> View:
        """Return a view of any zoom.

        Close, far, and now and then closer than the object is large: the mask then has to
        reach the border, which is how the window is found to be too small.

        Parameters
        ----------
        rng : numpy.random.Generator
            Decides the zoom and the place.
        whole : float
            Share of the views that show all of the image.
        """
        if rng.random() < whole:
            return self.whole(rng)
        return self.zoomed(rng, *_ZOOMS[int(rng.choice(len(_ZOOMS), p=_ZOOM_SHARES))])

    def scouting(self, rng: np.random.Generator) -> View:
        """Return a view around a click on the object, of any zoom that a first look may have.

        Of a large object it may show the inside alone. So the network learns that a window does
        not tell how large the object is, and looks at several zooms can be compared.
        """
        from scipy import ndimage

        step = max(1, max(self.mask.shape) // 128)
        inner = ndimage.distance_transform_edt(np.pad(self.mask[::step, ::step], 1))[1:-1, 1:-1]
        if inner.max() > 0:
            where = np.argwhere(inner >= inner.max() * rng.choice([0.99, 0.5]))
            centre = step * where[int(rng.integers(len(where)))].astype(np.float64)
        else:
            centre = self.middle
        whole = max(self.mask.shape)
        least = min(max(_CLOSEST, self.extent / 5), whole)
        return View(centre, math.exp(rng.uniform(math.log(least), math.log(whole * 1.05))))

    def placed(self, view: View, size: int, rng: np.random.Generator) -> View:
        """Limit a view's zoom, and move it into the image where it fits, mostly."""
        span, centre = max(view.span, least_span(size)), view.centre
        if rng.random() < 0.85:
            shape = np.array(self.mask.shape, np.float64)
            low, high = np.minimum(span / 2, shape / 2), np.maximum(shape - span / 2, shape / 2)
            centre = np.clip(centre, low, high)
        return View(centre, span)

    def cut(self, view: View, size: int) -> tuple[Tensor, Tensor]:
        """Return what the network sees in a view; zero outside the image.

        Returns
        -------
        image : float32 Tensor (1, 3, size, size)
        target : float32 Tensor (1, 1, size, size)
        """
        half, centre = view.span / 2, view.centre
        # The smallest box that holds the turned window, so that only this is converted.
        reach = math.ceil(half * float(np.abs(self.turn).sum(1).max())) + 2
        height, width = self.mask.shape
        top, left = max(0, int(centre[0]) - reach), max(0, int(centre[1]) - reach)
        bottom, right = min(height, int(centre[0]) + reach), min(width, int(centre[1]) + reach)
        pixels = np.ascontiguousarray(self.record.image[:, top:bottom, left:right])
        part = torch.from_numpy(pixels).float()[None]
        truth = torch.from_numpy(self.mask[top:bottom, left:right].astype(np.float32))[None, None]
        shrink = int(view.span // (size * 1.5))
        scale = 1.0
        if shrink >= 1:
            scale = 1 / (shrink + 1)
            both = F.avg_pool2d(
                torch.cat([part, truth], 1), shrink + 1, ceil_mode=True, count_include_pad=False
            )
            part, truth = both[:, :-1], both[:, -1:]
        h, w = part.shape[-2:]
        ys, xs = (centre[0] - top) * scale, (centre[1] - left) * scale
        (a, b), (c, d) = half * scale * self.turn
        # theta maps the window's -1 … 1 to the part's -1 … 1.
        theta = torch.tensor(
            [
                [2 * a / w, 2 * b / w, 2 * xs / w - 1],
                [2 * c / h, 2 * d / h, 2 * ys / h - 1],
            ],
            dtype=torch.float32,
        )[None]
        grid = F.affine_grid(theta, [1, 1, size, size], align_corners=False)
        seen = F.grid_sample(part / 255, grid, mode="bilinear", align_corners=False)
        target = F.grid_sample(truth, grid, mode="bilinear", align_corners=False)
        return seen, (target > 0.5).float()

    def between(self, old: View, new: View) -> tuple[float, npt.NDArray[np.float64]]:
        """Return factor and offset (x, y) that map the new view's -1 … 1 to the old one's."""
        way = (new.centre - old.centre)[::-1]
        offset = np.asarray(np.linalg.solve(self.turn, way) / (old.span / 2))
        return new.span / old.span, offset


def _object_mask(
    record: TrainingImage, rng: np.random.Generator, *, together: bool
) -> npt.NDArray[np.bool_]:
    from scipy import ndimage

    identifier = record.identifiers[int(rng.integers(len(record.identifiers)))]
    mask: npt.NDArray[np.bool_] = record.labels == identifier
    if record.whole:
        return mask
    if rng.random() < 0.5:
        # Of a class, or of an object in pieces, sometimes one piece alone.
        parts, count = ndimage.label(mask, np.ones((3, 3)))
        if count > 1:
            sizes = np.bincount(parts.ravel())[1:]
            large = np.flatnonzero(sizes >= SMALLEST)
            if large.size:
                mask = parts == int(rng.choice(large)) + 1
    elif together and len(record.identifiers) > 1:
        several = rng.random()
        if several < 0.05:  # any two
            other = record.identifiers[int(rng.integers(len(record.identifiers)))]
            mask = mask | (record.labels == other)
        elif several < 0.2:  # all that look alike
            mask = np.isin(record.labels, _alike(record, identifier))
    return mask


_ALIKE, _AS_LARGE = 25.0, 4.0  # distance of the mean colours of 0 … 255; ratio of the areas


def _alike(record: TrainingImage, identifier: int) -> list[int]:
    """Return the objects that look like one, itself included."""
    ids = np.array(record.identifiers)
    flat = record.labels.ravel()
    areas = np.bincount(flat)
    colours = np.stack([np.bincount(flat, c.ravel())[ids] / areas[ids] for c in record.image])
    own = colours[:, record.identifiers.index(identifier)][:, None]
    near = np.abs(colours - own).max(0) < _ALIKE
    ratio = areas[ids] / areas[identifier]
    return [int(i) for i in ids[near & (ratio < _AS_LARGE) & (ratio > 1 / _AS_LARGE)]]
