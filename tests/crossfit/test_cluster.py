"""Cross-fitting with dask.distributed: two workers, one of which is killed."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg.crossfit.crossfitting import crossfit
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.runs.conduct import conducted
from napari_clickseg.runs.spread import ClusterError, compute
from napari_clickseg.training.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.crossfit.spec import CrossfitSpec

    Make = Callable[..., CrossfitSpec]


def test_no_scheduler_is_said_in_a_line(
    project: Path, tmp_path: Path, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_clickseg.runs.spread._PATIENCE", 0.2)
    with pytest.raises(ClusterError, match=r"No dask scheduler answers at 127\.0\.0\.1:9"):
        crossfit(make_spec(project), tmp_path / "out", scheduler="127.0.0.1:9")


def test_without_distributed_it_says_what_to_install(
    project: Path, tmp_path: Path, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"install napari-clickseg\[cluster\]"):
        crossfit(make_spec(project), tmp_path / "out", scheduler="tcp://nowhere:1")
    assert CrossfitFolder(tmp_path / "out").log.state == "failed"


@pytest.mark.slow
def test_two_processes_of_its_own(project: Path, tmp_path: Path, make_spec: Make) -> None:
    folder = CrossfitFolder(tmp_path / "out")
    result = crossfit(make_spec(project, folds=2), folder.path, workers=2, until="clicks")
    assert (result.reason, result.problems) == ("paused", ())
    runs = [folder.run(fold, "baseline") for fold in (1, 2)]
    started = [next(e for e in run.events()[0] if e["event"] == "started") for run in runs]
    assert os.getpid() not in {event["pid"] for event in started}


def tasks_that_die(folder: Path, times: int) -> list[Any]:
    """Two tasks, one of which kills its process so often before it ends."""
    from dask.delayed import delayed

    def work(name: str) -> str:  # local, so that it is sent by value: tests can't be imported there
        with (folder / name).open("a") as file:
            file.write("x")
        if name == "dies" and (folder / name).stat().st_size <= times:
            os.kill(os.getpid(), signal.SIGKILL)
        return name

    return [delayed(work, pure=False)(name) for name in ("lives", "dies")]


def test_where_a_process_is_killed_others_go_on(tmp_path: Path) -> None:
    log = RunFolder(tmp_path)
    assert compute(tasks_that_die(tmp_path, 1), "", 2, log) == ("lives", "dies")
    assert [event["level"] for event in log.events()[0]] == ["warning"]


def test_where_processes_are_killed_again_and_again_it_says_how_to_go_on(tmp_path: Path) -> None:
    log = RunFolder(tmp_path)
    with pytest.raises(ClusterError, match="go on with --resume"), conducted(log, None):
        compute(tasks_that_die(tmp_path, 99), "", 2, log)
    assert [event["event"] for event in log.events()[0]] == ["message", "message", "failed"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # distributed's own, of a worker that is gone
def test_a_killed_worker_loses_nothing_but_its_task(
    project: Path, tmp_path: Path, make_spec: Make
) -> None:
    from distributed import LocalCluster

    folder = CrossfitFolder(tmp_path / "out")
    killed: list[tuple[int, int]] = []

    def kill_a_trainer(event: dict[str, Any]) -> None:
        training = (
            event["event"] == "progress" and event["stage"] == "clicked" and "metrics" in event
        )
        if killed or not training:
            return
        run = folder.run(event["fold"], "clicked")
        pid = next(e["pid"] for e in run.events()[0] if e["event"] == "started")
        assert pid != os.getpid()
        killed.append((event["fold"], pid))
        os.kill(pid, signal.SIGKILL)

    spec = make_spec(project, folds=2, epochs=3, final=False)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_port=0
    ) as cluster:
        result = crossfit(
            spec, folder.path, scheduler=cluster.scheduler_address, on_event=kill_a_trainer
        )
    assert (result.reason, result.problems) == ("done", ())
    [(fold, pid)] = killed

    def starts(run: Any) -> list[int]:
        return [e["pid"] for e in run.events()[0] if e["event"] == "started"]

    again = starts(folder.run(fold, "clicked"))
    assert len(again) == 2 and again[0] == pid != again[1]
    others = [folder.run(3 - fold, "clicked"), folder.run(1, "baseline"), folder.run(2, "baseline")]
    assert [len(starts(run)) for run in others] == [1, 1, 1]
    epochs = [e["epoch"] for e in folder.run(fold, "clicked").events()[0] if e["event"] == "epoch"]
    assert sorted(set(epochs)) == list(range(1, 4))
    assert len(epochs) <= 4  # of its task it lost the epoch it was in
    assert read_card(folder.run(fold, "clicked").model).automatic
