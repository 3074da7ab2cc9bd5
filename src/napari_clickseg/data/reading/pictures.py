"""PNG, JPEG and the other formats that Pillow reads."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.reading.header import (
    KINDS,
    WHOLE,
    Header,
    beginning,
    size_text,
    turned_notice,
)
from napari_clickseg.data.reading.lazy import turned, turned_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from PIL.Image import Image

# Formats that Pillow may use, by what is in a file. Others run programs (PostScript), or are
# documents.
_FORMATS = ("PNG", "JPEG", "JPEG2000", "BMP", "GIF", "WEBP", "PPM")
_ORIENTATION = 0x0112
_MOST = WHOLE // 2  # bytes: Pillow holds an image twice while it hands it over
_DEFLATED = 1100  # bytes that a byte of a PNG can stand for, at the most
_GREY = {"1": "?", "L": "u1", "I": "i4", "F": "f4"}  # modes whose values are used as they are
_COLOURS = {"RGB": 3, "RGBA": 4, "LA": 2}
_AS = {"La": "LA", "RGBa": "RGBA"}  # premultiplied alpha
_AS_RGB = ("P", "PA", "CMYK", "YCbCr", "HSV", "RGBX")


@dataclass(frozen=True, slots=True)
class _Png:
    """What a PNG's chunks say: bits of a sample, kind of pixel, whether the rows interlace."""

    depth: int
    colour: int
    exif: bytes = b""


def open_pillow(path: Path, formats: Sequence[str] = _FORMATS) -> Image:
    """Open an image with Pillow as one of these formats, by what is in it; nothing is decoded.

    Unlike `PIL.Image.open`, which does the same, it knows no limit of pixels that counts for the
    whole process: callers look at the size.
    """
    from PIL import Image

    Image.init()
    start = beginning(path, 16)
    for name in formats:
        factory, accept = Image.OPEN[name]
        if accept is None or accept(start) is True:
            image: Image.Image = factory(path.open("rb"), str(path))
            image._exclusive_fp = True  # type: ignore[attr-defined]  # closed with the image
            return image
    raise ImageError(f"{path} cannot be read as an image: no format fits what is in it; {KINDS}.")


def read_picture(path: Path, *, ids: bool = False) -> Header:
    """Read what a picture says of itself.

    Parameters
    ----------
    path : Path
        Of a file of this family.
    ids : bool
        Its values are ids: of an indexed picture the indices count, not the colours.
    """
    with open_pillow(path) as image:
        png = _png(path) if image.format == "PNG" else None
        frames = 1 if image.format in ("MPO", "JPEG") else getattr(image, "n_frames", 1)
        mode, dtype, samples = _layout(path, image, png, ids)
        orientation = _orientation(image, png)
        shape = (image.height, image.width, *((samples,) if samples else ()))
        kind = image.format or "picture"
        more = getattr(image, "n_frames", 1) if kind == "MPO" else 1
    axes = "YXS" if samples else "YX"
    if frames > 1:
        shape, axes = (frames, *shape), f"Q{axes}"
    notices = [] if more == 1 else [f"it holds {more} pictures; the first is used."]
    notices += turned_notice(orientation)
    final = turned_shape(shape, orientation, axes)
    lossy = kind in ("JPEG", "MPO") or (kind == "WEBP" and beginning(path)[12:16] == b"VP8 ")
    header = Header(kind, final, dtype, axes, lambda: (), tuple(notices), lossy)
    _check_size(path, header)
    deep = png is not None and _is_deep(png)
    load = partial(_load, path, mode, dtype, orientation, axes, frames, deep, ids and png)
    return replace(header, read=lambda: (load(),))


def _layout(
    path: Path, image: Image, png: _Png | None, ids: bool
) -> tuple[str, np.dtype[Any], int]:
    """Return the mode to decode in, its dtype, and the samples of a pixel; 0 where it is one."""
    mode = image.mode
    if png is not None and _is_deep(png):
        return mode, np.dtype(np.uint16), {2: 3, 4: 2, 6: 4}[png.colour]
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
        return mode, np.dtype(np.uint16), 0
    if ids and mode == "P":
        return mode, np.dtype(np.uint8), 0
    if mode in _GREY:
        return mode, np.dtype(_GREY[mode]), 0
    mode = "RGB" if mode in _AS_RGB else _AS.get(mode, mode)
    if mode not in _COLOURS:
        raise ImageError(
            f"{path} has pixels of the kind {image.mode}, which is not read; save it as RGB or "
            "grey."
        )
    return mode, np.dtype(np.uint8), _COLOURS[mode]


def _is_deep(png: _Png) -> bool:
    """Whether these are colours of 16 bits a channel, of which Pillow reads 8."""
    return png.depth == 16 and png.colour in (2, 4, 6)


def _check_size(path: Path, header: Header) -> None:
    """See that a picture fits into memory, and that its file can hold it."""
    size = path.stat().st_size
    if header.nbytes > _MOST:
        raise ImageError(
            f"{path} is {' × '.join(f'{n:,}' for n in header.shape)} pixels, "
            f"{size_text(header.nbytes)}, which is too much for this format; save it as TIFF in "
            "tiles, or as OME-Zarr."
        )
    if header.kind == "PNG" and "Q" not in header.axes and header.nbytes / 8 > _DEFLATED * size:
        raise ImageError(f"{path} cannot be read as an image: it is cut short or broken.")


def _load(
    path: Path,
    mode: str,
    dtype: np.dtype[Any],
    orientation: int,
    axes: str,
    frames: int,
    deep: bool,
    ids: _Png | bool | None,
) -> npt.NDArray[Any]:
    if deep:
        import imagecodecs

        values: npt.NDArray[Any] = np.asarray(imagecodecs.png_decode(path.read_bytes()))
        return np.ascontiguousarray(turned(values, orientation, axes))
    with open_pillow(path) as image:
        pictures = []
        for at in range(frames):
            if frames > 1:
                image.seek(at)
            same = image.mode == mode or mode in _GREY or mode.startswith("I;16")
            pictures.append(np.asarray(image if same else image.convert(mode)))
    values = pictures[0] if frames == 1 else np.stack(pictures)
    if isinstance(ids, _Png) and ids.colour == 0 and ids.depth in (2, 4):
        values = values // (255 // (2**ids.depth - 1))  # Pillow stretches them to 0 … 255
    values = turned(values.astype(dtype, copy=False), orientation, axes)
    return np.ascontiguousarray(values)


def _orientation(image: Image, png: _Png | None) -> int:
    """Return the value of the tag that says which way up the picture is; 1 without one."""
    from PIL.Image import Exif

    try:
        if png is None:
            exif = image.getexif()
        else:  # Pillow would decode the whole picture to find it
            exif = Exif()
            exif.load(png.exif)
        return int(exif.get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  (a broken tag raises anything, and says nothing)
        return 1


def _png(path: Path) -> _Png:
    """Read the chunks that a PNG's layout depends on; pixels are passed over."""
    depth = colour = 0
    exif = b""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                break
            if kind in (b"IHDR", b"eXIf"):
                data = file.read(min(length, 1 << 16))
                file.seek(length - len(data) + 4, 1)
                if kind == b"eXIf":
                    exif = data
                elif len(data) >= 10:
                    depth, colour = data[8], data[9]
            else:
                file.seek(length + 4, 1)
    return _Png(depth, colour, exif)
