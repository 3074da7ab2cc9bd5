"""Images on disk: TIFF, pictures, .npy, Zarr, and what microscopes and scanners write.

Everything that reads images reads them here, so that a layout, a plane and what a training learns
agree. What is large stays on disk; `StoredImage.plane` returns what `ImageSource` takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.reading.header import (
    KINDS,
    WHOLE,
    Header,
    beginning,
    check_file,
    chosen_scene,
    readable,
    size_text,
)
from napari_clickseg.data.reading.kinds import DICOM_SUFFIXES, START, is_dicom, reader_of
from napari_clickseg.data.reading.lazy import CHANNEL_AXES, PlaneView

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

__all__ = [
    "KINDS",
    "SUFFIXES",
    "TIFF",
    "ImagePlane",
    "Layout",
    "StoredImage",
    "is_image_file",
    "open_image",
    "read_header",
    "read_layout",
    "read_plane",
    "read_single_plane",
]

TIFF = (".tif", ".tiff", ".lsm", ".svs", ".ndpi", ".qptiff", ".scn", ".stk")
# How names of images end; what is in a file decides how it is read.
_PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jp2", ".j2k", ".bmp", ".gif", ".webp")
_NETPBM = (".pbm", ".pgm", ".ppm", ".pnm")
_MICROSCOPES = (".czi", ".nd2", ".lif", ".oib", ".oif")
_SCANNERS = (*DICOM_SUFFIXES, ".nii", ".nii.gz")
SUFFIXES = (
    *TIFF, ".btf", ".tf8", ".flex", *_PICTURES, *_NETPBM, ".npy", ".zarr", *_MICROSCOPES,
    *_SCANNERS,
)  # fmt: skip
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY = b"\x93NUMPY"


@dataclass(frozen=True, slots=True)
class ImagePlane:
    """One plane of an image, as `Segmenter.start` takes it.

    Parameters
    ----------
    data : array (Y, X) or (Y, X, C), or a list of them
        numpy or lazy; a list is a pyramid, finest level first.
    rgb : bool
        Whether the channels are red, green, blue (and alpha).
    notices : tuple of str
        As of the `StoredImage`.
    """

    data: Any
    rgb: bool
    notices: tuple[str, ...] = ()

    @property
    def finest(self) -> Any:
        """The finest level, numpy or lazy."""
        return self.data[0] if isinstance(self.data, list) else self.data

    @property
    def shape(self) -> tuple[int, ...]:
        """(Y, X) or (Y, X, C), alpha counted."""
        return tuple(int(n) for n in self.finest.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        dtype: np.dtype[Any] = np.dtype(self.finest.dtype)
        return dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the finest level."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    @property
    def fits(self) -> bool:
        """Whether it is small enough to be read whole."""
        return self.nbytes <= WHOLE

    def read_all(self) -> npt.NDArray[Any]:
        """Read the finest level whole: (Y, X) or (Y, X, C), without alpha.

        Raises
        ------
        ImageError
            If it is too large for that, or the file is broken.
        """
        if not self.fits:
            raise ImageError(
                f"The image is {self.shape[0]:,} × {self.shape[1]:,} pixels, "
                f"{size_text(self.nbytes)}, which is too much to be read whole; cut out the part "
                "that is needed."
            )
        pixels = np.asarray(self.finest[:, :])
        return pixels[..., :3] if self.rgb else pixels


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image on disk with its axes.

    Parameters
    ----------
    levels : tuple of arrays
        numpy or lazy, finest first, all with the same axes; one where there is no pyramid.
    axes : str
        A letter for each axis: Y and X, C or S for channels, any others for stacks.
    name : str
        What messages call it.
    notices : tuple of str
        What the file holds beyond what is used, and what its tags changed; one line each,
        before which the file's name is put.
    lossy : bool
        Whether the file's format blurs values.
    """

    levels: tuple[Any, ...]
    axes: str
    name: str = "The image"
    notices: tuple[str, ...] = ()
    lossy: bool = False

    @property
    def stack_axes(self) -> list[tuple[str, int]]:
        """Name and length of the axes that a plane is chosen on, those of length 1 left out."""
        return [
            (name, n)
            for name, n in zip(self.axes, self.levels[0].shape, strict=True)
            if name not in self._kept_axes and n > 1
        ]

    @property
    def _kept_axes(self) -> str:
        """Axes of a plane: where pixels have samples (colours), C is one of the stack's."""
        both = "C" in self.axes and "S" in self.axes
        return "YXS" if both else "YX" + CHANNEL_AXES

    def plane(self, index: Sequence[int] = (), channels: Sequence[int] = ()) -> ImagePlane:
        """Choose a plane, and channels of it.

        Parameters
        ----------
        index : sequence of int
            Position on each of `stack_axes`, from 0.
        channels : sequence of int
            Channels, from 0; none chooses all. Of an image that has a colour picture for each
            channel, one channel chooses its picture, where `index` leaves that out.

        Raises
        ------
        ImageError
            If the position does not fit the image, or there are no such channels.
        """
        stack = self.stack_axes
        names = [name for name, _ in stack]
        if "C" in names and len(channels) == 1 and len(index) == len(stack) - 1:
            at = names.index("C")
            index, channels = [*index[:at], channels[0], *index[at:]], ()
        if len(index) != len(stack):
            raise ImageError(_which_plane(self.name, stack))
        for (name, n), i in zip(stack, index, strict=True):
            if not 0 <= i < n:
                raise ImageError(f"{self.name}: axis {name} has no plane {i}; choose 0 to {n - 1}.")
        given = iter(index)
        fixed = [
            None if name in self._kept_axes else next(given) if n > 1 else 0
            for name, n in zip(self.axes, self.levels[0].shape, strict=True)
        ]
        chosen, rgb = self._chosen_channels(channels)
        levels = [_view(level, self.axes, fixed, chosen) for level in self.levels]
        return ImagePlane(levels if len(levels) > 1 else levels[0], rgb, self.notices)

    def _chosen_channels(self, channels: Sequence[int]) -> tuple[tuple[int, ...] | None, bool]:
        """Return which channels to take, None for all, and whether they are colours."""
        kept = self._kept_axes
        axis = next((i for i, a in enumerate(self.axes) if a in CHANNEL_AXES and a in kept), None)
        if axis is None:
            if any(channel != 0 for channel in channels):
                raise ImageError(f"{self.name} has no channel {max(channels)}; it has only one.")
            return None, False
        n = int(self.levels[0].shape[axis])
        for channel in channels:
            if not 0 <= channel < n:
                raise ImageError(f"{self.name} has no channel {channel}; choose 0 to {n - 1}.")
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


