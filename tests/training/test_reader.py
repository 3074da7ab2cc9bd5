from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg._napari.train.runs import list_runs
from napari_clickseg.runs.home import default_home, new_run, plain_name
from napari_clickseg.runs.process import Launch, alive, launch
from napari_clickseg.training.reader import RunReader
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import read_spec

if TYPE_CHECKING:
    from pathlib import Path

STARTED: dict[str, Any] = {"epochs": 4, "training": 3, "validation": 1, "device": "cpu",
                           "resumed": False}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return made(tmp_path, "one")


def made(home: Path, name: str) -> RunFolder:
    folder = RunFolder(home / "runs" / name)
    folder.create(read_spec(None, project="p"))
    return folder


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_outlives_this_one_and_what_it_says_is_kept(tmp_path: Path) -> None:
    started = launch(["--version"], tmp_path)
    deadline = time.monotonic() + 60
    while alive(started.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(started.pid), "one that has ended doesn't stay in the list of processes"
    assert "clickseg 0." in (tmp_path / "log.txt").read_text()


def test_what_is_new_is_read_and_a_half_line_waits(folder: RunFolder) -> None:
    reader = RunReader(folder.path)
    folder.add("started", pid=os.getpid(), **STARTED)
    assert reader.look().status == "running"
    with folder.events_path.open("a") as file:
        file.write('{"event": "epoch", "epoch": 1, "lo')
        file.flush()
        assert reader.look().epoch == 1 and not reader.look().curves.loss
        file.write('ss": 0.5, "metrics": {}}\n')
    assert reader.look().curves.loss == {1: 0.5}


def test_a_killed_run_counts_as_stopped_and_can_be_resumed(folder: RunFolder, dead: int) -> None:
    folder.add("started", pid=dead, **STARTED)
    run = RunReader(folder.path).look()
    assert (run.status, run.reason) == ("stopped", "ended")


def test_a_run_that_was_asked_to_stop_is_stopping(folder: RunFolder) -> None:
    folder.add("started", pid=os.getpid(), **STARTED)
    folder.request_stop()
    assert RunReader(folder.path).look().status == "stopping"


def test_a_launched_run_is_starting_until_it_says_something(folder: RunFolder) -> None:
    reader = RunReader(folder.path, Launch(os.getpid(), time.time()))
    assert reader.look().status == "starting"
    folder.add("started", pid=os.getpid(), **STARTED)
    assert reader.look().status == "running"


def test_a_resumed_run_is_starting_though_it_was_stopped(folder: RunFolder, dead: int) -> None:
    folder.add("started", pid=dead, **STARTED)
    folder.add("epoch", epoch=1, loss=0.5, metrics={})
    folder.add("finished", reason="stopped", best_epoch=1, model="best.safetensors")
    time.sleep(0.005)
    reader = RunReader(folder.path, Launch(os.getpid(), time.time()))
    run = reader.look()
    assert (run.status, run.curves.loss) == ("starting", {1: 0.5})
    folder.add("started", pid=os.getpid(), **STARTED | {"resumed": True})
    assert reader.look().status == "running"


def test_a_run_that_can_not_start_says_why(folder: RunFolder, dead: int) -> None:
    (folder.path / "log.txt").write_text("clickseg: There is no folder p.\n\n")
    run = RunReader(folder.path, Launch(dead, time.time())).look()
    assert (run.status, run.error) == ("failed", "There is no folder p.")
    (folder.path / "log.txt").unlink()
    assert "did not start" in RunReader(folder.path, Launch(dead, time.time())).look().error


def test_a_failure_before_the_start_is_taken_from_the_events(folder: RunFolder, dead: int) -> None:
    reader = RunReader(folder.path, Launch(dead, time.time()))
    folder.add("failed", message="Out of memory.")
    assert (reader.look().status, reader.look().error) == ("failed", "Out of memory.")


def test_runs_are_listed_the_newest_first(tmp_path: Path, dead: int) -> None:
    for age, name in enumerate(("new", "older", "oldest")):
        spec = made(tmp_path, name).path / "spec.json"
        os.utime(spec, (1e9 - age, 1e9 - age))
    made(tmp_path, "new").add("started", pid=os.getpid(), **STARTED)
    os.utime(tmp_path / "runs" / "new" / "spec.json", (2e9, 2e9))
    (tmp_path / "runs" / "something else").mkdir()
    runs = list_runs(tmp_path)
    assert [(run.name, run.status) for run in runs] == [
        ("new", "running"), ("older", "stopped"), ("oldest", "stopped"),
    ]  # fmt: skip
    assert list_runs(tmp_path / "nowhere") == ()


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "started", "pid": "x"}',
        '{"event": "started", "pid": 1e400}',
        '{"event": "epoch", "epoch": [1]}',
        '{"event": "epoch"}',
        '{"event": ["started"]}',
        '{"event": "preview", "images": 3}',
        '{"event": "failed", "message": {}}',
        "[]",
        "null",
        '"a"',
        "\0",
    ],
)
def test_a_strange_event_hides_neither_its_run_nor_another(
    tmp_path: Path, dead: int, line: str
) -> None:
    for name in ("one", "two"):
        made(tmp_path, name).add("started", pid=dead, **STARTED)
    with (tmp_path / "runs/one/events.jsonl").open("a") as file:
        file.write(f"{line}\n")
    assert sorted(run.name for run in list_runs(tmp_path)) == ["one", "two"]
    RunFolder(tmp_path / "runs/one").add("finished", reason="done")
    assert "finished" in {run.status for run in list_runs(tmp_path)}


def test_two_runs_of_one_minute_get_folders_of_their_own(tmp_path: Path) -> None:
    first = new_run(tmp_path, "my cells/β")
    first.mkdir(parents=True)
    second = new_run(tmp_path, "my cells/β")
    assert first != second
    assert first.parent == second.parent == tmp_path / "runs"
    assert first.name.startswith("my-cells-β-20")


@pytest.mark.parametrize(
    ("text", "name"),
    [("a b", "a-b"), ("..", "model"), ("", "model"), ("Zelle 1.tif", "Zelle-1.tif"),
     ("x" * 99, "x" * 60)],
)  # fmt: skip
def test_names_fit_every_file_system(text: str, name: str) -> None:
    assert plain_name(text) == name


def test_the_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLICKSEG_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("CLICKSEG_HOME")
    assert "napari-clickseg" in str(default_home())
