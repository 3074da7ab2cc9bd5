from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.journal.events import Modelled, Redone, Scribe, Stepped
from napari_clickseg.journal.recording import read_journal
from napari_clickseg.journal.scene import Scene
from napari_clickseg.journal.store import JournalStore, image_digest
from napari_clickseg.journal.writing import JournalFile, JournalThread
from tests.journal.sessions import Session, began

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def never(error: Exception) -> None:
    raise AssertionError(error)


def test_what_is_noted_is_on_the_disk_within_a_second(tmp_path: Path) -> None:
    thread, file = JournalThread(never), JournalFile(tmp_path / "a" / "x.jsonl", Scribe())
    thread.note(file, began())
    thread.note(file, Modelled(name="m"))
    end = time.monotonic() + 30  # other things may be running
    while not (file.path.exists() and file.path.read_bytes().count(b"\n") == 2):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert thread.close()
    assert [one.name for one in read_journal(file.path).models] == ["m"]


def test_handing_over_takes_no_time_however_slow_the_disk(tmp_path: Path) -> None:
    thread, gate = JournalThread(never, pause=0), threading.Event()
    thread.do(gate.wait)
    file = JournalFile(tmp_path / "x.jsonl", Scribe())
    thread.note(file, began())
    begin = time.perf_counter()
    for _ in range(100):
        thread.note(file, Modelled(name="m"))
    assert time.perf_counter() - begin < 0.1
    gate.set()
    assert thread.close()
    assert read_journal(file.path).lines == 101


def test_what_the_disk_did_not_take_is_written_later_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Exception] = []
    thread = JournalThread(said.append, pause=0, again=0.01)
    file = JournalFile(tmp_path / "x.jsonl", Scribe())
    thread.note(file, began())
    assert thread.flush()
    sync, full = os.fsync, threading.Event()
    full.set()

    def fsync(number: int) -> None:
        if full.is_set():
            raise OSError(28, "No space left on device")  # after a part may have been written
        sync(number)

    monkeypatch.setattr(os, "fsync", fsync)
    thread.note(file, Modelled(name="first"))
    while not said:
        time.sleep(0.01)
    assert not thread.flush()
    thread.note(file, Modelled(name="second"))
    full.clear()
    assert thread.close()
    assert [one.name for one in read_journal(file.path).models] == ["first", "second"]
    assert "No space left" in str(said[0])


def test_who_goes_on_with_a_journal_writes_after_its_last_whole_line(tmp_path: Path) -> None:
    session = Session(1)
    session.click()
    session.accept()
    session.undo()
    path = tmp_path / "x.jsonl"
    path.write_bytes(session.content + b'{"crc":"00000000","said":{"what"')
    recording = read_journal(path)
    past = tuple((step.before, step.after) for step in recording.past)
    future = tuple((step.before, step.after) for step in recording.future)
    file = JournalFile(path, Scribe(recording.scene, past, future), recording.whole)
    file.write([Modelled(name="m"), Redone()])
    session.redo()
    again = read_journal(path)
    assert again.lines == recording.lines + 2
    assert np.array_equal(again.labels(), session.labels)
    assert again.scene == session.scene
    step = Stepped(again.scene, Scene(object_id=7, next_id=7))
    file.write([step])  # whose scene is told by what changed since the last one
    assert read_journal(path).scene == step.after


def test_a_program_that_ends_writes_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    code = (
        "from pathlib import Path\n"
        "from napari_clickseg.journal.writing import JournalFile, JournalThread\n"
        "from napari_clickseg.journal.events import Began, Scribe\n"
        "thread = JournalThread(print, pause=60)\n"
        f"file = JournalFile(Path({str(path)!r}), Scribe())\n"
        "began = Began(shape=(1, 1), dtype='uint8', digest='0', labels=(1, 1))\n"
        "thread.note(file, began)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert read_journal(path).lines == 1


# ---- where they lie


def left_behind(journals: JournalStore, digest: str, session: Any) -> Path:
    place = journals.begin(digest)
    place.path.write_bytes(session.content)
    place.release()
    return place.path


def accepted(seed: int = 1) -> Session:
    session = Session(seed)
    session.accept()
    return session


def test_what_somebody_left_is_found_by_what_the_image_looks_like(tmp_path: Path) -> None:
    journals, session = JournalStore(tmp_path), accepted()
    left_behind(journals, "0" * 32, session)
    assert journals.latest("1" * 32) is None
    left = journals.latest("0" * 32)
    assert left is not None
    assert np.array_equal(left.recording.labels(), session.labels)


def test_the_latest_comes_first_and_what_is_worked_on_is_nobody_elses(tmp_path: Path) -> None:
    journals = JournalStore(tmp_path)
    first = left_behind(journals, "0" * 32, accepted(1))
    second = left_behind(journals, "0" * 32, accepted(2))
    os.utime(first, (1e9, 1e9))
    one = journals.latest("0" * 32)
    assert one is not None and one.place.path == second
    other = journals.latest("0" * 32)
    assert other is not None and other.place.path == first
    assert journals.latest("0" * 32) is None
    assert journals.begin("0" * 32).path not in (first, second)


def test_what_is_forgotten_is_not_offered_again_and_can_be_fetched_for_a_month(
    tmp_path: Path,
) -> None:
    journals = JournalStore(tmp_path)
    left_behind(journals, "0" * 32, accepted())
    left = journals.latest("0" * 32)
    assert left is not None
    left.place.forget()
    assert journals.latest("0" * 32) is None
    (kept,) = journals.folder.glob("*.forgotten")
    os.utime(kept, (1e9, 1e9))
    journals.latest("0" * 32)
    assert not kept.exists()


def test_old_journals_go_only_if_nothing_in_them_is_unsaved(tmp_path: Path) -> None:
    journals, unsaved, saved = JournalStore(tmp_path), accepted(1), Session(2)
    paths = [left_behind(journals, str(i) * 32, one) for i, one in enumerate((unsaved, saved))]
    for path in paths:
        os.utime(path, (1e9, 1e9))
    journals.sweep()
    assert [path.exists() for path in paths] == [True, False]


def test_an_image_is_told_by_its_pixels_shape_and_type_however_it_is_read() -> None:
    import dask.array as da
    import zarr

    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    digest = image_digest(image)
    assert len(digest) == 32
    assert image_digest(da.from_array(image, chunks=7)) == digest
    assert image_digest(zarr.array(image)) == digest
    assert image_digest(image.astype(np.uint16)) != digest
    assert image_digest(image, channel_axis=0) != digest
    image[39, 49, 2] ^= 1
    assert image_digest(image) != digest


def test_of_a_huge_image_a_few_samples_are_read() -> None:
    import dask.array as da

    read = []

    def block(block_info: Any = None) -> np.ndarray:
        read.append(block_info[None]["chunk-location"])
        return np.full((1000, 1000), len(read), np.uint8)

    huge = da.map_blocks(block, chunks=((1000,) * 100, (1000,) * 100), dtype=np.uint8)
    assert len(image_digest(huge)) == 32
    assert len(set(read)) <= 16
