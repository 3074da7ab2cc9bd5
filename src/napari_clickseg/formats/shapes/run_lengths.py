"""Masks as lengths of runs, column by column, the way COCO keeps them.

pycocotools reads and writes the same; it makes an array of the whole image for each object,
which takes minutes where there are thousands of them in a large image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.formats.shapes.filling import MaskPart

if TYPE_CHECKING:
    import numpy.typing as npt

_MOST = 12  # letters of a number of 60 bits


def runs_of(part: MaskPart, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return how many pixels are outside, inside, outside and so on, down each column in turn.

    Parameters
    ----------
    part : MaskPart
        Of an object.
    shape : (int, int)
        Of the image.
    """
    height, width = shape
    x, y = np.nonzero(part.mask.T)
    at = (x + part.left) * height + y + part.top
    breaks = np.flatnonzero(np.diff(at) != 1)
    starts = at[np.concatenate([[0], breaks + 1])] if len(at) else at
    ends = at[np.concatenate([breaks, [len(at) - 1]])] + 1 if len(at) else at
    edges = np.empty(2 * len(starts) + 2, np.int64)
    edges[0], edges[-1] = 0, height * width
    edges[1:-1:2], edges[2:-1:2] = starts, ends
    counts = np.diff(edges)
    return counts if counts[-1] or len(counts) == 1 else counts[:-1]


def part_of(counts: npt.NDArray[np.int64], shape: tuple[int, int]) -> MaskPart:
    """Return the pixels that runs stand for.

    Raises
    ------
    ValueError
        If they are not those of an image of that shape.
    """
    height, width = shape
    if (counts < 0).any() or int(counts.sum()) != height * width:
        raise ValueError(f"its runs are not those of an image of {height} × {width} pixels")
    edges = np.cumsum(counts)
    starts, ends = edges[0::2][: len(counts) // 2], edges[1::2]
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    if not len(starts):
        return MaskPart(0, 0, np.zeros((0, 0), bool))
    columns, rows = np.divmod(starts, height)
    last_columns, last_rows = np.divmod(ends - 1, height)
    left, right = int(columns[0]), int(last_columns[-1])
    top, bottom = 0, height  # where a run goes on in the next column
    if (columns == last_columns).all():
        top, bottom = int(rows.min()), int(last_rows.max()) + 1
    tall = bottom - top
    flips = np.zeros((right - left + 1) * tall + 1, np.int8)
    flips[(columns - left) * tall + rows - top] += 1
    flips[(last_columns - left) * tall + last_rows - top + 1] -= 1
    mask = np.cumsum(flips[:-1], dtype=np.int8).reshape(-1, tall).T.astype(bool)
    if tall < height:
        return MaskPart(top, left, mask)
    there = np.flatnonzero(mask.any(axis=1))
    return MaskPart(int(there[0]), left, mask[there[0] : there[-1] + 1])


def packed(counts: npt.NDArray[np.int64]) -> str:
    """Return runs as COCO's text: differences to the run before the last one, 5 bits a letter."""
    rest = counts.astype(np.int64)
    rest[3:] -= counts[1:-2]
    letters: npt.NDArray[Any] = np.zeros((len(counts), _MOST), np.uint8)
    more = np.ones(len(counts), bool)
    used = 0
    while more.any():
        low = rest & 0x1F
        rest = rest >> 5
        goes_on = np.where(low & 0x10, rest != -1, rest != 0)
        letters[more, used] = (low + 0x20 * goes_on + 48)[more]
        more = more & goes_on
        used += 1
    return letters[letters > 0].tobytes().decode("ascii")


def unpacked(text: str) -> npt.NDArray[np.int64]:
    """Return the runs that a text of COCO's stands for.

    Raises
    ------
    ValueError
        If it is no such text.
    """
    if not text.isascii():
        raise ValueError("its runs are no text of COCO's")
    letters = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not len(letters) or letters.min() < 0 or letters.max() > 63 or letters[-1] & 0x20:
        raise ValueError("its runs are no text of COCO's")
    last = (letters & 0x20) == 0
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    lengths = np.diff(np.append(starts, len(letters)))
    if lengths.max() > _MOST:
        raise ValueError("its runs are no text of COCO's")
    place = np.arange(len(letters)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((letters & 0x1F) << (5 * place), starts)
    negative = letters[last] & 0x10 > 0
    counts = counts - np.where(negative, np.int64(1) << (5 * lengths), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return np.asarray(counts, np.int64)
