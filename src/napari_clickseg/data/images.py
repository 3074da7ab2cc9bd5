"""Images on disk: TIFF, PNG, JPEG and the like, .npy, Zarr and OME-Zarr.

What is large stays on disk; `StoredImage.plane` returns what `ImageSource` takes.
"""

from __future__ import annotations

import json
import weakref
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import MAX_CHANNELS, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

__all__ = ["Layout", "Plane", "StoredImage", "open_image", "read_layout", "read_plane"]

TIFF = (".tif", ".tiff", ".lsm", ".svs", ".ndpi", ".qptiff", ".scn", ".stk")
# What readers raise on files that are broken; RuntimeError is imagecodecs'.
_BROKEN = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    SyntaxError,
    RuntimeError,
    zlib.error,
)
_LAZY = 512 * 1024**2  # bytes from which a TIFF is read window by window
_CHANNEL_AXES = "CS"  # S: the samples of a pixel, such as red, green and blue


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of an image, as `Segmenter.start` takes it.

    Parameters
    ----------
    data : array (Y, X) or (Y, X, C), or a list of them
        numpy or lazy; a list is a pyramid, finest level first.
    rgb : bool
        Whether the channels are red, green, blue (and alpha).
    """

    data: Any
    rgb: bool

    def read_all(self) -> np.ndarray[Any, np.dtype[Any]]:
        """Read the finest level whole: (Y, X) or (Y, X, C), without alpha."""
        pixels = np.asarray(self.data[0] if isinstance(self.data, list) else self.data)
        return pixels[..., :3] if self.rgb else pixels


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image on disk with its axes.

    Parameters
    ----------
    levels : tuple of arrays
        numpy or zarr, finest first, all with the same axes; one where there is no pyramid.
    axes : str
        A letter for each axis: Y and X, C or S for channels, any others for stacks.
    """

    levels: tuple[Any, ...]
    axes: str

    @property
    def stack_axes(self) -> list[tuple[str, int]]:
        """Name and length of the axes that a plane is chosen on, those of length 1 left out."""
        return [
            (name, n)
            for name, n in zip(self.axes, self.levels[0].shape, strict=True)
            if name not in "YX" + _CHANNEL_AXES and n > 1
        ]

    def plane(self, index: Sequence[int] = (), channels: Sequence[int] = ()) -> Plane:
        """Choose a plane, and channels of it.

        Parameters
        ----------
        index : sequence of int
            Position on each of `stack_axes`, from 0.
        channels : sequence of int
            Channels, from 0; none chooses all.

        Raises
        ------
        ImageError
            If the position does not fit the image, or there are no such channels.
        """
        stack = self.stack_axes
        if len(index) != len(stack):
            raise ImageError(_which_plane(stack))
        for (name, n), i in zip(stack, index, strict=True):
            if not 0 <= i < n:
                raise ImageError(f"Axis {name} has no plane {i}; choose 0 to {n - 1}.")
        given = iter(index)
        fixed = [
            None if name in "YX" + _CHANNEL_AXES else next(given) if n > 1 else 0
            for name, n in zip(self.axes, self.levels[0].shape, strict=True)
        ]
        chosen, rgb = self._chosen_channels(channels)
        levels = [_view(level, self.axes, fixed, chosen) for level in self.levels]
        return Plane(levels if len(levels) > 1 else levels[0], rgb)

    def _chosen_channels(self, channels: Sequence[int]) -> tuple[tuple[int, ...] | None, bool]:
        """Return which channels to take, None for all, and whether they are colours."""
        axis = next((i for i, name in enumerate(self.axes) if name in _CHANNEL_AXES), None)
        if axis is None:
            if any(channel != 0 for channel in channels):
                raise ImageError(f"The image has no channel {max(channels)}; it has only one.")
            return None, False
        n = int(self.levels[0].shape[axis])
        for channel in channels:
            if not 0 <= channel < n:
                raise ImageError(f"The image has no channel {channel}; choose 0 to {n - 1}.")
        samples = self.axes[axis] == "S"
        if channels:
            return tuple(channels), False
        if n == 1 or (samples and n == 2):  # of grey with alpha, grey
            return (0,), False
        return None, samples and n in (3, 4)