def is_image_file(path: Path) -> bool:
    """Whether a file is named as images are; of DICOM, which often has no such name, what is in it.

    Nothing but its beginning is read.
    """
    if path.name.lower().endswith(SUFFIXES):
        return True
    if path.suffix.strip(".").isdigit() or not path.suffix:  # such as 1.2.840.113619
        try:
            return path.is_file() and is_dicom(beginning(path, START))
        except OSError:
            return False
    return False


def read_layout(path: Path) -> Layout:
    """Find out what the one plane of an image is like, without reading it.

    Raises
    ------
    ImageError
        If the file is missing, or holds no image, or more than a plane.
    """
    header = read_header(path)
    plane = StoredImage((header.sketch(),), header.axes, str(path)).plane()
    return Layout(plane.shape, plane.dtype, plane.rgb)


def read_header(
    path: Path, *, ids: bool = False, scene: int | None = None, as_shown: bool = True
) -> Header:
    """Read what a file says of its image, before any pixel is read.

    Parameters
    ----------
    path : Path
        What is in it decides how it is read, whatever its name ends with.
    ids : bool
        Its values are ids: of an indexed picture the indices count, not the colours.
    scene : int, optional
        Which of a file's images is taken, from 0; by default the largest, or the first of those.
    as_shown : bool
        Whether values are cut off at the window that a DICOM file states; otherwise they are as
        they were measured.

    Raises
    ------
    ImageError
        If it is missing, or no image of a kind that is read, or there is no such scene.
    """
    check_file(path)
    with readable(path):
        header = _header(path, ids, scene, as_shown)
        _check(path, header)
    return header


