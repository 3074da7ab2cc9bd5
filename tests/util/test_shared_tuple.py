"""Sequences that grow are tuples in all but the memory that they take."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg.util.shared_tuple import SharedTuple


@given(st.lists(st.tuples(st.integers(0, 20), st.integers())))
def test_each_stays_as_it_is_whatever_others_grow_into(steps: list[tuple[int, int]]) -> None:
    known: list[tuple[SharedTuple[int], tuple[int, ...]]] = [(SharedTuple(), ())]
    for back, value in steps:
        of, said = known[max(0, len(known) - 1 - back)]  # undo, and another way on
        known.append((of.plus(value), (*said, value)))
    for one, said in known:
        assert tuple(one) == said and len(one) == len(said)
        assert one == said and said == one and one == SharedTuple(said)
        assert one != (*said, 0) and (not said or one != SharedTuple(said[:-1]))
        assert tuple(reversed(one)) == said[::-1] and one[1:-1] == said[1:-1]


def test_what_is_beyond_the_end_of_one_is_not_in_it() -> None:
    short = SharedTuple([1, 2])
    assert short.plus(3)[2] == 3 and short[-1] == 2
    with pytest.raises(IndexError):
        short[2]


def test_a_history_of_them_takes_as_much_memory_as_the_last_one() -> None:
    history = [SharedTuple[int]()]
    for n in range(2000):
        history.append(history[-1].plus(n))
    assert len({id(one._shared) for one in history}) == 1
    assert sys.getsizeof(history[-1]._shared) < 20_000
