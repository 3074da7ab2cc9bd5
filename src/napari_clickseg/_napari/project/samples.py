"""Sample data: scikit-image's own pictures, and two small generated stacks; all work offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.project.reader import open_project
from napari_clickseg.data.pixel_size import PixelSize
from napari_clickseg.data.project import is_project, read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.runs.home import default_home

if TYPE_CHECKING:
    from napari.types import LayerDataTuple

FloatArray = npt.NDArray[np.float64]
FOLDER = "sample project"
"""Where the project is made, in the program's own folder."""


def coins() -> list[LayerDataTuple]:
    """Greek coins on a board, uint8 (303, 384)."""
    return [_picture("coins", "coins")]


def coins_with_regions() -> list[LayerDataTuple]:
    """Return the coins with a label map to start from, as another program might have left it."""
    image = _picture("coins", "coins")
    return [image, (coin_regions(image[0]), {"name": "rough segmentation"}, "labels")]


def cell() -> list[LayerDataTuple]:
    """Return one cell in a microscope, uint8 (660, 550)."""
    return [_picture("cell", "cell")]


def tissue() -> list[LayerDataTuple]:
    """Return colon tissue stained by immunohistochemistry, RGB (512, 512, 3)."""
    return [_picture("immunohistochemistry", "tissue", rgb=True)]


def retina() -> list[LayerDataTuple]:
    """Return a retina, RGB (1411, 1411, 3)."""
    return [_picture("retina", "retina", rgb=True)]


def galaxies() -> list[LayerDataTuple]:
    """Return a piece of the Hubble deep field, RGB (872, 1000, 3)."""
    return [_picture("hubble_deep_field", "galaxies", rgb=True)]


def astronaut() -> list[LayerDataTuple]:
    """Return a photograph of Eileen Collins, RGB (512, 512, 3)."""
    return [_picture("astronaut", "astronaut", rgb=True)]


def time_lapse() -> list[LayerDataTuple]:
    """Return cells that drift and change shape, uint16 (T, Y, X) = (12, 256, 256)."""
    planes = [_noisy(_cells(256, phase=t / 12).max(axis=0), seed=t) for t in range(12)]
    meta = {"name": "cells over time", "axis_labels": ("t", "y", "x")}
    return [(np.stack(planes), meta, "image")]


def two_channels() -> list[LayerDataTuple]:
    """Return cells and their nuclei in a stack, uint16 (Z, C, Y, X), scaled 2 to 1."""
    heights = np.linspace(-1, 1, 9)
    planes = []
    for z, height in enumerate(heights):
        swell = np.sqrt(1 - 0.8 * height**2)
        body = _cells(224, swell=swell).max(axis=0)
        nuclei = _cells(224, swell=0.45 * swell).max(axis=0)
        planes.append([_noisy(0.6 * body, seed=2 * z), _noisy(nuclei, seed=2 * z + 1)])
    meta = {
        "name": "cells in two channels",
        "scale": (2.0, 1.0, 1.0, 1.0),
        "axis_labels": ("z", "c", "y", "x"),
        "contrast_limits": (0, 4095),
    }
    return [(np.array(planes), meta, "image")]


def project() -> list[LayerDataTuple]:
    """Make a small project of cells, unless it is there already, and return its layers.

    Ten images of five specimens are annotated, four are not: enough to try a training, and to
    predict the rest and review it.
    """
    folder = default_home() / FOLDER
    if not is_project(folder):
        with ProjectWriter.opened(folder) as writer:
            for number in range(14):
                cells = _cells(96, phase=number / 5)
                labels = np.where(cells.max(axis=0) > 0.45, cells.argmax(axis=0) + 1, 0)
                specimen = f"specimen {number // 2 + 1}"
                writer.add(
                    f"cells {number + 1:02d}",
                    _noisy(cells.max(axis=0), seed=number),
                    labels if number < 10 else None,
                    group=specimen,
                    pixel_size=PixelSize(0.65, 0.65, "µm"),
                )
    return open_project(read_project(folder))


def coin_regions(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Segment the coins without any learning: edges, then a watershed.

    Parameters
    ----------
    image : uint8 (303, 384)
        scikit-image's coins.

    Returns
    -------
    int32 (303, 384)
        One id for each coin, 0 for the board.
    """
    from scipy import ndimage
    from skimage.filters import sobel
    from skimage.segmentation import watershed

    markers = np.zeros(image.shape, np.int32)
    markers[image < 30] = 1
    markers[image > 150] = 2
    mask = ndimage.binary_fill_holes(watershed(sobel(image), markers) == 2)
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    labels[sizes[labels] < 100] = 0
    return np.asarray(labels, np.int32)


def _picture(function: str, name: str, *, rgb: bool = False) -> LayerDataTuple:
    from skimage import data

    return getattr(data, function)(), {"name": name, "rgb": rgb}, "image"


def _cells(size: int, *, phase: float = 0.0, swell: float = 1.0) -> FloatArray:
    """Draw soft, wobbling cells, each in an array of its own; float (n, size, size), 0 … 1."""
    rng = np.random.default_rng(5)
    yy, xx = np.mgrid[:size, :size].astype(float)
    cells = []
    for row in range(4):
        for column in range(4):
            jitter, drift = rng.uniform(-0.3, 0.3, 2), rng.uniform(-0.5, 0.5, 2)
            y, x = (np.array([row, column]) + 0.5 + jitter + drift * phase) * size / 4
            radius = size / 4 * rng.uniform(0.22, 0.36) * swell
            angle = np.arctan2(yy - y, xx - x)
            turn, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.25)
            edge = radius * (1 + depth * np.sin(2 * angle + turn + 3 * phase))
            away = np.hypot(yy - y, xx - x)
            cells.append(rng.uniform(0.6, 1.0) / (1 + np.exp((away - edge) / 1.2)))
    return np.array(cells)


def _noisy(plane: FloatArray, seed: int) -> npt.NDArray[np.uint16]:
    """Return a plane as a 12-bit camera sees it: background, shot noise, read noise."""
    rng = np.random.default_rng(seed)
    light: Any = rng.poisson(40 + 360 * plane) * 9.0
    seen = np.clip(light + rng.normal(100, 12, plane.shape), 0, 4095)
    return np.asarray(seen, np.uint16)
