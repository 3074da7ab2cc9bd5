"""Training samples of the default click model: objects of many images, in windows of all zooms."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_clickseg.core.intensity import measure, to_channels
from napari_clickseg.core.source import ImageSource
from napari_clickseg.training.composed import compose
from napari_clickseg.training.generated import generated_sample, superpixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["Pool", "Record", "Subject", "View", "least_span", "load_folder"]

_SMALLEST = 40  # pixels of an object that is worth a sample


@dataclass(frozen=True, slots=True)
class Record:
    """An image and its labels.

    Parameters
    ----------
    image : uint8 (C, Y, X)
        Normalised as the network will see it at run time, times 255.
    labels : int32 (Y, X)
        0 background.
    identifiers : tuple of int
        The labels that are large enough.
    whole : bool
        All pixels of a label are always wanted together, never one piece of them.
    ignored : bool (Y, X), optional
        Pixels that count neither way.
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    identifiers: tuple[int, ...]
    whole: bool = False
    ignored: npt.NDArray[np.bool_] | None = None


def make_record(image: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]) -> Record | None:
    """Normalise an image (Y, X) or (Y, X, C) with labels (Y, X); None if no object is there.

    Raises
    ------
    ValueError
        If the labels are not of the image's shape.
    """
    source = ImageSource(image)
    if labels.shape != source.shape:
        raise ValueError(
            f"The labels' shape {labels.shape} is not the image's {source.shape}; give one id for "
            "each pixel."
        )
    values = to_channels(measure(source).apply(source.read_all()), 3)
    ids = labels.astype(np.int32)
    pixels = np.ascontiguousarray((values * 255).round().astype(np.uint8).transpose(2, 0, 1))
    return _with_objects(pixels, ids, _SMALLEST)


def _with_objects(
    image: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32], least: int
) -> Record | None:
    counts = np.bincount(labels.ravel())
    identifiers = tuple(int(i) for i in np.flatnonzero(counts >= least) if i)
    return Record(image, labels, identifiers) if identifiers else None


def load_folder(folder: Path) -> list[Record]:
    """Read a project folder (`index.csv` with the columns image, mask)."""
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    records = []
    for row in rows:
        image = iio.imread(folder / row["image"])
        record = make_record(
            image[..., :3] if image.ndim == 3 else image, iio.imread(folder / row["mask"])
        )
        if record is not None:
            records.append(record)
    return records


