"""TIFF and what is built on it: OME-TIFF, ImageJ's, LSM, SVS and the like."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.reading import header as limits
from napari_clickseg.data.reading.header import (
    Header,
    check_pieces,
    chosen_scene,
    scenes_notice,
    scenes_text,
    size_text,
    turned_notice,
)
from napari_clickseg.data.reading.lazy import Stored, turned, turned_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from xml.etree.ElementTree import Element

    import numpy.typing as npt
    from tifffile import TiffFile, TiffPageSeries

_MINISWHITE, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 2, 3, 5, 6  # photometric interpretations
_JPEG = (6, 7)  # compressions that blur values
_DECODED = (6, 7, 33003, 33004, 33005, 33007, 34712)  # those whose YCbCr comes out as RGB
_ORIENTATION = 274
_MANY_PIECES = 1 << 16  # of a plane; none of those that are missing is looked for one by one
_MOST_PLANES = 1_000_000  # that an OME-TIFF may speak of


class _Meaning(Enum):
    """What values stand for, as the tag `PhotometricInterpretation` says."""

    PLAIN = "the values themselves"
    INVERTED = "values of which 0 is white"
    PALETTE = "indices of colours"
    INKS = "cyan, magenta, yellow and black"
    LUMA = "luma and chroma"


@dataclass(frozen=True, slots=True)
class _Stored:
    """How the pixels of a TIFF are stored, and what they mean.

    `top` is the largest value of a sample, `table` the colours of indices (N, 3).
    """

    path: Path
    series: int
    levels: int
    axes: str
    orientation: int
    meaning: _Meaning
    top: int
    table: npt.NDArray[np.uint8] | None

    def layout(
        self, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> tuple[tuple[int, ...], np.dtype[Any], str]:
        """Return shape, dtype and axes of what is read, given those of what is stored."""
        dtype, axes = dtype.newbyteorder("="), self.axes
        if self.meaning is _Meaning.PALETTE:
            shape, dtype, axes = (*shape, 3), np.dtype(np.uint8), f"{axes}S"
        elif self.meaning is _Meaning.INKS:
            shape = (*shape[:-1], 3)
        return turned_shape(shape, self.orientation, axes), dtype, axes

    def invert(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values of which 0 is white as ones of which 0 is black."""
        if values.dtype == np.bool_:
            return ~values
        return np.asarray(values.dtype.type(self.top) - values, values.dtype)

    def read_whole(self) -> Sequence[npt.NDArray[Any]]:
        """Read all pixels."""
        import tifffile

        axes = self.axes
        with tifffile.TiffFile(self.path) as file:
            values: npt.NDArray[Any] = file.series[self.series].asarray()
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if self.meaning is _Meaning.INVERTED:
            values = self.invert(values)
        elif self.meaning is _Meaning.PALETTE and self.table is not None:
            values, axes = self.table[np.minimum(values, len(self.table) - 1)], f"{axes}S"
        elif self.meaning is _Meaning.INKS:
            values = _from_inks(values)
        elif self.meaning is _Meaning.LUMA:
            values = _with_pillow(self.path, values.shape)
        return [np.ascontiguousarray(turned(values, self.orientation, axes))]

    def read_lazily(self) -> Sequence[Stored]:
        """Return arrays that are read where they are indexed."""
        import tifffile
        import zarr

        finish = self.invert if self.meaning is _Meaning.INVERTED else None
        arrays = []
        for level in range(self.levels):
            store = tifffile.imread(self.path, series=self.series, level=level, aszarr=True)
            array = zarr.open(store, mode="r")
            weakref.finalize(array, store.close)  # the file is open as long as it is looked at
            arrays.append(Stored(self.path, array, self.axes, self.orientation, finish))
        _ = arrays[-1][(slice(0, 1),) * arrays[-1].ndim]  # an unknown compression fails here
        return arrays


