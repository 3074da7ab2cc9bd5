"""Which images of a set are measured on, or shown: those that hold something, from all over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def choose(
    n: int, holds: Callable[[int], bool], count: int, *, empties: int = 0
) -> tuple[list[int], list[int]]:
    """Choose images that hold something, and some in which there is nothing.

    No more images are looked at than it takes; those that are lie all over the set.

    Parameters
    ----------
    n : int
        Images in the set.
    holds : callable
        Whether the image of an index holds something.
    count : int
        Images with something that are wanted.
    empties : int
        Images without anything that are wanted.

    Returns
    -------
    some : list of int
        Indices of images that hold something, rising; fewer than `count` if there are no more.
    empty : list of int
        Indices of images that were found empty, which may be more than were wanted.
    """
    some: list[int] = []
    empty: list[int] = []
    for i in _all_over(n):
        if not holds(i):
            empty.append(i)
        elif len(some) < count:
            some.append(i)
        if len(some) == count and len(empty) >= empties:
            break
    return sorted(some), empty


def _all_over(n: int) -> list[int]:
    """Order indices so that the first few, however many, lie all over the range."""
    bits = max(1, (n - 1).bit_length())
    return sorted(range(n), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
