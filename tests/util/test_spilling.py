"""Values are the same wherever they lie, and what nobody holds takes no room anywhere."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_clickseg.util.spilling import MemoryBudget, Spillable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Atom(NamedTuple):
    where: tuple[slice, ...]
    mask: Any
    new: int


ARRAYS = hnp.arrays(
    st.sampled_from([np.bool_, np.uint8, np.int64]), hnp.array_shapes(min_dims=0, max_side=9)
)
LEAVES = ARRAYS | st.integers() | st.none() | st.just(slice(1, 3))
VALUES = st.recursive(
    LEAVES,
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.tuples(inside, inside)
        | st.builds(Atom, st.just((slice(2),)), inside, st.integers(0, 9))
    ),
    max_leaves=6,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def settled(budget: MemoryBudget, most: int) -> bool:
    """Wait until there is as little in memory as there may be."""
    end = time.monotonic() + 60
    while budget.nbytes > most and time.monotonic() < end:
        budget.room.wait()
    return budget.nbytes <= most


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(VALUES, max_size=8), st.sampled_from([0, 100, 1 << 20]))
def test_a_value_is_the_same_in_memory_and_on_the_disk(
    tmp_path: Path, values: list[Any], most: int
) -> None:
    budget = MemoryBudget(lambda: tmp_path, most)
    kept = [Spillable(value) for value in values]
    for _ in range(2):
        list(map(budget.count, kept))
    assert settled(budget, most)
    assert all(same(one.value, value) for one, value in zip(kept, values, strict=True))
    del kept
    gc.collect()
    assert budget.nbytes == 0


def test_what_came_first_is_moved_first_and_leaves_no_name_behind(tmp_path: Path) -> None:
    budget = MemoryBudget(lambda: tmp_path / "new", 2500)
    kept = [Spillable(np.full(1000, n, np.uint8)) for n in range(4)]
    for one in kept:
        budget.count(one)
    assert settled(budget, 2500)
    there = [one.in_memory for one in kept]
    assert there == sorted(there) and not there[0] and there[-1]
    if os.name == "posix":
        assert not list((tmp_path / "new").iterdir())


def test_a_full_disk_loses_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    budget = MemoryBudget(lambda: tmp_path, 100)
    budget.room.refused.connect(told.append)
    kept = [Spillable(np.arange(n, n + 100)) for n in range(5)]
    with monkeypatch.context() as patch:
        patch.setattr(budget.room, "_again", 0.01)
        patch.setattr(budget, "_folder", lambda: tmp_path / "no" / "\0")
        patch.setattr("pathlib.Path.mkdir", refuse)
        for one in kept:
            budget.count(one)
        budget.room.wait()
        end = time.monotonic() + 60
        while len(told) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert "full" in str(told[1]), "it is tried again"
        assert all(one.in_memory for one in kept)
    assert settled(budget, 100)
    assert [int(one.value[0]) for one in kept] == [0, 1, 2, 3, 4]


def refuse(*_: object, **__: object) -> None:
    raise OSError(28, "The disk is full.")


def test_threads_that_read_see_the_same_while_values_are_moved(tmp_path: Path) -> None:
    budget, wrong = MemoryBudget(lambda: tmp_path, 4000), []
    kept = [Spillable(np.full(500, n)) for n in range(60)]

    def look() -> None:
        for _ in range(20):
            wrong.extend(n for n, one in enumerate(kept) if not (one.value == n).all())

    readers = [threading.Thread(target=look) for _ in range(3)]
    for one in readers:
        one.start()
    for each in kept:
        budget.count(each)
    for one in readers:
        one.join()
    assert settled(budget, 4000) and not wrong


@pytest.fixture
def filled(tmp_path: Path) -> Callable[[int], list[Spillable[Any]]]:
    def make(count: int) -> list[Spillable[Any]]:
        budget = MemoryBudget(lambda: tmp_path, 0)
        kept = [Spillable(np.zeros(100)) for _ in range(count)]
        for one in kept:
            budget.count(one)
        assert settled(budget, 0)
        return kept

    return make


def test_files_are_closed_with_the_last_value_in_them(
    filled: Callable[[int], list[Spillable[Any]]],
) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("open files can't be counted here")
    before = len(os.listdir("/proc/self/fd"))
    kept = filled(9)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del kept
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
