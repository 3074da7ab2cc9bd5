"""Masks on disk: label maps are read as ids, masks are written whole or not at all."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import TIFF, open_image
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_free", "check_mask_path", "file_digest", "read_labels", "write_mask"]


def read_labels(path: Path) -> npt.NDArray[Any]:
    """Read a label map (Y, X); of an indexed PNG the indices, not the colours.

    Returns
    -------
    bool or int (Y, X)

    Raises
    ------
    ImageError
        If there is no such file, or it holds no label map.
    """
    if path.suffix.lower() == ".png" and path.is_file():
        labels = _read_png(path)
    else:
        labels = np.asarray(open_image(path).plane().data)
    if labels.ndim == 3 and (labels[..., :3] == labels[..., :1]).all():
        labels = labels[..., 0]  # grey, but kept as a colour image
    if labels.ndim != 2:
        raise ImageError(f"{path} holds colours, not ids; give a mask with one channel.")
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "bui":
        raise ImageError(f"{path} holds values of dtype {labels.dtype}, not ids.")
    return labels


def _read_png(path: Path) -> npt.NDArray[Any]:
    import imageio.v3 as iio

    try:
        with iio.imopen(path, "r", plugin="pillow") as file:
            indexed = file.metadata().get("mode") == "P"
            kept: dict[str, Any] = {"mode": "P"} if indexed else {}
            return np.asarray(file.read(**kept))
    except (OSError, ValueError, SyntaxError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ImageError(f"{path} cannot be read as a mask: {reason}") from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, by which it is known whether it has changed; "" if none."""
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