def open_image(
    path: Path, *, ids: bool = False, scene: int | None = None, as_shown: bool = True
) -> StoredImage:
    """Open an image; large ones, .npy and Zarr stay on disk.

    Parameters
    ----------
    path, ids, scene, as_shown
        As for `read_header`.

    Raises
    ------
    ImageError
        If the file is missing, or can't be read as an image.
    """
    header = read_header(path, ids=ids, scene=scene, as_shown=as_shown)
    with readable(path):
        levels = tuple(header.read())
        first = levels[0]
        if tuple(first.shape) != header.shape or np.dtype(first.dtype) != header.dtype:
            raise ImageError(
                f"{path} cannot be read as an image: it says {header.shape} {header.dtype} and "
                f"holds {tuple(first.shape)} {first.dtype}."
            )
    return StoredImage(levels, header.axes, str(path), header.notices, header.lossy)


def read_plane(
    path: Path,
    index: Sequence[int] = (),
    channels: Sequence[int] = (),
    *,
    scene: int | None = None,
) -> ImagePlane:
    """Open an image and choose a plane of it; see `open_image` and `StoredImage.plane`."""
    return open_image(path, scene=scene).plane(index, channels)


def read_single_plane(path: Path) -> ImagePlane:
    """Open an image of a project, which has one plane.

    Raises
    ------
    ImageError
        As `open_image`, and if it is a stack.
    """
    image = open_image(path)
    if image.stack_axes:
        raise ImageError(_no_stacks(image))
    return image.plane()


def _no_stacks(image: StoredImage) -> str:
    axes = ", ".join(f"{name} 0 to {n - 1}" for name, n in image.stack_axes)
    return (
        f"{image.name} is a stack ({axes}); a project has an image for each plane: save the planes "
        "as files of their own, or open the stack in napari and gather it."
    )


def _header(path: Path, ids: bool, scene: int | None, as_shown: bool) -> Header:
    from napari_clickseg.data.reading import arrays, pictures, tiff

    if path.is_dir():
        return arrays.read_zarr(path, scene=scene)
    start = beginning(path, START)
    if not start:
        raise ImageError(f"{path} cannot be read as an image: it is empty.")
    # A DICOM file may begin as a TIFF, so that programs for either can read it.
    if start.startswith(_TIFF) and not is_dicom(start):
        return tiff.read_tiff(path, ids=ids, scene=scene)
    if (reader := reader_of(path, start)) is not None:
        return reader(path, ids=ids, scene=scene, as_shown=as_shown)
    chosen_scene(path, [""], scene)
    if start.startswith(_NPY):
        return arrays.read_npy(path)
    return pictures.read_picture(path, ids=ids)


def _check(path: Path, header: Header) -> None:
    """See that what a file says can be an image of one plane or more."""
    axes = header.axes
    if axes.count("Y") != 1 or axes.count("X") != 1:
        raise ImageError(f"{path} has no plane (Y, X); its axes are {axes or 'none'}.")
    if len(axes) != len(header.shape) or any(axes.count(a) > 1 for a in CHANNEL_AXES):
        raise ImageError(
            f"{path} cannot be read as an image: its axes {axes} do not fit its shape "
            f"{header.shape}."
        )
    if 0 in header.shape:
        raise ImageError(f"{path} is empty, its shape is {header.shape}.")
    if header.dtype.kind not in "buifc":
        raise ImageError(
            f"{path} cannot be read as an image: its values are {header.dtype}, not numbers; "
            f"{KINDS}."
        )


def _which_plane(name: str, stack: list[tuple[str, int]]) -> str:
    if not stack:
        return f"{name} is a single plane; leave the choice of a plane out."
    axes = ", ".join(f"{name} 0 to {n - 1}" for name, n in stack)
    example = ",".join("0" for _ in stack)
    return f"{name} is a stack ({axes}); choose a plane, e.g. --plane {example}."


def _view(
    array: Any, axes: str, fixed: Sequence[int | None], channels: tuple[int, ...] | None
) -> Any:
    """Return a plane (Y, X) or (Y, X, C) of an array, without reading what is lazy."""
    in_memory = isinstance(array, np.ndarray)
    plain = all(i is None for i in fixed) and channels is None
    if in_memory and plain and axes in ("YX", "YXC", "YXS"):
        return array
    view = PlaneView(array, axes, tuple(fixed), channels)
    return view[:, :] if in_memory else view
