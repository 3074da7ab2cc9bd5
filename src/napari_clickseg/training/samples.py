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
from napari_clickseg.training.generated import generated_sample, superpixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Pool", "Record", "augment_intensity", "load_folder", "window_batch"]

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
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    identifiers: tuple[int, ...]


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
    counts = np.bincount(ids.ravel())
    identifiers = tuple(int(i) for i in np.flatnonzero(counts >= _SMALLEST) if i != 0)
    if not identifiers:
        return None
    pixels = np.ascontiguousarray((values * 255).round().astype(np.uint8).transpose(2, 0, 1))
    return Record(pixels, ids, identifiers)


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
    shares : (float, float)
        Shares of the samples that come from generated images and from superpixels.

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
        shares: tuple[float, float] = (0.12, 0.12),
    ) -> None:
        rng = np.random.default_rng(seed)
        self.names: list[str] = []
        self.sets: list[list[Record]] = []
        weights: list[float] = []

        def add(name: str, records: list[Record], weight: float) -> None:
            if records and weight > 0:
                self.names.append(name)
                self.sets.append(records)
                weights.append(weight)

        loaded = [load_folder(folder) for folder in folders]
        whole = sum(math.sqrt(len(records)) for records in loaded)
        for folder, records in zip(folders, loaded, strict=True):
            share = math.sqrt(len(records)) / whole if records else 0.0
            add(folder.name, records, share * (1 - sum(shares)))
        if shares[0]:
            made = (make_record(*generated_sample(rng)) for _ in range(generated))
            add("generated", [r for r in made if r is not None], shares[0])
        if shares[1]:
            real = [record for records in loaded for record in records]
            chosen = rng.choice(len(real), min(superpixel_images, len(real)), replace=False)
            cut = (self._superpixel_record(real[int(i)], rng) for i in chosen)
            add("superpixels", [r for r in cut if r is not None], shares[1])
        if not weights:
            raise ValueError("There is no image to train on; give folders with labelled objects.")
        self.weights = [weight / sum(weights) for weight in weights]

    @staticmethod
    def _superpixel_record(record: Record, rng: np.random.Generator) -> Record | None:
        labels = superpixels(np.ascontiguousarray(record.image.transpose(1, 2, 0)), rng)
        counts = np.bincount(labels.ravel())
        identifiers = tuple(int(i) for i in np.flatnonzero(counts >= 4 * _SMALLEST) if i)
        return Record(record.image, labels, identifiers) if identifiers else None

    def draw(self, rng: np.random.Generator, n: int) -> list[Record]:
        """Draw n images: a set by weight, then an image of it."""
        chosen = rng.choice(len(self.sets), n, p=self.weights)
        return [self.sets[i][int(rng.integers(len(self.sets[i])))] for i in chosen]


_ZOOMS = ((1.15, 2.2), (2.2, 5.0), (0.5, 1.15))  # window's side over the object's
_ZOOM_SHARES = (0.66, 0.22, 0.12)


