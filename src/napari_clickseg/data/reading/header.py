"""What is known of an image before its pixels are read, and what may be asked of a file at all."""

from __future__ import annotations

import contextlib
import math
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_clickseg.core.source import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

KINDS = (
    "TIFF, PNG, JPEG, JPEG 2000, BMP, GIF, WebP, PNM, .npy, Zarr, OME-Zarr, CZI, ND2, LIF, OIB, "
    "DICOM and NIfTI are read"
)
LAZY = 512 * 1024**2  # bytes from which a TIFF is read window by window
WHOLE = 2 * 1024**3  # bytes that are read at once, at the most
PIECE = 1024**3  # bytes of a tile, strip or chunk, which can only be read as a whole
_SMALL_PIECE = 1024  # pixels of a chunk, below which a plane takes too many of them
_MANY_PIECES = 1 << 16
_LONGEST = 200  # letters of what another program's library says
_NAMED = 4  # images of a file that are named
# Distance of planes, if it is known, height and width of a pixel, and their unit of length.
Spacing: TypeAlias = tuple[float | None, float, float, str]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its image.

    Parameters
    ----------
    kind : str
        The format, as messages call it.
    shape : tuple of int
        Of the finest level.
    axes : str
        A letter for each axis: Y and X, S for samples such as red, green and blue, C for
        channels, any others for stacks.
    read : callable
        Reads the levels, finest first; those that are large are read where they are indexed.
    notices : tuple of str
        What the file holds beyond what is used, and what a tag of it changed; one line each,
        before which the file's name is put.
    lossy : bool
        Whether the format blurs values, so that ids are not what they were.
    spacing : tuple, optional
        The size of pixels, where the reader finds it in passing; see `pixel_size` for the others.
    scenes : tuple of str
        The images of the file with their sizes, where there are several.
    channels : tuple of str
        Names of the channels, where the file gives each one.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str
    read: Callable[[], Sequence[Any]]
    notices: tuple[str, ...] = ()
    lossy: bool = False
    spacing: Spacing | None = None
    scenes: tuple[str, ...] = ()
    scene: int = 0
    channels: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return math.prod(self.shape) * self.dtype.itemsize

    def sketch(self) -> npt.NDArray[Any]:
        """Return an array of this shape and dtype that takes no memory and has no pixels."""
        return np.broadcast_to(np.zeros((), self.dtype), self.shape)


def check_file(path: Path) -> None:
    """See that a path is a file or folder: anything else may never end.

    Raises
    ------
    ImageError
        If there is nothing, or something else, such as a pipe or a device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a name with NUL
        reason = getattr(error, "strerror", None)
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        name = str(path).replace("\0", "\\0")
        name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
        raise ImageError(
            f"There is no file {name}{'' if missing else f' ({reason or error})'}."
        ) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ImageError(f"{path} is a pipe or a device, not a file; {KINDS}.")


def beginning(path: Path, length: int = 32) -> bytes:
    """Return the first bytes of a file, by which its format is known."""
    with path.open("rb") as file:
        return file.read(length)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Make whatever a library raises at a broken file an `ImageError` of one line.

    Libraries raise nearly everything at files that are broken on purpose, so nothing less than
    every exception is caught.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(
            f"{path} does not fit into memory; cut out the part that is needed, or save it as "
            "OME-Zarr."
        ) from error
    except Exception as error:
        raise ImageError(f"{path} cannot be read as an image: {one_line(error)}.") from error


def turned_notice(orientation: int) -> list[str]:
    """Return what is said of a picture that a tag turns."""
    if orientation not in range(2, 9):
        return []
    return [
        f"its tag turns it (orientation {orientation}), and so it is used; a mask drawn in a "
        "program that does not obey the tag lies the wrong way round."
    ]


def one_line(error: BaseException) -> str:
    """Return what an exception says in one line, without a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…").rstrip(".")


