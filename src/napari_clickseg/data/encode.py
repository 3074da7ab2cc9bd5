"""Images and masks as files of a project: which kind of file, and writing it."""

from __future__ import annotations

import colorsys
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import MAX_CHANNELS
from napari_clickseg.data.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.pixel_size import PixelSize

_PICTURE = 64 * 1024**2  # pixels, up to which a PNG is read by everything without complaint
_TILED = 4096  # longer side of an image from which on a TIFF is cut into tiles
_BIG = 1 << 31  # bytes from which on a TIFF needs wide offsets
_HUES = 12


def storable_image(name: str, image: Any, rgb: bool | None) -> tuple[npt.NDArray[Any], bool]:
    """Return an image as it is stored, and whether its channels are colours.

    Parameters
    ----------
    name : str
        What messages call it.
    image : array (Y, X) or (Y, X, C)
        Of any real dtype; bool becomes uint8.
    rgb : bool, optional
        By default 8-bit images with three or four channels count as colour.

    Raises
    ------
    ProjectError
        If this is no image.
    """
    values = np.asarray(image)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or values.size == 0:
        raise ProjectError(
            f"{name} has the shape {values.shape}; an image of a project is a plane (Y, X) or "
            "(Y, X, C)."
        )
    if values.ndim == 3 and values.shape[2] > MAX_CHANNELS:
        raise ProjectError(
            f"{name} has {values.shape[2]} channels; a project holds up to {MAX_CHANNELS}."
        )
    if values.dtype.kind not in "buif":
        raise ProjectError(f"{name} is of dtype {values.dtype}; give real numbers.")
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    elif values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    colours = values.ndim == 3 and values.shape[2] in (3, 4)
    return values, colours and (values.dtype == np.uint8 if rgb is None else rgb)


def storable_mask(name: str, labels: Any, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Return a label map in the smallest dtype that holds its ids: uint8, uint16 or uint32.

    Raises
    ------
    ProjectError
        If this is no label map of an image of that shape.
    """
    values = np.asarray(labels)
    if values.dtype.kind not in "bui":
        raise ProjectError(f"The mask of {name} is of dtype {values.dtype}; give ids.")
    if values.shape != shape:
        raise ProjectError(
            f"{name} has the shape {shape}, its mask {values.shape}; they must be of the same size."
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise ProjectError(
            f"The mask of {name} has ids from {low} to {high}; number them from 0 (background)."
        )
    fitting = (kind for kind in (np.uint8, np.uint16, np.uint32) if high <= np.iinfo(kind).max)
    return values.astype(next(fitting))


def image_suffix(values: npt.NDArray[Any], rgb: bool) -> str:
    """Return how the file of an image ends."""
    plain = values.dtype == np.uint8 and (values.ndim == 2 or rgb)
    return ".png" if plain and _is_small(values) else ".tif"


def mask_suffix(values: npt.NDArray[Any]) -> str:
    """Return how the file of a mask ends."""
    return ".png" if values.dtype == np.uint8 and _is_small(values) else ".tif"


def _is_small(values: npt.NDArray[Any]) -> bool:
    return bool(values.shape[0] * values.shape[1] <= _PICTURE)


def write_image(
    path: Path, values: npt.NDArray[Any], rgb: bool, pixel_size: PixelSize | None = None
) -> None:
    """Write what `storable_image` returned."""
    if path.suffix == ".png":
        import imageio.v3 as iio

        iio.imwrite(path, values, plugin="pillow")
    elif values.ndim == 3:
        _write_tiff(
            path,
            values,
            pixel_size,
            photometric="rgb" if rgb else "minisblack",
            planarconfig="contig",
            metadata={"axes": "YXS" if rgb else "YXC"},
        )
    else:
        write_grey(path, values, pixel_size)


def write_labels(
    path: Path, values: npt.NDArray[Any], colours: bytes, pixel_size: PixelSize | None = None
) -> None:
    """Write what `storable_mask` returned; a PNG is indexed, in colours from `palette`."""
    if path.suffix == ".png":
        path.write_bytes(_indexed_png(values, colours))
    else:
        write_grey(path, values, pixel_size)


def write_grey(
    path: Path,
    values: npt.NDArray[Any],
    pixel_size: PixelSize | None = None,
    axes: str = "YX",
    **more: Any,
) -> None:
    """Write a compressed TIFF of one value a pixel.

    Parameters
    ----------
    values : array
        A plane, or a stack of planes.
    pixel_size : PixelSize, optional
        Is written as a resolution in centimetres, which most programs read.
    axes : str
        A letter for each axis.
    **more
        What its description says besides.
    """
    options = {"photometric": "minisblack", "metadata": {"axes": axes, **more}}
    _write_tiff(path, values, pixel_size, **options)


def _write_tiff(
    path: Path, values: npt.NDArray[Any], pixel_size: PixelSize | None, **options: Any
) -> None:
    import tifffile

    if pixel_size is not None:
        size = pixel_size.within("cm")
        options["resolution"], options["resolutionunit"] = (1 / size.x, 1 / size.y), "CENTIMETER"
    if max(values.shape) > _TILED:
        options["tile"] = (512, 512)
    tifffile.imwrite(
        path,
        values,
        compression="zlib",
        compressionargs={"level": 1},
        bigtiff=values.nbytes > _BIG,
        **options,
    )


def palette(colours: Mapping[int, str]) -> bytes:
    """Return 256 colours, red, green, blue each: of ids as given, black for 0, else any."""
    out = bytearray(3)
    for identifier in range(1, 256):
        given = colours.get(identifier)
        if given is not None:
            out += bytes.fromhex(given.lstrip("#"))
        else:
            hue = identifier * 5 % _HUES / _HUES
            rgb = colorsys.hsv_to_rgb(hue, 0.75, 1 - 0.4 * (identifier // _HUES % 2))
            out += bytes(round(255 * value) for value in rgb)
    return bytes(out)


def _indexed_png(values: npt.NDArray[np.uint8], colours: bytes) -> bytes:
    """Encode ids as a PNG with a palette, which keeps ids and shows colours in any viewer."""
    from PIL import Image

    image = Image.fromarray(values)
    image.putpalette(colours)
    file = io.BytesIO()
    image.save(file, "png", compress_level=6)
    return file.getvalue()