@dataclass(frozen=True, slots=True)
class Layout:
    """What an image is like: its shape (Y, X) or (Y, X, C), dtype, and whether it is colour."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rgb: bool


def read_layout(path: Path) -> Layout:
    """Find out what the one plane of an image is like, without reading it.

    Raises
    ------
    ImageError
        If the file is missing, or holds no image, or more than a plane.
    """
    suffix = path.suffix.lower()
    if suffix in (".png", ".jpg", ".jpeg", ".bmp"):
        plane = _open(path, _sketch).plane()
    elif suffix in TIFF:
        plane = _open(path, lambda file: _open_tiff(file, lazy=0)).plane()
    else:
        plane = open_image(path).plane()
    data = plane.data[0] if isinstance(plane.data, list) else plane.data
    return Layout(tuple(int(n) for n in data.shape), np.dtype(data.dtype), plane.rgb)


def open_image(path: Path) -> StoredImage:
    """Open an image; large ones, .npy and Zarr stay on disk.

    Raises
    ------
    ImageError
        If the file is missing, or can't be read as an image.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return _open(path, _open_zarr)
    if suffix in TIFF:
        return _open(path, _open_tiff)
    return _open(path, _open_npy if suffix == ".npy" else _open_picture)


def _open(path: Path, reader: Callable[[Path], StoredImage]) -> StoredImage:
    if not path.exists():
        raise ImageError(f"There is no file {path}.")
    try:
        image = reader(path)
    except ImageError:
        raise
    except _BROKEN as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ImageError(f"{path} cannot be read as an image: {reason}") from error
    if "Y" not in image.axes or "X" not in image.axes:
        raise ImageError(f"{path} has no plane (Y, X); its axes are {image.axes or 'none'}.")
    return image


def read_plane(path: Path, index: Sequence[int] = (), channels: Sequence[int] = ()) -> Plane:
    """Open an image and choose a plane of it; see `open_image` and `StoredImage.plane`."""
    return open_image(path).plane(index, channels)


def _which_plane(stack: list[tuple[str, int]]) -> str:
    if not stack:
        return "The image is a single plane; leave the choice of a plane out."
    axes = ", ".join(f"{name} 0 to {n - 1}" for name, n in stack)
    example = ",".join("0" for _ in stack)
    return f"The image is a stack ({axes}); choose a plane, e.g. --plane {example}."


def _view(
    array: Any, axes: str, fixed: Sequence[int | None], channels: tuple[int, ...] | None
) -> Any:
    """Return a plane (Y, X) or (Y, X, C) of an array, without reading what is lazy."""
    plain = all(i is None for i in fixed) and channels is None
    if plain and axes in ("YX", "YXC", "YXS"):
        return array
    view = PlaneView(array, axes, tuple(fixed), channels)
    return view[:, :] if isinstance(array, np.ndarray) else view


class PlaneView:
    """A plane of a lazy array, (Y, X) or (Y, X, C), read where it is indexed.

    Parameters
    ----------
    array : array
        Anything that takes integers and slices.
    axes : str
        A letter for each of its axes.
    fixed : sequence of int or None
        Position on each axis; None where the axis is kept.
    channels : tuple of int, optional
        Channels to take; a single one leaves no channel axis.
    """

    def __init__(
        self,
        array: Any,
        axes: str,
        fixed: Sequence[int | None],
        channels: tuple[int, ...] | None = None,
    ) -> None:
        self._array, self._axes, self._fixed = array, axes, tuple(fixed)
        self._channels = channels
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self._channel_axis = next((i for i, a in enumerate(axes) if a in _CHANNEL_AXES), None)
        plane = int(array.shape[axes.index("Y")]), int(array.shape[axes.index("X")])
        if self._channel_axis is None or (channels is not None and len(channels) == 1):
            self.shape: tuple[int, ...] = plane
        else:
            n = int(array.shape[self._channel_axis]) if channels is None else len(channels)
            self.shape = (*plane, n)

    @property
    def ndim(self) -> int:
        """Number of axes: 2 or 3."""
        return len(self.shape)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, np.dtype[Any]]:
        rows, columns = index[:2]
        full: list[int | slice] = []
        for name, position in zip(self._axes, self._fixed, strict=True):
            if name == "Y":
                full.append(rows)
            elif name == "X":
                full.append(columns)
            elif name in _CHANNEL_AXES:
                single = self._channels is not None and len(self._channels) == 1
                full.append(self._channels[0] if single and self._channels else slice(None))
            else:
                full.append(0 if position is None else position)
        values = np.asarray(self._array[tuple(full)])
        if self.ndim == 3:
            kept = [a for a in self._axes if a in "YX" + _CHANNEL_AXES]
            values = np.moveaxis(values, kept.index(self._axes[self._channel_axis or 0]), -1)
            if self._channels is not None:
                values = values[..., list(self._channels)]
        return values


