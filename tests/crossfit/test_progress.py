from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg._napari.train.crossfit_text import part_text
from napari_clickseg._napari.train.runs import list_runs, reader_of
from napari_clickseg._napari.train.text import status_text
from napari_clickseg.crossfit.progress import CrossfitProgress, CrossfitRun, follow, parts_of
from napari_clickseg.crossfit.reader import resume_arguments
from tests.crossfit.paused import paused

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg.training.progress import RunProgress

STAGES = [("baseline", 1), ("baseline", 2), ("predict", 1), ("predict", 2), ("clicks", None)]
LATER = [("clicked", 1), ("clicked", 2), ("measure", 1), ("measure", 2), ("final", None),
         ("report", None)]  # fmt: skip


def started(stages: list[Any], done: int = 0) -> dict[str, Any]:
    listed = [{"stage": s, "fold": f, "done": n < done} for n, (s, f) in enumerate(stages)]
    return {"event": "started", "time": 100.0, "pid": 1, "stages": listed}


def stage(name: str, fold: int | None, state: str, **more: Any) -> dict[str, Any]:
    return {"event": "stage", "stage": name, "fold": fold, "state": state} | more


def progress(name: str, fold: int, time: float, done: int, **more: Any) -> dict[str, Any]:
    known = {"event": "progress", "stage": name, "fold": fold, "time": time, "done": done}
    return known | {"total": 4, "unit": "epoch"} | more


def after(*events: dict[str, Any]) -> CrossfitRun:
    return follow(CrossfitRun(), events)


def crossfit_of(run: RunProgress) -> CrossfitProgress:
    parts = parts_of(run)
    assert parts is not None
    return parts


def test_the_share_of_a_training_counts_batches() -> None:
    run = after(
        started([*STAGES, *LATER]),
        stage("baseline", 1, "started"),
        progress("baseline", 1, 110.0, 2, batch=5, batches=10),
    )
    parts = crossfit_of(run)
    assert parts.current == ("baseline", 1)
    assert parts.parts["baseline", 1].share == pytest.approx(1.5 / 4)
    assert parts.done == pytest.approx(1.5 / 4 / 5), "of two baselines, two others, a final one"
    assert part_text(parts.parts["baseline", 1]) == "38%"
    assert status_text(run) == "Fold 1 of 2: training the baseline, epoch 2 of 4"


def test_the_time_left_is_what_like_parts_took() -> None:
    run = after(
        started([*STAGES, *LATER]),
        stage("baseline", 1, "started"),
        stage("baseline", 1, "finished", seconds=60.0),
        stage("baseline", 2, "started"),
        progress("baseline", 2, 200.0, 1, batch=0, batches=10),
        progress("baseline", 2, 215.0, 2, batch=0, batches=10),
    )
    assert crossfit_of(run).parts["baseline", 2].seconds == pytest.approx(60)
    assert crossfit_of(run).seconds_left == pytest.approx(45 + 3 * 60)
    until = after(started(STAGES), stage("baseline", 1, "finished", seconds=60.0))
    assert crossfit_of(until).seconds_left == pytest.approx(60)
    assert crossfit_of(until).pauses and not crossfit_of(run).pauses
    assert crossfit_of(after(started(STAGES))).seconds_left is None


def test_a_part_that_was_stopped_goes_on_where_it_was() -> None:
    run = after(
        started(STAGES),
        stage("baseline", 1, "started"),
        progress("baseline", 1, 110.0, 2),
        stage("baseline", 1, "stopped"),
        {"event": "finished", "time": 111.0, "reason": "stopped", "model": None},
    )
    assert run.status == "stopped"
    assert part_text(crossfit_of(run).parts["baseline", 1]) == "(50%)"
    again = follow(run, [started(STAGES), stage("baseline", 1, "started")])
    assert part_text(crossfit_of(again).parts["baseline", 1]) == "50%"


def test_failures_and_what_they_hinder_are_told_apart() -> None:
    run = after(
        started([*STAGES, *LATER]),
        stage("clicked", 2, "failed", message="The loss is NaN."),
        stage("measure", 2, "skipped", message="since clicked of fold 2 failed"),
    )
    parts = crossfit_of(run)
    assert parts.parts["clicked", 2].message == "The loss is NaN."
    assert [part_text(parts.parts[one, 2]) for one in ("clicked", "measure")] == ["✗", "-"]


def test_a_killed_one_has_nothing_going_on() -> None:
    run = after(started(STAGES), stage("baseline", 1, "started"))
    assert crossfit_of(run).halted().current is None


def test_a_paused_one_is_listed_read_and_gone_on_with(tmp_path: Path) -> None:
    folder = paused(tmp_path / "runs" / "lesions", tmp_path / "project")
    (entry,) = list_runs(tmp_path)
    assert (entry.path, entry.status) == (folder.path, "paused")
    run = reader_of(folder.path).look()
    parts = crossfit_of(run)
    assert run.status == "paused" and parts.placed and parts.editable and parts.figures is None
    assert parts.parts["clicks", None].state == "done"
    assert parts.parts["report", None].state == "waiting"
    assert resume_arguments(folder) == ["crossfit", "--resume", "--out", str(folder.path)]
    folder.clicks.unlink()
    assert resume_arguments(folder)[-2:] == ["--until", "clicks"], "it is to pause there again"
    assert "--until" not in resume_arguments(folder, pause=False)
