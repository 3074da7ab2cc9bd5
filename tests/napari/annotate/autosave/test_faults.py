"""Whatever fails in mid-session is said in a line, and nothing that was made is lost."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg._napari.viewer.layers import full_resolution
from napari_clickseg.journal.recording import read_journal
from napari_clickseg.util.spilling import MemoryBudget

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


@contextlib.contextmanager
def nothing_grows(folder: Path) -> Iterator[None]:
    """Let no file have a single byte, as on a disk that is full; the system does it."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def no_folder(folder: Path) -> Iterator[None]:
    """Have a file where the folder is to be."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_bytes(b"")
    try:
        yield
    finally:
        folder.unlink()


@pytest.mark.parametrize("fault", [nothing_grows, no_folder])
@pytest.mark.parametrize("what", ["labels", "undo"])
def test_what_finds_no_room_on_the_disk_stays_in_memory_is_said_and_is_tried_again(
    make_bench: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    fault: Callable[[Path], contextlib.AbstractContextManager[None]],
) -> None:
    monkeypatch.setenv("CLICKSEG_HOME", str(tmp_path))
    scratch = tmp_path / "scratch"
    undo = MemoryBudget(lambda: scratch, 0 if what == "undo" else 1 << 30)
    for module in ("timeline", "autosave.autosave"):
        monkeypatch.setattr(f"napari_clickseg._napari.annotate.{module}.undo_memory", lambda: undo)
    bench = make_bench()
    levels = [np.zeros((8192 >> n, 8192 >> n), np.uint8) for n in range(4)]
    bench.open(levels, multiscale=True, contrast_limits=(0, 255))
    store = full_resolution(bench.state.annotation).store
    if what == "labels":
        monkeypatch.setattr(store, "_most", 0)
    kept = undo if what == "undo" else store
    with fault(scratch):
        accept(bench, A)
        bench.wait(lambda: "find no room in" in bench.state.message)
        assert str(scratch) in bench.state.message and "\n" not in bench.state.message
        accept(bench, (500, 900), (4000, 5000))
        bench.do("undo")
        bench.do("redo")
        assert kept.nbytes, "it is in memory"
        labels = np.asarray(full_resolution(bench.state.annotation)[:, :6000])
        assert len(np.unique(labels)) == 4
        bench.state.message = "Large labels and what can be undone find no room in it."
    bench.wait(lambda: not kept.nbytes)
    bench.wait(lambda: not bench.state.message)
    assert np.array_equal(full_resolution(bench.state.annotation)[:, :6000], labels)
    for _ in range(6):
        bench.do("undo")
    assert not full_resolution(bench.state.annotation)[:, :6000].any()


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
