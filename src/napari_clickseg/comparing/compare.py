"""A comparison from beginning to end, as a dask graph of trainings."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.comparing.folder import ComparisonFolder
from napari_clickseg.comparing.report import write_report
from napari_clickseg.comparing.spec import ComparisonError
from napari_clickseg.runs.conduct import Stopped, carry_out, conducted
from napari_clickseg.runs.spread import ONE_AT_A_TIME, compute
from napari_clickseg.training.nested import train

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.comparing.spec import ComparisonSpec


@dataclass(frozen=True, slots=True)
class ComparisonOutcome:
    """How a comparison ended.

    Parameters
    ----------
    reason : {"done", "stopped"}
    problems : tuple of str
        What failed, a line each.
    """

    folder: Path
    reason: Literal["done", "stopped"]
    report: Path
    problems: tuple[str, ...] = ()


def compare(
    spec: ComparisonSpec,
    out: os.PathLike[str] | str,
    *,
    skip_unfit: bool = False,
    scheduler: str = "",
    workers: int = 1,
    on_event: Callable[[dict[str, Any]], object] | None = None,
) -> ComparisonOutcome:
    """Train all combinations of some settings on one project, and compare them.

    Parameters
    ----------
    spec : ComparisonSpec
        From `spec.read_comparison_spec`; what is left open is chosen from the data.
    out : path
        The folder, which must not hold anything yet.
    skip_unfit : bool
        Train the others where a combination can't be trained, instead of refusing them all.
    scheduler : str
        Address of a dask.distributed scheduler, whose workers see the same files; "" trains in
        this process, or in processes of its own.
    workers : int
        Trainings at the same time, without a scheduler.
    on_event : callable, optional
        Is told each event; runs in a thread of its own.

    Raises
    ------
    ValueError, OSError
        If something is wrong that the user can mend: the message says what, in one line.
    """
    from napari_clickseg.comparing.begin import begin

    folder = ComparisonFolder(Path(out))
    for text in begin(spec, folder, skip_unfit=skip_unfit):
        folder.log.add("message", level="warning", text=text)
    return _carry_out(ComparisonFolder(folder.path), scheduler, workers, on_event, resumed=False)


def go_on(
    out: os.PathLike[str] | str,
    *,
    scheduler: str = "",
    workers: int = 1,
    on_event: Callable[[dict[str, Any]], object] | None = None,
) -> ComparisonOutcome:
    """Go on with a comparison that was stopped or killed; what is done is kept.

    Trainings that failed are tried again.

    Parameters
    ----------
    scheduler, workers, on_event
        As for `compare`.

    Raises
    ------
    ComparisonError
        If there is none, it goes on in another process, or its split was changed.
    ValueError, OSError
        As `compare`.
    """
    folder = ComparisonFolder(Path(out))
    _ = folder.trials  # or it says what is missing
    folder.check_split()
    folder.check_idle()
    return _carry_out(folder, scheduler, workers, on_event, resumed=True)


def _carry_out(
    folder: ComparisonFolder,
    scheduler: str,
    workers: int,
    on_event: Callable[[dict[str, Any]], object] | None,
    *,
    resumed: bool,
) -> ComparisonOutcome:
    names = [trial.name for trial in folder.trials]
    log = folder.log
    with conducted(log, on_event, several=True):
        log.begin(
            resumed=resumed, workers=workers,
            trials=[{"trial": name, "done": folder.is_done(name)} for name in names],
        )  # fmt: skip
        try:
            problems = _compute(folder, names, scheduler, workers)
            _measure_latencies(folder, names)
        except Stopped:
            write_report(folder)
            log.add("finished", reason="stopped")
            return ComparisonOutcome(folder.path, "stopped", folder.report)
        write_report(folder)
        if all(problems):
            raise ComparisonError(f"All of it failed: {names[0]}: {problems[0]}")
        log.add("finished", reason="done")
    lines = [f"{name}: {text}" for name, text in zip(names, problems, strict=True) if text]
    return ComparisonOutcome(folder.path, "done", folder.report, tuple(lines))


def _compute(
    folder: ComparisonFolder, names: list[str], scheduler: str, workers: int
) -> tuple[str, ...]:
    path = str(folder.path.resolve())
    if not scheduler and workers == 1:
        return tuple(run_trial(path, name) for name in names)
    from dask.delayed import delayed
    from dask.system import CPU_COUNT

    threads = 0 if scheduler else max(1, CPU_COUNT // workers)
    task = delayed(run_trial, pure=False)
    tasks = [task(path, name, threads, dask_key_name=f"{name}-{os.getpid()}") for name in names]
    return compute(tasks, scheduler, workers)


def run_trial(path: str, name: str, threads: int = 0) -> str:
    """Carry a training out and measure it, if that was not done before; in any process.

    Parameters
    ----------
    path : str
        Of the comparison's folder.
    threads : int
        Of torch; 0 leaves them as they are.

    Returns
    -------
    str
        Why it failed, so that the others go on; "" where it did not.

    Raises
    ------
    Stopped
        If it was asked to stop.
    """
    folder = ComparisonFolder(path)
    with ONE_AT_A_TIME:
        if folder.log.stop_requested():
            raise Stopped
        if folder.is_done(name):
            return ""
        work = partial(_train_and_measure, folder, name, threads)
        problem = carry_out(work, folder.log, "trial", trial=name)
        with contextlib.suppress(OSError):  # at the end it is said
            write_report(folder)
        return problem


def _train_and_measure(folder: ComparisonFolder, name: str, threads: int) -> None:
    import torch

    from napari_clickseg.comparing.measure import measure

    if threads:
        torch.set_num_threads(threads)
    run = folder.run(name)
    if not (run.state == "finished" and run.model.exists()):
        tell = partial(folder.log.add, "progress", trial=name, unit="epoch")
        train(folder.training_spec(folder.trial(name)), run, folder.log, tell, name)
    measure(folder, name)
    run.checkpoint.unlink(missing_ok=True)  # as large as several models, and not needed any more


def _measure_latencies(folder: ComparisonFolder, names: list[str]) -> None:
    """Time the networks one after the other, when no training disturbs them."""
    from napari_clickseg.comparing.measure import measure_latency

    for name in names:
        if folder.log.stop_requested():
            raise Stopped
        if folder.is_done(name):
            measure_latency(folder, name)
