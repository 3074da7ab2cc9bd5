"""Cross-fitting from beginning to end, as a dask graph."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.crossfit.begin import begin, begin_from
from napari_clickseg.crossfit.folder import CrossfitFolder, Done
from napari_clickseg.crossfit.spec import CrossfitError
from napari_clickseg.crossfit.stages import is_done, run_stage
from napari_clickseg.runs.conduct import Stopped, conducted
from napari_clickseg.runs.spread import compute

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.crossfit.folder import Stage
    from napari_clickseg.crossfit.spec import CrossfitSpec

Until = Literal["predict", "clicks", "report"]


@dataclass(frozen=True, slots=True)
class CrossfitOutcome:
    """How a cross-fitting ended.

    Parameters
    ----------
    reason : {"done", "stopped", "paused"}
        Paused where it was to go to some stage only.
    model : Path or None
        What to click with; None where there is none (yet).
    problems : tuple of str
        What failed, a line each.
    """

    folder: Path
    reason: Literal["done", "stopped", "paused"]
    model: Path | None
    problems: tuple[str, ...] = ()


def crossfit(
    spec: CrossfitSpec,
    out: os.PathLike[str] | str,
    *,
    baselines: os.PathLike[str] | str | None = None,
    until: Until = "report",
    scheduler: str = "",
    workers: int = 1,
    on_event: Callable[[dict[str, Any]], object] | None = None,
) -> CrossfitOutcome:
    """Click-train a model by cross-fitting.

    Parameters
    ----------
    spec : CrossfitSpec
        What is left open is chosen from the data.
    out : path
        The folder, which must not hold one yet.
    baselines : path, optional
        Another cross-fitting's folder, whose folds, baselines and predictions are taken over.
    until : {"predict", "clicks", "report"}
        Where it pauses, for instance so that clicks can be edited.
    scheduler : str
        Address of a dask.distributed scheduler, whose workers see the same files; "" trains in
        this process, or in processes of its own.
    workers : int
        Stages at the same time, without a scheduler.
    on_event : callable, optional
        Is told each event; runs in a thread of its own.

    Raises
    ------
    ValueError, OSError
        If something is wrong that the user can mend: the message says what, in one line.
    """
    folder = CrossfitFolder(Path(out))
    said = []
    if baselines is not None:
        begin_from(CrossfitFolder(Path(baselines)), spec, folder)
    else:
        said = begin(spec, folder)
    for text in said:
        folder.log.add("message", level="warning", text=text)
    return _carry_out(folder, until, scheduler, workers, on_event, resumed=False)


def go_on(
    out: os.PathLike[str] | str,
    *,
    until: Until = "report",
    scheduler: str = "",
    workers: int = 1,
    on_event: Callable[[dict[str, Any]], object] | None = None,
) -> CrossfitOutcome:
    """Go on with a cross-fitting that was paused, stopped or killed; what is done is kept.

    Parameters
    ----------
    until, scheduler, workers, on_event
        As for `crossfit`.

    Raises
    ------
    CrossfitError
        If there is none, or it goes on in another process.
    ValueError, OSError
        As `crossfit`.
    """
    folder = CrossfitFolder(Path(out))
    _ = folder.spec, folder.rows  # or it says what is missing
    folder.check_idle()
    return _carry_out(folder, until, scheduler, workers, on_event, resumed=True)


def _carry_out(
    folder: CrossfitFolder,
    until: Until,
    scheduler: str,
    workers: int,
    on_event: Callable[[dict[str, Any]], object] | None,
    *,
    resumed: bool,
) -> CrossfitOutcome:
    with conducted(folder.log, on_event, several=True):
        _announce(folder, until, resumed)
        try:
            ended = _compute(folder, until, scheduler, workers)
            result = _result(folder, until, ended)
        except Stopped:
            result = CrossfitOutcome(folder.path, "stopped", None)
        model = None if result.model is None else result.model.name
        folder.log.add("finished", reason=result.reason, model=model)
    return result


def _announce(folder: CrossfitFolder, until: Until, resumed: bool) -> None:
    stages = [
        {"stage": stage, "fold": fold, "done": is_done(folder, stage, fold)}
        for stage, fold, _ in graph(folder, until)
    ]
    rows = folder.rows
    folder.log.begin(
        folds=len(folder.folds), images=len(rows), resumed=resumed,
        stages=stages,
    )  # fmt: skip


Key = tuple["Stage", "int | None"]


def graph(
    folder: CrossfitFolder, until: Until = "report"
) -> list[tuple[Stage, int | None, list[Key]]]:
    """List the stages with those that each needs, which come before it."""
    folds = folder.folds
    tasks: list[tuple[Stage, int | None, list[Key]]] = [("baseline", k, []) for k in folds]
    tasks += [("predict", k, [("baseline", k)]) for k in folds]
    if until == "predict":
        return tasks
    tasks.append(("clicks", None, [("predict", k) for k in folds]))
    if until == "clicks":
        return tasks
    tasks += [("clicked", k, [("clicks", None), ("predict", k)]) for k in folds]
    tasks += [("measure", k, [("clicked", k)]) for k in folds]
    if folder.spec.final:
        tasks.append(("final", None, [("clicks", None)]))
    tasks.append(("report", None, [(stage, fold) for stage, fold, _ in tasks]))
    return tasks


def _compute(
    folder: CrossfitFolder, until: Until, scheduler: str, workers: int
) -> tuple[Done, ...]:
    from dask.delayed import delayed

    path = str(folder.path.resolve())
    made: dict[Key, Any] = {}
    task = delayed(run_stage, pure=False)
    for stage, fold, needs in graph(folder, until):
        name = f"{stage}-{fold}-{os.getpid()}" if fold else f"{stage}-{os.getpid()}"
        before = [made[key] for key in needs]
        made[stage, fold] = task(path, stage, fold, before, dask_key_name=name)
    return compute(list(made.values()), scheduler, workers, folder.log)


def _result(folder: CrossfitFolder, until: Until, ended: tuple[Done, ...]) -> CrossfitOutcome:
    failed = [done for done in ended if done.problem]
    lines = tuple(
        f"{done.stage} of fold {done.fold}: {done.problem}" if done.fold
        else f"{done.stage}: {done.problem}"
        for done in failed
    )  # fmt: skip
    kinds = {done.stage: [d for d in ended if d.stage == done.stage] for done in failed}
    for stage in ("baseline", "predict", "clicks", "clicked", "report"):
        some = kinds.get(stage, [])
        if some and all(done.problem for done in some):
            raise CrossfitError(f"All of it failed: {lines[0]}")
    if until != "report":
        return CrossfitOutcome(folder.path, "paused", None, lines)
    model = folder.model if folder.model.exists() else None
    return CrossfitOutcome(folder.path, "done", model, lines)