def _guessed_axes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Name the axes of an array that does not say them itself."""
    if len(shape) < 2:
        return "Q" * len(shape)
    last = shape[-1]
    if len(shape) >= 3 and last in (3, 4) and dtype == np.uint8:
        return "Q" * (len(shape) - 3) + "YXS"
    if len(shape) >= 3 and last <= MAX_CHANNELS and last < min(shape[-3], shape[-2]):
        return "Q" * (len(shape) - 3) + "YXC"
    return "Q" * (len(shape) - 2) + "YX"


def _guessed(array: Any) -> StoredImage:
    return StoredImage((array,), _guessed_axes(tuple(array.shape), np.dtype(array.dtype)))


def _open_npy(path: Path) -> StoredImage:
    return _guessed(np.load(path, mmap_mode="r", allow_pickle=False))


def _open_picture(path: Path) -> StoredImage:
    import imageio.v3 as iio

    return _pictured(iio.imread(path, plugin="pillow"))


def _sketch(path: Path) -> StoredImage:
    """Return an image that is like the one in a file, but takes no memory and has no pixels."""
    import imageio.v3 as iio

    like = iio.improps(path, plugin="pillow")
    return _pictured(np.broadcast_to(np.zeros((), like.dtype), like.shape))


def _pictured(array: npt.NDArray[Any]) -> StoredImage:
    if array.ndim >= 3 and array.shape[-1] <= 4:
        return StoredImage((array,), "Q" * (array.ndim - 3) + "YXS")
    return StoredImage((array,), "Q" * (array.ndim - 2) + "YX")


def _open_tiff(path: Path, lazy: int | None = None) -> StoredImage:
    import tifffile
    import zarr

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        axes, levels, size = series.axes, len(series.levels), series.nbytes
        if size < (_LAZY if lazy is None else lazy):
            try:
                return StoredImage((series.asarray(),), axes)
            except ValueError as error:
                if "imagecodecs" in str(error):
                    return _with_pillow(path, axes, error)
                raise
    arrays: list[Any] = []
    for level in range(levels):
        store = tifffile.imread(path, series=0, level=level, aszarr=True)
        arrays.append(zarr.open(store, mode="r"))
        weakref.finalize(arrays[-1], store.close)  # the file is open as long as it is looked at
    _ = arrays[-1][(slice(0, 1),) * arrays[-1].ndim]  # an unknown compression fails here
    return StoredImage(tuple(arrays), axes)


def _with_pillow(path: Path, axes: str, error: ValueError) -> StoredImage:
    """Read a TIFF whose compression tifffile needs a further package for."""
    import imageio.v3 as iio

    if axes not in ("YX", "YXS"):
        raise ImageError(
            f"{path} has a compression that needs a further package: pip install imagecodecs."
        ) from error
    return StoredImage((iio.imread(path, plugin="pillow"),), axes)


def _open_zarr(path: Path) -> StoredImage:
    """Open a Zarr array, or the first image of an OME-Zarr group (versions 0.4 and 0.5)."""
    import zarr

    try:
        node = zarr.open(path, mode="r")
    except FileNotFoundError:
        raise ImageError(
            f"{path} is a folder but no Zarr; give an image file or a .zarr folder."
        ) from None
    if isinstance(node, zarr.Array):
        return _guessed(node)
    attributes: dict[str, Any] = json.loads(json.dumps(dict(node.attrs)))
    multiscales = attributes.get("ome", attributes).get("multiscales")
    if not multiscales:
        arrays = [array for _, array in sorted(node.arrays())]
        if len(arrays) != 1:
            raise ImageError(
                f"{path} is a Zarr group without an OME-Zarr image; give the path of an array in "
                "it."
            )
        return _guessed(arrays[0])
    levels: tuple[Any, ...] = tuple(node[dataset["path"]] for dataset in multiscales[0]["datasets"])
    axes = [a if isinstance(a, str) else a["name"] for a in multiscales[0].get("axes", [])]
    if len(axes) != levels[0].ndim:
        return StoredImage(levels, _guessed(levels[0]).axes)
    return StoredImage(levels, "".join(axis[:1].upper() for axis in axes))