def _object_mask(record: Record, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    from scipy import ndimage

    identifier = record.identifiers[int(rng.integers(len(record.identifiers)))]
    mask: npt.NDArray[np.bool_] = record.labels == identifier
    if rng.random() < 0.5:
        # Of a class, or of an object in pieces, sometimes one piece alone.
        parts, count = ndimage.label(mask, np.ones((3, 3)))
        if count > 1:
            sizes = np.bincount(parts.ravel())[1:]
            large = np.flatnonzero(sizes >= _SMALLEST)
            if large.size:
                mask = parts == int(rng.choice(large)) + 1
    elif rng.random() < 0.05 and len(record.identifiers) > 1:
        # Sometimes two objects are wanted as one.
        other = record.identifiers[int(rng.integers(len(record.identifiers)))]
        mask = mask | (record.labels == other)
    return mask


def window_batch(
    records: Iterable[Record], size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Cut one object's window from each image, as `core.window` will at run time.

    Zoom, place, rotation and mirroring are drawn; what lies outside the image is zero.

    Returns
    -------
    image : float32 Tensor (B, 3, size, size)
    target : float32 Tensor (B, 1, size, size)
    """
    images, targets = [], []
    for record in records:
        mask = _object_mask(record, rng)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        height, width = mask.shape
        extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        middle = np.array([(rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2])
        whole = max(height, width)
        if rng.random() < 0.12:
            span, centre = whole * rng.uniform(0.95, 1.15), np.array([height / 2, width / 2])
        else:
            # Close, far, and now and then closer than the object is large: the mask then has to
            # reach the border, which is how the window is found to be too small.
            low, high = _ZOOMS[int(rng.choice(len(_ZOOMS), p=_ZOOM_SHARES))]
            factor = math.exp(rng.uniform(math.log(low), math.log(high)))
            span = min(extent * factor, whole * 1.15)
            slack = 0.5 * max(span - extent, 0.15 * extent)
            centre = middle + rng.uniform(-1, 1, 2) * slack * 0.9
        span = max(span, size / 5, 24.0)
        if rng.random() < 0.85:  # at run time a window is moved into the image where it fits
            shape = np.array([height, width])
            low, high = np.minimum(span / 2, shape / 2), np.maximum(shape - span / 2, shape / 2)
            centre = np.clip(centre, low, high)
        image, target = _cut(record.image, mask, centre, span, size, rng)
        images.append(image)
        targets.append(target)
    return torch.cat(images), torch.cat(targets)


def _cut(
    image: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.bool_],
    centre: npt.NDArray[np.float64],
    span: float,
    size: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    angle = (
        rng.uniform(-math.pi, math.pi) if rng.random() < 0.25 else (rng.integers(4) * math.pi / 2)
    )
    stretch = math.exp(rng.uniform(-0.2, 0.2)) if rng.random() < 0.3 else 1.0
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = math.cos(angle), math.sin(angle)
    half = span / 2
    # The smallest box that holds the rotated window, so that only this is converted.
    reach = math.ceil(half * (abs(cos) + abs(sin)) * max(stretch, 1 / stretch)) + 2
    height, width = mask.shape
    top, left = max(0, int(centre[0]) - reach), max(0, int(centre[1]) - reach)
    bottom, right = min(height, int(centre[0]) + reach), min(width, int(centre[1]) + reach)
    part = torch.from_numpy(np.ascontiguousarray(image[:, top:bottom, left:right])).float()[None]
    truth = torch.from_numpy(mask[top:bottom, left:right].astype(np.float32))[None, None]
    shrink = int(span // (size * 1.5))
    scale = 1.0
    if shrink >= 1:
        scale = 1 / (shrink + 1)
        both = F.avg_pool2d(
            torch.cat([part, truth], 1), shrink + 1, ceil_mode=True, count_include_pad=False
        )
        part, truth = both[:, :3], both[:, 3:]
    h, w = part.shape[-2:]
    ys = (centre[0] - top) * scale
    xs = (centre[1] - left) * scale
    half *= scale
    # theta maps the window's -1 … 1 to the part's -1 … 1.
    theta = torch.tensor(
        [
            [2 * half * cos * flip * stretch / w, -2 * half * sin / stretch / w, 2 * xs / w - 1],
            [2 * half * sin * flip * stretch / h, 2 * half * cos / stretch / h, 2 * ys / h - 1],
        ],
        dtype=torch.float32,
    )[None]
    grid = F.affine_grid(theta, [1, 1, size, size], align_corners=False)
    seen = F.grid_sample(part / 255, grid, mode="bilinear", align_corners=False)
    target = F.grid_sample(truth, grid, mode="bilinear", align_corners=False)
    return seen, (target > 0.5).float()


def augment_intensity(image: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast, colour, sharpness and noise of each image at random.

    Parameters
    ----------
    image : Tensor (B, 3, N, N)
        0 … 1.
    generator : torch.Generator
        On the device of `image`; decides everything.

    Returns
    -------
    Tensor (B, 3, N, N)
        0 … 1.
    """
    batch = image.shape[0]
    device = image.device

    def chance(p: float) -> Tensor:
        return (torch.rand(batch, 1, 1, 1, generator=generator, device=device) < p).float()

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        unit = torch.rand(batch, channels, 1, 1, generator=generator, device=device)
        return low + (high - low) * unit

    def mix(new: Tensor, p: float) -> None:
        nonlocal image
        image = torch.lerp(image, new, chance(p))

    weights = uniform(0.05, 1.0, 3)
    grey = (image * weights / weights.sum(1, keepdim=True)).sum(1, keepdim=True)
    mix(grey.expand_as(image), 0.25)
    order = torch.randperm(3, generator=generator, device=device)
    mix(image[:, order], 0.15)
    mix(image * uniform(0.6, 1.3, 3), 0.2)
    mix(image.clamp(1e-4, 1) ** torch.exp(uniform(-0.7, 0.7)), 0.4)
    mix((image - 0.5) * uniform(0.5, 1.5) + 0.5 + uniform(-0.2, 0.2), 0.3)
    mix(1 - image, 0.15)
    field = torch.randn(batch, 1, 4, 4, generator=generator, device=device)
    field = F.interpolate(field, image.shape[-2:], mode="bicubic", align_corners=False)
    mix(image * (1 + 0.25 * field), 0.12)
    small = F.avg_pool2d(F.pad(image, (2, 2, 2, 2), mode="replicate"), 5, 1)
    mix(torch.lerp(image, small, uniform(0.2, 1.0)), 0.2)
    noise = torch.randn(image.shape, generator=generator, device=device)
    mono = noise[:, :1].expand_as(noise)
    mix(image + uniform(0.01, 0.08) * noise, 0.15)
    mix(image + uniform(0.01, 0.08) * mono, 0.08)
    mix(image * (1 + uniform(0.05, 0.35) * mono), 0.08)
    return image.clamp(0, 1)
