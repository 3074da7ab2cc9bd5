"""Generated images with masks: procedural shapes and textures, and superpixel pseudo-objects.

They teach what no data set holds: any shape on any texture, at any contrast (the idea of
ScribblePrompt's pseudo-labels and of SynthMorph's noise shapes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.draw import ellipse, line, polygon
from skimage.segmentation import felzenszwalb

__all__ = ["draw_objects", "generated_sample", "superpixels"]

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]


def generated_sample(rng: np.random.Generator, size: int = 192) -> tuple[Image, Labels]:
    """Make an image with objects.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides everything.
    size : int
        Side of the image in pixels.

    Returns
    -------
    image : uint8 (size, size, 3)
    labels : int32 (size, size)
        0 is background, each object has an id of its own.
    """
    coloured = rng.random() < 0.5
    image = _texture(rng, size, coloured)
    kind = rng.random()
    if kind < 0.2:
        return _finished(rng, *_nested(rng, image, coloured))
    if kind < 0.3:
        return _finished(rng, *_cells(rng, image, coloured))
    labels = draw_objects(rng, size)
    if rng.random() < 0.6:  # objects of one kind look alike
        look = _texture(rng, size, coloured)
        image[labels > 0] = look[labels > 0]
    else:
        for identifier in range(1, int(labels.max()) + 1):
            look = _texture(rng, size, coloured)
            image[labels == identifier] = look[labels == identifier]
    if rng.random() < 0.3:  # outlined, as membranes are
        edge = ndimage.grey_dilation(labels, (3, 3)) != ndimage.grey_erosion(labels, (3, 3))
        image[edge] = rng.random(3) if coloured else rng.random()
    return _finished(rng, image, labels)


def draw_objects(rng: np.random.Generator, size: int) -> Labels:
    """Draw the outlines of some objects of one kind.

    Parameters
    ----------
    rng : numpy.random.Generator
        Decides everything.
    size : int
        Side of the image in pixels.

    Returns
    -------
    int32 (size, size)
        0 is background, each object has an id of its own; now and then there is none.
    """
    kinds = (_curves, _noise_regions, _rings, _shapes)
    return kinds[int(rng.choice(len(kinds), p=(0.35, 0.2, 0.15, 0.3)))](rng, size)


def _finished(
    rng: np.random.Generator, image: npt.NDArray[np.float64], labels: Labels
) -> tuple[Image, Labels]:
    """Blur and add noise, as optics and sensors do."""
    sigma = rng.uniform(0, 1.5)
    image = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    image += rng.normal(0, rng.uniform(0, 0.08), image.shape)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), labels


def superpixels(image: Image, rng: np.random.Generator) -> Labels:
    """Cut a real image into regions of like colour that serve as objects.

    Parameters
    ----------
    image : uint8 (Y, X, 3)
        A real one.
    rng : numpy.random.Generator
        Decides how coarse the regions are.

    Returns
    -------
    int32 (Y, X)
        Ids from 1.
    """
    scale = float(rng.choice([100, 300, 800]))
    regions = felzenszwalb(image, scale=scale, sigma=0.8, min_size=150)
    return np.asarray(regions, np.int32) + 1


def _noise(rng: np.random.Generator, size: int, cells: int) -> npt.NDArray[np.float64]:
    coarse = rng.normal(size=(cells + 3, cells + 3))
    fine = ndimage.zoom(coarse, (size + 16) / (cells + 3), order=3, mode="nearest")
    out = fine[:size, :size]
    spread = float(out.std())
    return np.asarray(out / spread if spread > 0 else out)


def _texture(rng: np.random.Generator, size: int, coloured: bool) -> npt.NDArray[np.float64]:
    channels = 3 if coloured else 1
    base = rng.random(channels)
    out = np.broadcast_to(base, (size, size, channels)).copy()
    kind = rng.integers(4)
    if kind >= 1:
        cells = int(rng.integers(2, 12))
        out += _noise(rng, size, cells)[..., None] * rng.normal(0, 0.12, channels)
    if kind >= 2:
        cells = int(rng.integers(16, 64))
        out += _noise(rng, size, cells)[..., None] * rng.normal(0, 0.12, channels)
    if kind == 3:
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, 24)
        y, x = np.mgrid[:size, :size]
        wave = np.sin(2 * np.pi * (y * np.sin(angle) + x * np.cos(angle)) / period)
        out += wave[..., None] * rng.normal(0, 0.12, channels)
    return np.broadcast_to(out, (size, size, 3)).copy()


def _noise_regions(rng: np.random.Generator, size: int) -> Labels:
    field = _noise(rng, size, int(rng.integers(2, 9)))
    labels, _ = ndimage.label(field > rng.uniform(0.2, 1.2))
    return np.asarray(labels, np.int32)


def _shapes(rng: np.random.Generator, size: int) -> Labels:
    labels = np.zeros((size, size), np.int32)
    largest = rng.uniform(0.06, 0.4) * size
    for identifier in range(1, int(rng.integers(2, 24))):
        cy, cx = rng.uniform(0, size, 2)
        radius = rng.uniform(0.4, 1.0) * largest
        if rng.random() < 0.5:
            rows, columns = ellipse(
                cy, cx, radius, radius * rng.uniform(0.3, 1), (size, size), rng.uniform(0, np.pi)
            )
        else:
            n = int(rng.integers(3, 12))
            angles = np.sort(rng.uniform(0, 2 * np.pi, n))
            reach = radius * rng.uniform(0.4, 1, n)
            rows, columns = polygon(
                cy + reach * np.sin(angles), cx + reach * np.cos(angles), (size, size)
            )
        labels[rows, columns] = identifier
    return labels


def _rings(rng: np.random.Generator, size: int) -> Labels:
    """Return things with a wall and an inside, each an object: cells, hearts, glands."""
    labels = np.zeros((size, size), np.int32)
    largest = rng.uniform(0.08, 0.4) * size
    thick = rng.uniform(0.25, 0.8)
    for identifier in range(1, 2 * int(rng.integers(2, 10)), 2):
        centre, radius = rng.uniform(0, size, 2), rng.uniform(0.5, 1.0) * largest
        whole = _blob(rng, size, centre, radius)
        away = centre + rng.normal(0, 0.12, 2) * radius  # few walls are even
        inner = whole & _blob(rng, size, away, radius * (1 - thick * rng.uniform(0.6, 1)))
        labels[whole], labels[inner] = identifier, identifier + 1
    return labels


def _cells(
    rng: np.random.Generator, image: npt.NDArray[np.float64], coloured: bool
) -> tuple[npt.NDArray[np.float64], Labels]:
    """Return objects that fill the image, told apart by thin walls or by a shade."""
    size = image.shape[0]
    count = int(np.exp(rng.uniform(np.log(8), np.log(120))))
    places = rng.uniform(0, size, (count, 2))
    bends = np.stack([_noise(rng, size, int(rng.integers(4, 16))) for _ in range(2)])
    there = np.mgrid[:size, :size] + bends * rng.uniform(0, 0.25) * size / np.sqrt(count)
    _, nearest = KDTree(places).query(there.reshape(2, -1).T)
    labels = nearest.reshape(size, size).astype(np.int32) + 1
    if rng.random() < 0.7:
        edge = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
        wall = ndimage.distance_transform_edt(~edge) <= rng.uniform(0, 2.5)
        image[wall] = _texture(rng, size, coloured)[wall]
        labels[wall] = 0
    else:
        image = image + rng.normal(0, rng.uniform(0.04, 0.2), count + 1)[labels][..., None]
    return image, labels


def _curves(rng: np.random.Generator, size: int) -> Labels:
    """Return thin, winding, branching structures: cracks, roads, vessels, stems; one id for all."""
    drawn = np.zeros((size, size), bool)
    bend, step = rng.uniform(0.02, 0.6), 4.0
    starts = [_start(rng, size) for _ in range(int(rng.integers(1, 4)))]
    for _ in range(int(rng.integers(1, 10))):
        y, x, angle = starts.pop(int(rng.integers(len(starts))))
        for _ in range(int(rng.integers(10, 70))):
            angle += rng.normal(0, bend)
            to_y, to_x = y + step * np.sin(angle), x + step * np.cos(angle)
            if not (0 <= to_y < size - 1 and 0 <= to_x < size - 1):
                break
            rows, columns = line(round(y), round(x), round(to_y), round(to_x))
            drawn[rows, columns] = True
            y, x = to_y, to_x
            if rng.random() < 0.12:
                starts.append((y, x, angle + rng.choice([-1, 1]) * rng.uniform(0.4, 1.6)))
        starts = starts or [_start(rng, size)]
    width = rng.uniform(0.6, 4.0) * np.exp(0.3 * _noise(rng, size, int(rng.integers(2, 12))))
    return np.asarray(ndimage.distance_transform_edt(~drawn) <= width, np.int32)


def _start(rng: np.random.Generator, size: int) -> tuple[float, float, float]:
    """Return y, x and a direction in radians."""
    y, x = rng.uniform(0, size - 1, 2)
    return float(y), float(x), float(rng.uniform(0, 2 * np.pi))


def _nested(
    rng: np.random.Generator, image: npt.NDArray[np.float64], coloured: bool
) -> tuple[npt.NDArray[np.float64], Labels]:
    """Return objects inside a larger, clearer thing that is not an object: tumours in a brain."""
    size = image.shape[0]
    host = _blob(rng, size, rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.2, 0.45) * size)
    image[host] = _texture(rng, size, coloured)[host]
    labels = np.zeros((size, size), np.int32)
    for identifier in range(1, int(rng.integers(2, 4))):
        places = np.argwhere(host)
        if not places.size:
            break
        centre = places[int(rng.integers(len(places)))]
        inner = host & _blob(rng, size, centre, rng.uniform(0.05, 0.16) * size)
        labels[inner] = identifier
        if rng.random() < 0.5:  # a little brighter or darker than its surroundings
            image[inner] += rng.uniform(0.06, 0.3) * rng.choice([-1, 1])
        else:
            image[inner] = _texture(rng, size, coloured)[inner]
    return image, labels


def _blob(
    rng: np.random.Generator, size: int, centre: npt.NDArray[np.generic], radius: float
) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size]
    away = np.hypot(y - centre[0], x - centre[1]) / radius
    return np.asarray(away + 0.2 * _noise(rng, size, int(rng.integers(2, 10))) < 1)
