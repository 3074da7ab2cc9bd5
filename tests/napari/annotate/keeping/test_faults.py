"""Whatever fails in mid-session is said in a line, and nothing that was made is lost."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg.journal.recording import read_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

A, B, C = (30, 40), (80, 100), (60, 20)


def accept(bench: Any, *places: tuple[int, int]) -> None:
    for place in places:
        bench.click(*place)
        bench.do("accept")


@contextlib.contextmanager
def no_room(path: Path) -> Iterator[None]:
    """Let no file grow beyond the size of one, as on a disk that is full; the system does it."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def gone(path: Path) -> Iterator[None]:
    """Have the folder vanish, as a drive does whose plug is pulled."""
    away = path.parent.with_name("elsewhere")
    path.parent.rename(away)
    try:
        yield
    finally:
        away.rename(path.parent)


@contextlib.contextmanager
def closed(path: Path) -> Iterator[None]:
    """Let nobody write to the folder and its files any more."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("whoever runs this may write anywhere")
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        yield
    finally:
        path.parent.chmod(0o755)
        path.chmod(0o644)


@pytest.mark.parametrize("fault", [no_room, gone, closed])
def test_where_nothing_can_be_kept_work_goes_on_and_is_kept_when_it_can_be(
    make_bench: Callable[..., Any],
    grey: np.ndarray,
    tmp_path: Path,
    fault: Callable[[Path], contextlib.AbstractContextManager[None]],
) -> None:
    bench = make_bench(home=tmp_path)
    bench.open(grey)
    accept(bench, A)
    assert bench.controller.autosave.flush()
    (path,) = (tmp_path / "journals").glob("*.jsonl")
    before = bench.labels.copy()
    with fault(path):
        accept(bench, B)
        bench.wait(lambda: "can't be kept in" in bench.state.message)
        assert "\n" not in bench.state.message
        accept(bench, C)
        bench.do("undo")
        bench.do("redo")
        assert len(np.unique(bench.labels)) == 4, "work goes on"
        assert not bench.controller.autosave.flush()
    end = time.monotonic() + 60
    while not bench.controller.autosave.flush():
        assert time.monotonic() < end
    recording = read_journal(path)
    assert np.array_equal(recording.labels(), bench.labels)
    assert not np.array_equal(recording.labels(), before)
    assert len(recording.scene.objects) == 3


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")]
)
def test_where_the_memory_is_full_clicks_and_objects_stay_and_the_next_click_is_answered(
    bench: Any, grey: np.ndarray, fake_model: Any, notifications: list[str], error: Exception
) -> None:
    bench.open(grey)
    accept(bench, A)
    before = bench.labels.copy()
    fake_model.error = error
    bench.click(*B)
    assert "The model failed" in bench.state.message and "\n" not in bench.state.message
    bench.do("accept")
    assert len(notifications) == 1 and not bench.state.busy
    assert bench.state.n_positive == 1 and np.array_equal(bench.labels, before)
    fake_model.error = None
    bench.click(B[0] + 2, B[1])
    bench.do("accept")
    assert bench.labels[B] == 2 and np.array_equal(bench.labels == 1, before == 1)
