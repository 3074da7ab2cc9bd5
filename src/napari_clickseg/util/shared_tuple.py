"""A sequence of which each longer one shares what it has in common with the shorter one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = TypeVar("Value")


class SharedTuple(Sequence[Value]):
    """Like a tuple that grows at its end, of which all shorter ones are kept, too.

    A history of n tuples, each longer by one, takes memory by n²; these take it by n.

    Parameters
    ----------
    values : sequence
        To begin with.
    """

    __slots__ = ("_count", "_shared")

    def __init__(self, values: Sequence[Value] = ()) -> None:
        self._shared, self._count = list(values), len(values)

    def plus(self, value: Value) -> SharedTuple[Value]:
        """Return one that is longer by a value; this one stays as it is."""
        out: SharedTuple[Value] = SharedTuple()
        grown_already = len(self._shared) > self._count
        out._shared = self._shared[: self._count] if grown_already else self._shared
        out._shared.append(value)
        out._count = self._count + 1
        return out

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Value: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Value, ...]: ...

    def __getitem__(self, at: int | slice) -> Value | tuple[Value, ...]:
        if isinstance(at, slice):
            return tuple(self._shared[n] for n in range(self._count)[at])
        return self._shared[range(self._count)[at]]

    def __iter__(self) -> Iterator[Value]:
        return itertools.islice(self._shared, self._count)

    def __reversed__(self) -> Iterator[Value]:
        return reversed(self._shared[: self._count])

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, SharedTuple | tuple) or len(other) != len(self):
            return False
        return self._same(other) or all(a is b or a == b for a, b in zip(self, other, strict=True))

    def _same(self, other: Any) -> bool:
        return isinstance(other, SharedTuple) and other._shared is self._shared

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))
