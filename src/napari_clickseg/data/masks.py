"""Masks on disk: label maps are read as ids, masks are written whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import TIFF, open_image
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_clickseg.data.images import StoredImage

_LARGEST = np.iinfo(np.uint32).max
_WHOLE_NUMBERS = 2.0**53  # up to which floats tell whole numbers apart


@dataclass(frozen=True, slots=True)
class StoredMask:
    """A label map with what its file says besides.

    Parameters
    ----------
    labels : bool or int (Y, X)
    notices : tuple of str
        As of `StoredImage`.
    """

    labels: npt.NDArray[Any]
    notices: tuple[str, ...] = ()


def read_labels(path: Path, index: Sequence[int] = ()) -> npt.NDArray[Any]:
    """Read the ids of a label map (Y, X); see `read_mask`.

    Returns
    -------
    bool or int (Y, X)
        From 0 to 4,294,967,295.
    """
    return read_mask(path, index).labels


def read_mask(path: Path, index: Sequence[int] = ()) -> StoredMask:
    """Read a label map; of an indexed picture the indices, not the colours.

    Parameters
    ----------
    path : Path
        What is in it decides how it is read.
    index : sequence of int
        Which plane of a stack, see `StoredImage.plane`.

    Raises
    ------
    ImageError
        If there is no such file, or it holds no label map: its format blurs values, or they are
        colours, fractions, below 0 or beyond 32 bits.
    """
    return mask_of(open_image(path, ids=True), path, index)


def mask_of(image: StoredImage, path: Path, index: Sequence[int] = ()) -> StoredMask:
    """Read a plane of a label map that `open_image` opened for its ids; see `read_mask`."""
    if image.lossy:
        raise ImageError(f"{path} is compressed as a JPEG is, which blurs ids; give a PNG or TIFF.")
    plane = image.plane(index)
    labels = plane.read_all()
    if plane.rgb and (labels == labels[..., :1]).all():
        labels = labels[..., 0]  # grey, but kept as a colour image
    if labels.ndim != 2:
        raise ImageError(f"{path} holds colours, not ids; give a mask with one channel.")
    return StoredMask(_ids(path, labels), image.notices)


def _ids(path: Path, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values as ids, if that is what they are."""
    if labels.dtype.kind == "f" and (np.abs(labels) < _WHOLE_NUMBERS).all():
        whole = labels.astype(np.int64)
        labels = whole if (labels == whole).all() else labels
    if labels.dtype.kind not in "bui":
        raise ImageError(f"{path} holds values of dtype {labels.dtype}, not ids.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise ImageError(
            f"{path} holds ids below 0 (from {low}); number them from 1, with 0 for the background."
        )
    if high > _LARGEST:
        raise ImageError(f"{path} holds ids up to {high}; number them up to {_LARGEST}.")
    return labels


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, by which it is known whether it has changed; "" if none.

    Of an OME-Zarr folder it is that of what is said of it, which is new with each that is written.
    """
    path = path / "zarr.json" if path.is_dir() else path
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """See that a file can be written without anything being lost.

    Raises
    ------
    ImageError
        If it is there already and is not to be overwritten, or its folder is not there.
    """
    if path.is_dir():
        raise ImageError(f"{path} is a folder; give the name of a file.")
    if path.exists() and not overwrite:
        raise ImageError(f"{path} is there already; choose another name, or add --overwrite.")
    if not path.absolute().parent.is_dir():
        raise ImageError(f"There is no folder {path.absolute().parent}; make it first.")


def check_mask_path(path: Path, *, overwrite: bool = False, probability: bool = False) -> None:
    """See that a mask, or a probability, can be written to a file; see `check_free`.

    Raises
    ------
    ImageError
        As `check_free`, or if the kind of file does not fit.
    """
    suffix = path.suffix.lower()
    if suffix not in (*TIFF[:2], ".png"):
        raise ImageError(f"{path.name}: masks are written as .tif or .png; choose one of them.")
    if suffix == ".png" and probability:
        raise ImageError(f"{path.name}: a probability does not fit into a .png; write a .tif.")
    check_free(path, overwrite=overwrite)


def write_mask(path: Path, mask: npt.NDArray[Any], *, overwrite: bool = False) -> None:
    """Write a mask or probability: compressed TIFF, or 8-bit PNG.

    The file appears complete or not at all.

    Parameters
    ----------
    path : Path
        Ends in .tif, .tiff or .png.
    mask : array (Y, X)
        bool becomes uint8, 0 and 1; uint8 and float32 stay.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    ImageError
        If the file is there already, its folder is not, or its kind is not known.
    """
    check_mask_path(path, overwrite=overwrite, probability=mask.dtype.kind == "f")
    values = mask.astype(np.uint8) if mask.dtype == np.bool_ else mask
    write_whole(path, lambda partial: _encode(partial, values))


def _encode(path: Path, values: npt.NDArray[Any]) -> None:
    if path.suffix == ".png":
        import imageio.v3 as iio

        iio.imwrite(path, values)
        return
    import tifffile

    tifffile.imwrite(
        path,
        values,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 1},
        metadata={"axes": "YX"},
    )
