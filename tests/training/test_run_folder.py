from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import torch

from napari_clickseg.runs.process import alive
from napari_clickseg.training import run_folder
from napari_clickseg.training.run_folder import RunError, RunFolder
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

SPEC = TrainingSpec(project="p", epochs=3)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs/one")
    folder.create(SPEC)
    return folder


def test_a_new_run_knows_its_spec_and_nothing_else(run: RunFolder) -> None:
    assert run.spec == SPEC
    assert run.state == "new"
    assert run.events() == ([], 0)
    assert not run.stop_requested()
    assert run.load_checkpoint() is None


def test_a_run_is_never_made_over_another(run: RunFolder) -> None:
    run.add("started", pid=1)
    with pytest.raises(RunError, match="holds a run already"):
        RunFolder(run.path).create(SPEC)


def test_what_is_noted_of_a_run_beforehand_does_not_keep_it_from_beginning(run: RunFolder) -> None:
    run.add("message", level="warning", text="12 changes are not saved yet.")
    begun = RunFolder(run.path)
    begun.create(SPEC)
    begun.add("started", pid=1)
    assert [event["event"] for event in begun.events()[0]] == ["message", "started"]
    with pytest.raises(RunError, match="holds a run already"):
        RunFolder(run.path).create(SPEC)


def test_a_log_that_can_not_be_read_counts_as_a_run(run: RunFolder) -> None:
    run.events_path.write_bytes(b"garbage\n")
    with pytest.raises(RunError, match="holds a run already"):
        RunFolder(run.path).create(SPEC)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        _ = RunFolder(tmp_path).spec
    (tmp_path / "spec.json").write_text("{}")
    with pytest.raises(RunError, match="project"):
        _ = RunFolder(tmp_path).spec
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Nothing can be written"):
        RunFolder(tmp_path / "file/run").create(SPEC)


def test_events_are_read_on_from_where_one_was(run: RunFolder) -> None:
    run.add("started", pid=1)
    first, offset = run.events()
    run.add("epoch", epoch=1, loss=0.123456789, metrics={"dice": float("nan")})
    second, end = run.events(after=offset)
    assert [e["event"] for e in first + second] == ["started", "epoch"]
    assert second[0]["loss"] == pytest.approx(0.123457)
    assert second[0]["metrics"] == {"dice": None}, "JSON knows no NaN"
    assert run.events(after=end) == ([], end)


def test_a_half_written_line_is_read_once_it_is_whole(run: RunFolder) -> None:
    run.add("started", pid=1)
    whole = run.events()[1]
    line = json.dumps({"event": "epoch", "epoch": 1}) + "\n"
    with run.events_path.open("a") as file:
        file.write(line[:9])
    assert run.events(after=whole) == ([], whole)
    with run.events_path.open("a") as file:
        file.write(line[9:])
    assert run.events(after=whole)[0] == [{"event": "epoch", "epoch": 1}]


def test_a_line_that_was_cut_off_spoils_no_other(run: RunFolder) -> None:
    run.add("started", pid=1)
    with run.events_path.open("a") as file:
        file.write('{"event": "epo')
    run.add("started", pid=1, resumed=True)
    assert [e.get("resumed") for e in run.events()[0]] == [None, True]


def test_batches_come_at_most_once_a_second(run: RunFolder) -> None:
    for i in range(20):
        run.add("batch", batch=i)
    assert [e["batch"] for e in run.events()[0]] == [0]


def test_the_state_follows_the_events(run: RunFolder) -> None:
    run.add("started", pid=os.getpid())
    assert run.state == "running"
    run.add("finished", reason="stopped")
    assert run.state == "stopped"
    run.add("started", pid=os.getpid(), resumed=True)
    assert run.state == "running"
    run.add("failed", message="no")
    assert run.state == "failed"
    run.add("finished", reason="early")
    assert run.state == "finished"


def test_a_run_whose_process_is_gone_can_be_resumed(run: RunFolder) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.add("started", pid=gone.pid)
    assert run.state == "stopped"
    assert alive(os.getpid())
    assert not alive(0)


def test_a_number_that_is_used_again_is_another_process(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(time, "time", lambda: 1_000_000_000.0)  # long before this process
        run.add("started", pid=os.getpid())
    assert run.state == "stopped"
    run.add("started", pid=os.getpid())
    assert run.state == "running"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no zombies")
def test_a_process_that_nobody_waited_for_runs_no_more() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        ended.stdout.read()  # until it ends
        deadline = time.monotonic() + 10
        while alive(ended.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not alive(ended.pid)


def test_a_stop_is_asked_for_and_forgotten(run: RunFolder) -> None:
    run.request_stop()
    assert run.stop_requested()
    run.clear_stop()
    run.clear_stop()
    assert not run.stop_requested()


def test_a_checkpoint_is_whole_or_the_one_before(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save_checkpoint({"epoch": 1, "weights": torch.ones(3)})

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="can't be written"):
        run.save_checkpoint({"epoch": 2})
    state = run.load_checkpoint()
    assert state is not None
    assert state["epoch"] == 1
    assert not list(run.path.glob(".*partial*"))
    run.checkpoint.write_bytes(b"nonsense")
    with pytest.raises(RunError, match="broken"):
        run.load_checkpoint()


def test_looking_at_a_run_needs_no_torch() -> None:
    code = f"import sys, {run_folder.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