def read_tiff(path: Path, *, ids: bool = False, scene: int | None = None) -> Header:
    """Read what a TIFF says of itself: of several images, the largest, or the first of those.

    Parameters
    ----------
    path : Path
        Of a file of this family.
    ids : bool
        Its values are ids: of an indexed picture the indices count, not the colours.
    scene : int, optional
        Which of several images, from 0.
    """
    import tifffile

    _check_chain(path)
    with tifffile.TiffFile(path) as file:
        _check_promises(path, file)
        every = list(file.series)
        if not every:
            raise ImageError(f"{path} cannot be read as an image: it holds none.")
        # max() takes the first of those that are equal.
        largest = max(range(len(every)), key=lambda i: _plane_size(every[i]))
        at = chosen_scene(path, [series.name for series in every], scene, largest)
        series, page = every[at], every[at].keyframe
        _check_complete(path, series)
        _check_tiles(path, series)
        axes, notices = _axes(series)
        orientation = _orientation(page)
        meaning = _meaning(page, ids=ids, imagej=bool(file.is_imagej))
        stored = _Stored(
            path, at, len(series.levels), axes, orientation, meaning, *_scale(page, meaning)
        )
        shape, dtype, final = stored.layout(tuple(series.shape), np.dtype(series.dtype))
        others = _more(every, at, chosen=scene is not None)
        notices = [*others, *notices, *turned_notice(orientation), *_white(meaning)]
        large, lossy = series.nbytes >= limits.LAZY, int(page.compression) in _JPEG
        sizes = [dict(zip(one.axes, one.shape, strict=False)) for one in every]
        scenes = scenes_text([one.name for one in every], sizes)
    if large and meaning not in (_Meaning.PLAIN, _Meaning.INVERTED):
        raise ImageError(
            f"{path} stores {meaning.value}, and is {size_text(series.nbytes)}; save it as RGB or "
            "grey."
        )
    read = stored.read_lazily if large else stored.read_whole
    return Header("TIFF", shape, dtype, final, read, tuple(notices), lossy, scenes=scenes, scene=at)


def _plane_size(series: TiffPageSeries) -> int:
    """Return how many pixels a plane of a series has."""
    lengths = dict(zip(series.axes, series.shape, strict=False))
    return int(lengths.get("Y", 0)) * int(lengths.get("X", 0))


def _more(every: Sequence[TiffPageSeries], at: int, *, chosen: bool) -> tuple[str, ...]:
    largest = "" if chosen else ", the largest,"
    return scenes_notice([series.name for series in every], at, largest)


def _white(meaning: _Meaning) -> list[str]:
    if meaning is not _Meaning.INVERTED:
        return []
    return [
        "its tag says that 0 is white, and so it is used; some programs write that tag for "
        "boolean arrays, which then come out reversed: save those with 8 bits."
    ]


def _axes(series: TiffPageSeries) -> tuple[str, list[str]]:
    """Return the axes of a series; where tifffile guessed colours, what is as likely."""
    page, axes = series.keyframe, str(series.axes)
    guessed = page.is_shaped and '"axes"' not in (page.shaped_description or "")
    if guessed and "S" in axes and axes.index("S") < axes.index("Y"):
        # tifffile writes any stack of three or four planes of 8 bits so, for napari too.
        text = (
            f"it is taken for a stack of {series.shape[axes.index('S')]} planes; if it is one "
            "colour picture, save it with the channels last (Y, X, C)."
        )
        return axes.replace("S", "Q"), [text]
    if "S" in axes and "C" not in axes:
        n = series.shape[axes.index("S")]
        colours = int(page.photometric) in (_RGB, _SEPARATED, _YCBCR) or n == 1
        if not colours and not (n == 2 and page.extrasamples):
            axes = axes.replace("S", "C")
    return axes, []


def _orientation(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION)
    try:
        return int(tag.value) if tag is not None else 1
    except (TypeError, ValueError):
        return 1


def _meaning(page: Any, *, ids: bool, imagej: bool) -> _Meaning:
    photometric, kind = int(page.photometric), np.dtype(page.dtype).kind
    if photometric == _MINISWHITE and kind in "bu":
        return _Meaning.INVERTED
    # ImageJ's tables are for display only: the values are the intensities.
    if photometric == _PALETTE and not ids and not imagej and page.colormap is not None:
        return _Meaning.PALETTE
    if photometric == _SEPARATED and page.samplesperpixel >= 4 and kind == "u":
        return _Meaning.INKS
    if photometric == _YCBCR and int(page.compression) not in _DECODED:
        return _Meaning.LUMA
    return _Meaning.PLAIN


def _scale(page: Any, meaning: _Meaning) -> tuple[int, npt.NDArray[np.uint8] | None]:
    """Return the largest value of a sample, and the colours of indices, if there are any."""
    table = None
    if meaning is _Meaning.PALETTE:
        table = (np.asarray(page.colormap, np.uint16) >> 8).astype(np.uint8).T
    return 2 ** int(page.bitspersample) - 1, table


