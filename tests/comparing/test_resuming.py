"""Comparisons that are stopped, killed, or go on in several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_clickseg.comparing import figures
from napari_clickseg.comparing.compare import compare, go_on
from napari_clickseg.comparing.folder import ComparisonFolder
from napari_clickseg.comparing.spec import ComparisonError
from napari_clickseg.models.checkpoint import load_network
from napari_clickseg.training import finetune
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.tables import read_table
from tests.comparing.conftest import started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.comparing.spec import ComparisonSpec

    Make = Callable[..., ComparisonSpec]


@pytest.mark.slow
def test_a_signal_stops_it_after_a_batch_and_it_goes_on(
    project: Path, tmp_path: Path, make_spec: Make
) -> None:
    out = tmp_path / "out"
    added = RunFolder.add

    def add(self: RunFolder, event: str, **values: Any) -> None:
        added(self, event, **values)
        if (event, self.path.name, values.get("epoch")) == ("epoch", "ema=0.5", 1):
            os.kill(os.getpid(), signal.SIGTERM)

    asked = make_spec(project, vary={"ema": [0, 0.5, 0.9]}, epochs=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "add", add)
        result = compare(asked, out)
    folder = ComparisonFolder(out)
    assert result.reason == "stopped"
    assert folder.log.state == "stopped"
    states = [one.state for one in figures.collect(folder)]
    assert states == ["done", "stopped", "waiting"]
    assert "1 of 3 are done" in folder.report.read_text()
    assert len(read_table(folder.run("ema=0.5").path / "metrics.csv")) == 1
    assert go_on(out).problems == ()
    assert [started(folder, f"ema={n}") for n in (0, 0.5, 0.9)] == [1, 2, 1]
    epochs = [e["epoch"] for e in folder.run("ema=0.5").events()[0] if e["event"] == "epoch"]
    assert epochs == [1, 2, 3]


@pytest.mark.slow
def test_two_at_a_time_are_two_processes(project: Path, tmp_path: Path, make_spec: Make) -> None:
    out = tmp_path / "out"
    asked = make_spec(project, vary={"ema": [0, 0.5]}, epochs=4)
    assert compare(asked, out, workers=2).problems == ()
    folder = ComparisonFolder(out)
    begun = [e for n in (0, 0.5) for e in folder.run(f"ema={n}").events()[0]
             if e["event"] == "started"]  # fmt: skip
    assert len({event["pid"] for event in begun} | {os.getpid()}) == 3
    ended = [e["time"] for e in folder.log.events()[0] if e.get("state") == "finished"]
    assert max(event["time"] for event in begun) < min(ended), "both were trained at once"


_CHILD = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from napari_clickseg.comparing.compare import compare
from napari_clickseg.comparing.spec import read_comparison_spec
compare(read_comparison_spec(Path(sys.argv[1])), sys.argv[2])
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.slow
def test_one_that_is_killed_goes_on_where_it_was(
    project: Path, tmp_path: Path, make_spec: Make
) -> None:
    asked = make_spec(project, vary={"ema": [0, 0.5]}, epochs=8)
    (tmp_path / "spec.json").write_text(asked.to_json())
    folder = ComparisonFolder(tmp_path / "out")
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "spec.json"), str(folder.path)]
    child = subprocess.Popen(command)
    deadline = time.monotonic() + 300
    while not any(e["event"] == "epoch" for e in folder.run("ema=0.5").events()[0]):
        assert child.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert folder.log.state == "stopped"
    assert [one.state for one in figures.collect(folder)] == ["done", "stopped"]
    assert go_on(folder.path).problems == ()
    assert [started(folder, f"ema={n}") for n in (0, 0.5)] == [1, 2]
    assert all(one.epochs == 8 for one in figures.collect(folder))
    # What went on is what it would have been without a break.
    whole = finetune.finetune(
        folder.training_spec(folder.trial("ema=0.5")), tmp_path / "whole", compare=False
    )
    assert whole.reason == "done"
    one, other = (load_network(path)[0].state_dict() for path in (
        tmp_path / "whole" / "best.safetensors", folder.run("ema=0.5").model))  # fmt: skip
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_one_that_goes_on_elsewhere_is_left_alone(
    project: Path, tmp_path: Path, make_spec: Make
) -> None:
    from napari_clickseg.comparing.begin import begin

    folder = ComparisonFolder(tmp_path / "out")
    begin(make_spec(project, vary={"ema": [0, 0.5]}), folder)
    folder.log.add("started", pid=os.getppid(), trials=[])
    with pytest.raises(ComparisonError, match="is going on; stop it first"):
        go_on(folder.path)
