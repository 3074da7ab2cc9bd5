"""Arrays in chunks hold what numpy's would, wherever the chunks lie."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_clickseg.data.chunked.chunks import ChunkedArray, ChunkStore
from napari_clickseg.data.chunked.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPE, CHUNKS = (3, 50, 70), (1, 16, 16)
CHUNK = 2 * 16 * 16  # bytes


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], ChunkedArray]:
    def made(most: int) -> ChunkedArray:
        number = len(list(tmp_path.iterdir()))
        return ChunkStore(lambda: tmp_path / f"{number}.zarr", most).array(SHAPE, CHUNKS)

    return made


def slices(n: int) -> st.SearchStrategy[slice]:
    ends = st.integers(-n - 3, n + 3) | st.none()
    return st.builds(slice, ends, ends)


FIT = st.sampled_from([1, 9, 99])  # chunks
PARTS = st.tuples(st.integers(-3, 2) | slices(3), slices(50), st.integers(-70, 69) | slices(70))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(PARTS, st.integers(0, 3)), max_size=8), PARTS, st.sampled_from([1, 9, 99])
)
def test_it_holds_what_numpy_would(
    make: Callable[[int], ChunkedArray], writes: list[Any], asked: Any, fit: int
) -> None:
    array, expected = make(fit * CHUNK), np.zeros(SHAPE, np.uint16)
    for part, value in writes:
        shape = expected[part].shape
        values = np.arange(np.prod(shape, dtype=int)).reshape(shape) * value
        array[part] = values
        expected[part] = values
    np.testing.assert_array_equal(array[asked], expected[asked])
    array.store.wait()
    assert array.store.nbytes <= fit * CHUNK
    np.testing.assert_array_equal(array[asked], expected[asked])
    np.testing.assert_array_equal(np.asarray(array), expected)


def test_a_chunk_of_zeros_takes_no_room(make: Callable[[int], ChunkedArray]) -> None:
    array = make(1 << 20)
    array[...] = 0
    assert array.store.nbytes == 0
    array[0, :16, :16] = 1
    assert array.store.nbytes == CHUNK


def test_what_fits_into_memory_is_not_on_the_disk(
    make: Callable[[int], ChunkedArray], tmp_path: Path
) -> None:
    array = make(1 << 20)
    array[...] = 5
    array.store.wait()
    assert not list(tmp_path.iterdir())


def test_what_the_disk_holds_others_can_read(
    make: Callable[[int], ChunkedArray], tmp_path: Path
) -> None:
    array = make(CHUNK)
    array[...] = 7
    array.store.wait()
    on_disk = zarr.open_group(str(tmp_path / "0.zarr"), mode="r")["0"]
    assert (np.asarray(on_disk) == 7).sum() >= np.prod(SHAPE) - CHUNK // 2


def test_a_full_disk_loses_nothing_and_is_tried_again(
    make: Callable[[int], ChunkedArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    array = make(CHUNK)
    with monkeypatch.context() as patch:
        patch.setattr(ChunkStore, "_store", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        array[...] = 7
        array.store.wait()
        assert array.store.room.error is not None
        assert (np.asarray(array) == 7).all() and array.store.nbytes > CHUNK
    array[0, 0, 0] = 8
    array.store.wait()
    assert array.store.room.error is None and array.store.nbytes <= CHUNK
    assert array[0, 0, 0] == 8 and (array[1:] == 7).all()


def test_threads_that_read_see_what_is_written_while_chunks_come_and_go(
    make: Callable[[int], ChunkedArray],
) -> None:
    array, wrong = make(2 * CHUNK), []
    array[...] = 1

    def look() -> None:
        for _ in range(30):
            if not (array[:, 16:32, 16:48] >= 1).all():
                wrong.append("a pixel was lost")

    readers = [threading.Thread(target=look) for _ in range(3)]
    for one in readers:
        one.start()
    for value in range(2, 40):
        array[:, 16:48, 16:32] = value
    for one in readers:
        one.join()
    assert not wrong and (array[:, 16:48, 16:32] == 39).all()


@pytest.mark.parametrize("key", [(0, 0, 0, 0), 3, (0, 0, -71), (0, [1, 2]), (0, slice(9, 1, -1))])
def test_what_it_can_not_take_is_refused(make: Callable[[int], ChunkedArray], key: Any) -> None:
    with pytest.raises(IndexError):
        make(CHUNK)[key]


def test_a_scratch_folder_goes_with_its_owner_and_after_a_kill_with_the_next_one(
    tmp_path: Path,
) -> None:
    class Owner:
        pass

    killed = tmp_path / "scratch" / "0.zarr"
    killed.mkdir(parents=True)
    first, second = Owner(), Owner()
    folder, other = Scratch(tmp_path, first).folder, Scratch(tmp_path, second).folder
    for one in (folder, other):
        one.mkdir()
    assert not killed.exists()
    Scratch(tmp_path, second)
    assert folder.exists(), "its program is still there"
    del first
    gc.collect()
    assert not folder.exists() and other.exists()
