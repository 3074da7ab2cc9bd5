"""Whoever changes a project begins with what the one before left, in this process or another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_clickseg.data import staging
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.project import ProjectError, Record, read_project
from napari_clickseg.data.staging import held
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 12
IMAGE = np.arange(64, dtype=np.uint8).reshape(8, 8)

# Takes its time before each commit, so that another one may come in between.
ADDING = """
import sys, time
import numpy as np
from napari_clickseg.data.staging import Staged
from napari_clickseg.data.writer import ProjectWriter
commit = Staged.commit
Staged.commit = lambda staged: (time.sleep(0.01), commit(staged))
folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
project = ProjectWriter(folder)
print("ready", flush=True)
sys.stdin.readline()
for i in range(count):
    project.add(f"{name}{i}", np.full((8, 8), i, np.uint8), np.eye(8, dtype=np.uint8))
"""

HOLDING = """
import sys
from pathlib import Path
from napari_clickseg.data.staging import held
with held(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.readline()
"""


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process, and return it once it waits for a line."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("shared", [True, False], ids=["one writer", "a writer each"])
def test_no_record_is_lost_where_two_threads_write(tmp_path: Path, shared: bool) -> None:
    first = ProjectWriter(tmp_path)
    for i in range(COUNT):
        first.add(f"old{i}", IMAGE + i)
    second = first if shared else ProjectWriter(tmp_path)
    together = threading.Barrier(2, timeout=30)

    def annotate() -> None:
        together.wait()
        for i in range(COUNT):
            first.annotate(f"images/old{i}.png", IMAGE > i)

    def add() -> None:
        together.wait()
        for i in range(COUNT):
            second.add(f"new{i}", IMAGE + i, IMAGE > i)

    with ThreadPoolExecutor(2) as threads:
        for one in (threads.submit(annotate), threads.submit(add)):
            one.result()
    project = read_project(tmp_path)
    assert len(project.records) == 2 * COUNT
    assert not project.unannotated
    assert not list(tmp_path.glob(".*")), "nothing is left behind"


def test_no_record_is_lost_where_two_processes_write(tmp_path: Path) -> None:
    writers = [child(ADDING, tmp_path, name, COUNT) for name in "ab"]
    for one in writers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.close()
    assert [one.wait(60) for one in writers] == [0, 0]
    for one in writers:
        assert one.stdout is not None
        one.stdout.close()
    names = {record.name for record in read_project(tmp_path).records}
    assert names == {f"images/{name}{i}.png" for name in "ab" for i in range(COUNT)}


def test_classes_of_another_writer_are_known(tmp_path: Path) -> None:
    first, second = ProjectWriter(tmp_path), ProjectWriter(tmp_path)
    cells, none = (
        ProjectClasses(scheme="classes", classes=some)
        for some in ((ProjectClass(id=1, name="cell"),), ())
    )
    first.set_classes(cells)
    second.set_classes(none)
    first.add("a", IMAGE, IMAGE > 3, classes=cells)
    assert read_project(tmp_path).classes == cells


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_writer_that_was_killed_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = ProjectWriter(tmp_path)
    monkeypatch.setattr(staging, "_PATIENCE", 0.2)
    with child(HOLDING, tmp_path) as holder:
        with pytest.raises(ProjectError, match="being written to by another program") as caught:
            project.add("a", IMAGE, IMAGE > 3)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "images").exists()
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    assert isinstance(project.add("a", IMAGE, IMAGE > 3), Record)
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_was_held_in_vain_is_gone(tmp_path: Path) -> None:
    with pytest.raises(KeyError), held(tmp_path / "new/project"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_where_a_drive_knows_no_locks_one_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    import filelock

    def unknown(self: object, **_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", unknown)
    assert isinstance(ProjectWriter(tmp_path).add("a", IMAGE, IMAGE > 3), Record)
