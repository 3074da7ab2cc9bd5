"""Cross-fitting from beginning to end, as a dask graph."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.crossfit.begin import begin, begin_from
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.spec import CrossfitError
from napari_clickseg.crossfit.stages import Done, Stopped, is_done, run_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_clickseg.crossfit.folder import Stage
    from napari_clickseg.crossfit.spec import CrossfitSpec

__all__ = ["Result", "Until", "crossfit", "go_on", "graph"]

Until = Literal["predict", "clicks", "report"]
_LOOK = 0.3  # seconds between looks at the events
_PATIENCE = 20  # seconds until a scheduler answers


@dataclass(frozen=True, slots=True)
class Result:
    """How a cross-fitting ended.

    Parameters
    ----------
    folder : Path
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
) -> Result:
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
    if baselines is not None:
        said = begin_from(CrossfitFolder(Path(baselines)), spec, folder)
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
) -> Result:
    """Go on with a cross-fitting that was paused, stopped or killed; what is done is kept.

    Parameters
    ----------
    out : path
        Its folder.
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
    if folder.state == "running" and not _own(folder):
        raise CrossfitError(f"The cross-fitting in {folder.path} is going on; stop it first.")
    return _carry_out(folder, until, scheduler, workers, on_event, resumed=True)


def _own(folder: CrossfitFolder) -> bool:
    """Whether this very process began it last, and was interrupted."""
    started = [e for e in folder.log.events()[0] if e.get("event") == "started"]
    return started[-1].get("pid") == os.getpid()


def _carry_out(
    folder: CrossfitFolder,
    until: Until,
    scheduler: str,
    workers: int,
    on_event: Callable[[dict[str, Any]], object] | None,
    *,
    resumed: bool,
) -> Result:
    with _following(folder, on_event), _stopping(folder):
        folder.log.clear_stop()
        _announce(folder, until, resumed)
        try:
            ended = _compute(folder, until, scheduler, workers)
            result = _result(folder, until, ended)
        except Stopped:
            result = Result(folder.path, "stopped", None)
        except (ValueError, OSError, MemoryError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            with contextlib.suppress(OSError):
                folder.log.add("failed", message=text)
            raise
        model = None if result.model is None else result.model.name
        folder.log.add("finished", reason=result.reason, model=model)
    return result


def _announce(folder: CrossfitFolder, until: Until, resumed: bool) -> None:
    stages = [
        {"stage": stage, "fold": fold, "done": is_done(folder, stage, fold)}
        for stage, fold, _ in graph(folder, until)
    ]
    rows = folder.rows
    folder.log.add(
        "started", pid=os.getpid(), folds=len(folder.folds), images=len(rows), resumed=resumed,
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
    from dask.base import compute
    from dask.delayed import delayed

    path = str(folder.path.resolve())
    made: dict[Key, Any] = {}
    task = delayed(run_stage, pure=False)
    for stage, fold, needs in graph(folder, until):
        name = f"{stage}-{fold}-{os.getpid()}" if fold else f"{stage}-{os.getpid()}"
        before = [made[key] for key in needs]
        made[stage, fold] = task(path, stage, fold, before, dask_key_name=name)
    if scheduler:
        return _on_cluster(list(made.values()), scheduler)
    way = "sync" if workers == 1 else "processes"
    found: tuple[Done, ...] = compute(  # type: ignore[no-untyped-call]
        *made.values(), scheduler=way, num_workers=workers, optimize_graph=False
    )
    return found


def _on_cluster(tasks: list[Any], address: str) -> tuple[Done, ...]:
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise CrossfitError(
            "--scheduler needs dask.distributed; install napari-clickseg[cluster]."
        ) from error
    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise CrossfitError(
            f"No dask scheduler answers at {address}; start one with 'dask scheduler', and "
            "workers with 'dask worker'."
        ) from error
    with client:
        try:
            return tuple(client.gather(client.compute(tasks, optimize_graph=False)))
        except KilledWorker as error:
            raise CrossfitError(
                "Workers died again and again, perhaps for lack of memory; go on with --resume "
                "on other workers."
            ) from error


def _result(folder: CrossfitFolder, until: Until, ended: tuple[Done, ...]) -> Result:
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
        return Result(folder.path, "paused", None, lines)
    return Result(folder.path, "done", folder.model if folder.model.exists() else None, lines)


@contextlib.contextmanager
def _following(
    folder: CrossfitFolder, on_event: Callable[[dict[str, Any]], object] | None
) -> Iterator[None]:
    """Tell each new event, also those that other processes write."""
    if on_event is None:
        yield
        return
    ended = threading.Event()
    start = folder.log.events()[1] if folder.log.events_path.exists() else 0
    if folder.state == "new":
        start = 0  # what was said at the beginning is news as well

    def follow() -> None:
        offset, last = start, False
        while not last:
            last = ended.wait(_LOOK)
            events, offset = folder.log.events(offset)
            for event in events:
                on_event(event)

    thread = threading.Thread(target=follow, name="clickseg-crossfit-events", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _stopping(folder: CrossfitFolder) -> Iterator[None]:
    """Let SIGTERM and SIGINT end it as the file `stop` does."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda *_: folder.log.request_stop())
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
