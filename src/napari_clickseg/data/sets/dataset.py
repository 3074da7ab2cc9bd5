"""Images with their masks in memory, as the network will see them at run time."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.intensity import measure
from napari_clickseg.core.source import ImageError, ImageSource
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.object_classes import read_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.data.project import Record

IGNORED = 255  # index of pixels that count neither way
_MIB = 1 << 20
_KEPT = 2  # images that are kept even where the memory is used up


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Sample:
    """An image with its mask.

    Parameters
    ----------
    pixels : uint8 or float16 (C, Y, X)
        Normalised as at run time; 0 … 255, or 0 … 1 where the image has more than 8 bits.
    labels : int (Y, X)
        Ids, as in the mask.
    """

    record: Record
    pixels: npt.NDArray[Any]
    labels: npt.NDArray[Any]

    @property
    def partial(self) -> bool:
        """Whether what is not labelled is unknown, and not background: the project says so."""
        return self.record.complete is False

    @property
    def scale(self) -> float:
        """The value of white."""
        return 255.0 if self.pixels.dtype == np.uint8 else 1.0

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.pixels.nbytes + self.labels.nbytes)


def read_sample(record: Record) -> Sample:
    """Read an image with its mask.

    Raises
    ------
    ImageError
        If one of them can't be read, or their sizes differ; the message names the file.
    """
    plane = read_plane(record.image)
    labels = read_mask(record)
    source = ImageSource(plane.data, rgb=plane.rgb)
    if labels.shape != source.shape:
        raise ImageError(
            f"{record.name}: the mask's shape {labels.shape} is not the image's {source.shape}; "
            "give a mask of the same size."
        )
    values = measure(source).apply(source.read_all()).transpose(2, 0, 1)
    few = source.dtype.kind == "b" or source.dtype.itemsize == 1
    pixels = (values * 255).round().astype(np.uint8) if few else values.astype(np.float16)
    kept = labels.astype(np.uint8) if labels.max(initial=0) < 256 else labels
    return Sample(record, np.ascontiguousarray(pixels), kept)


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Kept = TypeVar("Kept", bound=_Sized)


class Dataset(Generic[Kept]):
    """Images that are read when they are needed, and kept as far as there is room.

    May be used from several threads.

    Parameters
    ----------
    mib : int
        Memory for all images.
    read : callable
        Reads one; what it returns says by `nbytes` what memory it takes.
    """

    @overload
    def __init__(self: Dataset[Sample], records: Sequence[Record], mib: int = 2048) -> None: ...

    @overload
    def __init__(
        self, records: Sequence[Record], mib: int = 2048, *, read: Callable[[Record], Kept]
    ) -> None: ...

    def __init__(
        self,
        records: Sequence[Record],
        mib: int = 2048,
        *,
        read: Callable[[Record], Any] = read_sample,
    ) -> None:
        self.records, self.mib, self.read = tuple(records), mib, read
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        # What is still in use somewhere need not be read again, nor be there twice.
        self._alive: weakref.WeakValueDictionary[int, Kept] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Kept:
        with self._lock:
            known = self._alive.get(index)
            if known is not None:
                self._keep(index, known)
                return known
        sample: Kept = self.read(self.records[index])
        with self._lock:
            sample = self._alive.setdefault(index, sample)  # another thread's, if it was quicker
            self._keep(index, sample)
        return sample

    def _keep(self, index: int, sample: Kept) -> None:
        if index in self._kept:  # as mostly: nothing to add up
            self._kept.move_to_end(index)
            return
        self._kept[index] = sample
        while len(self._kept) > _KEPT and self._used() > self.mib * _MIB:
            self._kept.popitem(last=False)

    def _used(self) -> int:
        return sum(sample.nbytes for sample in self._kept.values())

    @property
    def nbytes(self) -> int:
        """Memory that the images take that are kept now."""
        with self._lock:
            return self._used()


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Which ids belong to which class.

    Parameters
    ----------
    ids : tuple of tuples of int
        Of each class, in their order; an empty tuple takes all that is labelled.
    names : tuple of str
        Of each class.
    ignore : int or None
        Id of pixels that count neither way.
    """

    ids: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    ignore: int | None = None

    def indices(self, labels: npt.NDArray[Any], *, partial: bool = False) -> npt.NDArray[np.uint8]:
        """Return 0 for background, 1 for the first class and so on; `IGNORED` for what is.

        Parameters
        ----------
        partial : bool
            What is not labelled is unknown, so that it counts neither way.
        """
        out = np.zeros(labels.shape, np.uint8)
        if partial:
            out[labels == 0] = IGNORED
        for index, ids in enumerate(self.ids, 1):
            out[np.isin(labels, ids) if ids else labels != 0] = index
        if self.ignore is not None:
            out[labels == self.ignore] = IGNORED
        return out

    @property
    def output_ids(self) -> tuple[int, ...]:
        """The id that a mask of each class is written with."""
        return tuple(ids[0] if len(ids) == 1 else n for n, ids in enumerate(self.ids, 1))