def size_text(nbytes: float) -> str:
    """Return a size as people read it."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if nbytes < 1024 or unit == "TiB":
            break
        nbytes /= 1024
    return f"{nbytes:,.0f} {unit}"


def check_pieces(path: Path, piece: tuple[int, int], plane: tuple[int, int], nbytes: int) -> None:
    """See that a plane that is read piece by piece can be.

    Parameters
    ----------
    path : Path
        What messages name.
    piece, plane : (int, int)
        Height and width of the file's pieces (tiles, strips, chunks), and of its planes.
    nbytes : int
        Of a piece, with all that it holds of other planes and channels.

    Raises
    ------
    ImageError
        If a piece does not fit into memory, or a window takes thousands of pieces.
    """
    if nbytes > PIECE:
        raise ImageError(
            f"{path} is cut into pieces of {size_text(nbytes)} that can only be read whole; save "
            "it in tiles or chunks of about 512 × 512 pixels."
        )
    count = math.ceil(plane[0] / max(1, piece[0])) * math.ceil(plane[1] / max(1, piece[1]))
    if piece[0] * piece[1] < _SMALL_PIECE and count > _MANY_PIECES:
        raise ImageError(
            f"{path} is cut into {count:,} pieces of {piece[0]} × {piece[1]} pixels, which take "
            "too long to read; save it in tiles or chunks of about 512 × 512 pixels."
        )


def chosen_scene(path: Path, names: Sequence[str], scene: int | None, default: int = 0) -> int:
    """Return which of a file's images is taken.

    Parameters
    ----------
    path : Path
        What messages name.
    scene : int, optional
        The one that is asked for, from 0.
    default : int
        Taken where none is asked for.

    Raises
    ------
    ImageError
        If there is no such image.
    """
    if scene is None:
        return default
    if not 0 <= scene < max(1, len(names)):
        held = f"{len(names)} images{_named(names)}; choose 0 to {len(names) - 1}"
        raise ImageError(f"{path} has no image {scene}: it holds {held if names[1:] else 'one'}.")
    return scene


def scenes_text(names: Sequence[str], sizes: Sequence[Mapping[str, int]]) -> tuple[str, ...]:
    """Return a file's images as people choose them, such as "Series 1, 512 × 512, Z 12, C 2"."""
    if len(names) < 2:
        return ()
    texts = []
    for at, (name, size) in enumerate(zip(names, sizes, strict=True)):
        plane = f"{size['Y']:,} × {size['X']:,}" if {"Y", "X"} <= size.keys() else ""
        others = [f"{axis} {n:,}" for axis, n in size.items() if axis not in "YXS" and n > 1]
        texts.append(
            ", ".join(part for part in (name or f"image {at + 1}", plane, *others) if part)
        )
    return tuple(texts)


def scenes_notice(names: Sequence[str], at: int, why: str = "") -> tuple[str, ...]:
    """Return what is said of a file that holds several images, of which one is taken."""
    if len(names) < 2:
        return ()
    which = "the first" if at == 0 else f"number {at + 1}{why}"
    return (f"it holds {len(names)} images{_named(names)}; {which} is used.",)


def _named(names: Sequence[str]) -> str:
    known = [name for name in names if name]
    more = ", …" if len(known) > _NAMED else ""
    return f" ({', '.join(known[:_NAMED])}{more})" if known else ""


def guessed_axes(shape: tuple[int, ...], dtype: np.dtype[Any], most_channels: int) -> str:
    """Name the axes of an array that does not say them itself."""
    if len(shape) < 2:
        return "Q" * len(shape)
    last = shape[-1]
    if len(shape) >= 3 and last in (3, 4) and dtype == np.uint8:
        return "Q" * (len(shape) - 3) + "YXS"
    if len(shape) >= 3 and last <= most_channels and last < min(shape[-3], shape[-2]):
        return "Q" * (len(shape) - 3) + "YXC"
    return "Q" * (len(shape) - 2) + "YX"