def _from_inks(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return red, green, blue (…, 3) of cyan, magenta, yellow and black (…, 4 or more)."""
    top = np.iinfo(values.dtype).max
    inks = values[..., :4].astype(np.float32) / np.float32(top)
    rgb = (1 - inks[..., :3]) * (1 - inks[..., 3:])
    return np.asarray(np.rint(rgb * top), values.dtype)


def _with_pillow(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return red, green, blue of a picture in luma and chroma, which tifffile leaves as it is."""
    import tifffile

    from napari_clickseg.data.reading.pictures import open_pillow

    with tifffile.TiffFile(path) as file:
        orientation = _orientation(file.pages[0])
    with open_pillow(path, ("TIFF",)) as image:
        rgb = np.asarray(image.convert("RGB"))  # which Pillow has turned
    undone = {6: 8, 8: 6}.get(orientation, orientation)
    rgb = turned(rgb, undone, "YXS")
    if rgb.shape != shape:
        raise ImageError(f"{path} has colours of a kind that is not read; save it as RGB.")
    return rgb


def _check_chain(path: Path) -> None:
    """See that the pages of a file end: each says where the next one is, perhaps in a circle."""
    with path.open("rb") as file:
        start = file.read(16)
        order: Literal["little", "big"] = "little" if start.startswith(b"II") else "big"
        wide = int.from_bytes(start[2:4], order) == 43  # BigTIFF
        counts, offsets, tag = (8, 8, 20) if wide else (2, 4, 12)
        at = int.from_bytes(start[8:16] if wide else start[4:8], order)
        seen: set[int] = set()
        while at:
            if at in seen or len(seen) > _MOST_PLANES:
                raise ImageError(
                    f"{path} cannot be read as an image: its pages go round in a circle."
                )
            seen.add(at)
            file.seek(at)
            head = file.read(counts)
            file.seek(int.from_bytes(head, order) * tag, 1)
            after = file.read(offsets)
            if len(head) < counts or len(after) < offsets:
                return  # tifffile says what is wrong with it
            at = int.from_bytes(after, order)


def _check_tiles(path: Path, series: TiffPageSeries) -> None:
    """See that tiles and strips can be read, each whole."""
    axes, page = series.axes, series.keyframe
    if "Y" not in axes or "X" not in axes:
        return
    tile = (int(page.tilelength), int(page.tilewidth)) if page.is_tiled else None
    rows = int(page.rowsperstrip) if tile is None else 0
    height, width = int(page.imagelength), int(page.imagewidth)
    piece = tile or (min(rows or height, height), width)
    depth = int(page.samplesperpixel) if int(page.planarconfig) == 1 else 1
    nbytes = piece[0] * piece[1] * depth * np.dtype(page.dtype).itemsize
    check_pieces(path, piece, (height, width), nbytes)
    if not len(page.dataoffsets):
        raise ImageError(f"{path} is broken: it does not say where its pixels are.")
    count = math.ceil(height / max(1, piece[0])) * math.ceil(width / max(1, piece[1]))
    if count > max(_MANY_PIECES, len(page.dataoffsets)):
        raise ImageError(
            f"{path} is broken: it speaks of {count:,} pieces, and holds {len(page.dataoffsets):,}."
        )


def _check_complete(path: Path, series: TiffPageSeries) -> None:
    """See that all planes that a file speaks of are there: tifffile gives zeros for others."""
    missing = sum(page is None for page in series._pages)
    if missing:
        raise ImageError(
            f"{path} speaks of {missing} planes that are not there; put the other files of this "
            "image beside it, or save it anew as one file."
        )


def _check_promises(path: Path, file: TiffFile) -> None:
    """See that an OME-TIFF speaks of no more planes than can be listed, and of no file elsewhere.

    tifffile lists all planes as soon as it is asked for the images.
    """
    from xml.etree import ElementTree

    text = file.ome_metadata if file.is_ome else None
    if not text:
        return
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return  # which tifffile then reads without it
    for each in root.iter():
        name = each.tag.rpartition("}")[2]
        if name == "Pixels" and _promised(each) > _MOST_PLANES:
            raise ImageError(
                f"{path} cannot be read as an image: it speaks of {_promised(each):,} planes, "
                f"more than {_MOST_PLANES:,}."
            )
        if name == "TiffData" and any(int(n) > _MOST_PLANES for n in _counts(each)):
            raise ImageError(
                f"{path} cannot be read as an image: it speaks of planes beyond {_MOST_PLANES:,}."
            )
        other = each.attrib.get("FileName", "") if name == "UUID" else ""
        if "/" in other or "\\" in other or other == "..":
            raise ImageError(
                f"{path} names a file in another folder ({other[:80]}); put the files of an image "
                "into one folder, and save it anew."
            )


def _promised(pixels: Element) -> int:
    planes = 1
    for axis in "CZT":
        planes *= max(1, int(pixels.attrib.get(f"Size{axis}", 1)))
    return planes


def _counts(data: Element) -> list[str]:
    names = ("IFD", "NumPlanes", "PlaneCount", "FirstC", "FirstZ", "FirstT")
    return [data.attrib[name] for name in names if name in data.attrib]