class Pool:
    """All images to train on, in sets that are drawn with given weights.

    Parameters
    ----------
    folders : sequence of Path
        Project folders, each a set; drawn in proportion to the square root of its size.
    seed : int
        Decides the generated images and superpixels.
    generated : int
        Number of generated images.
    superpixel_images : int
        Number of real images cut into superpixel objects.
    composed : int
        Number of real images with something else put into them.
    shares : (float, float, float)
        Shares of the samples that come from generated images, from superpixels, from composed
        images.
    renewed : float
        How often a made image is made anew before it is drawn, so that a long run never learns
        a few by heart.

    Raises
    ------
    ValueError
        If there is no image with an object.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        seed: int = 0,
        generated: int = 1000,
        superpixel_images: int = 600,
        composed: int = 0,
        shares: tuple[float, float, float] = (0.12, 0.12, 0.2),
        renewed: float = 0.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.names: list[str] = []
        self.sets: list[list[Record]] = []
        self.renewed = renewed
        self._makers: dict[int, Callable[[np.random.Generator], Record | None]] = {}
        weights: list[float] = []

        def add(name: str, records: list[Record], weight: float) -> None:
            if records and weight > 0:
                self.names.append(name)
                self.sets.append(records)
                weights.append(weight)

        loaded = [load_folder(folder) for folder in folders]
        self._real = real = [record for records in loaded for record in records]
        made = (
            ("generated", self._generated, generated, shares[0]),
            ("superpixels", self._cut, min(superpixel_images, len(real)), shares[1]),
            ("composed", self._composed, composed if real else 0, shares[2]),
        )
        left = 1 - sum(share for _, _, number, share in made if number)
        whole = sum(math.sqrt(len(records)) for records in loaded)
        for folder, records in zip(folders, loaded, strict=True):
            add(folder.name, records, left * math.sqrt(len(records)) / whole if records else 0.0)
        for name, maker, number, share in made:
            records = [r for _ in range(number if share else 0) if (r := maker(rng)) is not None]
            add(name, records, share)
            if records:
                self._makers[len(self.sets) - 1] = maker
        if not weights:
            raise ValueError("There is no image to train on; give folders with labelled objects.")
        self.weights = [weight / sum(weights) for weight in weights]

    def _any(self, rng: np.random.Generator) -> Record:
        return self._real[int(rng.integers(len(self._real)))]

    @staticmethod
    def _generated(rng: np.random.Generator) -> Record | None:
        return make_record(*generated_sample(rng))

    def _cut(self, rng: np.random.Generator) -> Record | None:
        image = self._any(rng).image
        labels = superpixels(np.ascontiguousarray(image.transpose(1, 2, 0)), rng)
        return _with_objects(image, labels, 4 * _SMALLEST)

    def _composed(self, rng: np.random.Generator) -> Record | None:
        ground, other = self._any(rng), self._any(rng)
        mask = other.labels == other.identifiers[int(rng.integers(len(other.identifiers)))]
        return _with_objects(*compose(ground.image, other.image, mask, rng), _SMALLEST)

    def draw(self, rng: np.random.Generator, n: int) -> list[Record]:
        """Draw n images: a set by weight, then an image of it."""
        return [self._from(int(i), rng) for i in rng.choice(len(self.sets), n, p=self.weights)]

    def _from(self, i: int, rng: np.random.Generator) -> Record:
        records, maker = self.sets[i], self._makers.get(i)
        chosen = int(rng.integers(len(records)))
        if self.renewed and maker is not None and rng.random() < self.renewed:
            records[chosen] = maker(rng) or records[chosen]
        return records[chosen]


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
    record : Record
    mask : bool (Y, X)
    middle : float64 (2,)
        Of its box: y, x in pixels.
    extent : float
        The longer side of its box, in pixels.
    turn : float64 (2, 2)
        Maps a window's x, y (-1 … 1) to the image's, for a window of two pixels.
    """

    record: Record
    mask: npt.NDArray[np.bool_]
    middle: npt.NDArray[np.float64]
    extent: float
    turn: npt.NDArray[np.float64]

    @classmethod
    def draw(cls, record: Record, rng: np.random.Generator) -> Subject:
        """Choose an object of an image; rotation, mirroring and stretching are drawn."""
        mask = _object_mask(record, rng)
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


def _object_mask(record: Record, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
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
            large = np.flatnonzero(sizes >= _SMALLEST)
            if large.size:
                mask = parts == int(rng.choice(large)) + 1
    elif len(record.identifiers) > 1:
        several = rng.random()
        if several < 0.05:  # sometimes two objects are wanted as one
            other = record.identifiers[int(rng.integers(len(record.identifiers)))]
            mask = mask | (record.labels == other)
        elif several < 0.2:  # or all that look alike, as where a mask says classes
            mask = np.isin(record.labels, _alike(record, identifier))
    return mask


_ALIKE, _AS_LARGE = 25.0, 4.0  # distance of the mean colours of 0 … 255; ratio of the areas


def _alike(record: Record, identifier: int) -> list[int]:
    """Return the objects that look like one, itself included."""
    ids = np.array(record.identifiers)
    flat = record.labels.ravel()
    areas = np.bincount(flat)
    colours = np.stack([np.bincount(flat, c.ravel())[ids] / areas[ids] for c in record.image])
    own = colours[:, record.identifiers.index(identifier)][:, None]
    near = np.abs(colours - own).max(0) < _ALIKE
    ratio = areas[ids] / areas[identifier]
    return [int(i) for i in ids[near & (ratio < _AS_LARGE) & (ratio > 1 / _AS_LARGE)]]
