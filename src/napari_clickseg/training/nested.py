"""Several trainings that belong together: gone on with, followed, stopped, spread over processes.

Cross-fittings and comparisons are made of them. Their folder has a log, which is written and read
as a run's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_clickseg.training.run_folder import RunFolder
    from napari_clickseg.training.spec import TrainingSpec

__all__ = [
    "ONE_AT_A_TIME",
    "ClusterError",
    "Stopped",
    "began_here",
    "compute",
    "conducted",
    "train",
]

ONE_AT_A_TIME = threading.Lock()  # torch's generator is the process's: one training in each
_LOOK = 0.3  # seconds between looks at the events
_PATIENCE = 20  # seconds until a scheduler answers
_POOLS = 3  # of processes of our own: so often all are started anew where one was killed


class Stopped(Exception):
    """The work was asked to stop, and can be gone on with."""


class ClusterError(ValueError):
    """A cluster, or processes, that can't be worked on; the message says what to do."""


def train(
    spec: TrainingSpec,
    run: RunFolder,
    log: RunFolder,
    tell: Callable[..., object],
    where: str,
) -> None:
    """Train, or go on with what was stopped or killed; one of several trainings.

    Parameters
    ----------
    spec : TrainingSpec
        What is left open is chosen from the data.
    run : RunFolder
        The training's.
    log : RunFolder
        Of all of them; where that is asked to stop, so is the training.
    tell : callable
        Is told done, total and what else is known of each batch and round, as named arguments.
    where : str
        Stands before what the training says.

    Raises
    ------
    Stopped
        If it was asked to stop.
    ValueError, OSError
        As `finetune.finetune`.
    """
    from napari_clickseg.training.finetune import finetune, resume

    epochs = 0
    known = {event["text"] for event in log.events()[0] if event["event"] == "message"}

    def listen(event: dict[str, Any]) -> None:
        nonlocal epochs
        if log.stop_requested():
            run.request_stop()
        match event["event"]:
            case "started":
                epochs = event["epochs"]
            case "message" if event["text"] not in known:  # what is so of all was said
                log.add("message", level=event["level"], text=f"{where}: {event['text']}")
            case "batch" | "epoch":
                more = {k: event[k] for k in ("batch", "batches", "metrics") if k in event}
                tell(done=event["epoch"], total=epochs, **more)

    if run.state == "new" and not run.checkpoint.exists():
        outcome = finetune(spec, run.path, on_event=listen, compare=False)
    else:
        run.write_spec(spec)  # folders may have been moved
        outcome = resume(run.path, on_event=listen, compare=False, alone=True)
    if outcome.reason == "stopped":
        raise Stopped


@contextlib.contextmanager
def conducted(
    log: RunFolder, on_event: Callable[[dict[str, Any]], object] | None
) -> Iterator[None]:
    """Let signals stop the work, tell its events, and write down why it failed.

    Parameters
    ----------
    log : RunFolder
        Of all of the work; SIGTERM and SIGINT ask it to stop, as the file `stop` does.
    on_event : callable, optional
        Is told each new event, those of other processes too; runs in a thread of its own.
    """
    with _following(log, on_event), _stopping(log):
        log.clear_stop()
        try:
            yield
        except (ValueError, OSError, MemoryError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            with contextlib.suppress(OSError):  # where the disk is full, this may not fit either
                log.add("failed", message=text)
            raise


def began_here(log: RunFolder) -> bool:
    """Whether this very process began the work last, and was interrupted."""
    started = [event for event in log.events()[0] if event.get("event") == "started"]
    return bool(started) and started[-1].get("pid") == os.getpid()


def compute(
    tasks: Sequence[Any], scheduler: str, workers: int, log: RunFolder | None = None
) -> tuple[Any, ...]:
    """Run the tasks of a dask graph.

    Parameters
    ----------
    tasks : sequence of Delayed
        dask's. Where a process is killed they are begun anew, so each goes on where it was.
    scheduler : str
        Address of a dask.distributed scheduler, whose workers see the same files; "" runs them
        in this process, or in processes of its own.
    workers : int
        Tasks at the same time, without a scheduler.
    log : RunFolder, optional
        Is told that a process was killed.

    Returns
    -------
    tuple
        What each of them returns.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or its workers, or processes of our own, die.
    """
    if scheduler:
        return _on_cluster(list(tasks), scheduler)
    from dask.base import compute as run

    if workers > 1:
        return _in_processes(tasks, workers, log)
    found: tuple[Any, ...] = run(  # type: ignore[no-untyped-call]
        *tasks, scheduler="sync", optimize_graph=False
    )
    return found


def _in_processes(tasks: Sequence[Any], workers: int, log: RunFolder | None) -> tuple[Any, ...]:
    from concurrent.futures.process import BrokenProcessPool

    from dask.base import compute as run

    for pool in range(1, _POOLS + 1):
        try:
            # By default six tasks go to one process at once, which then trains one after the other.
            found: tuple[Any, ...] = run(  # type: ignore[no-untyped-call]
                *tasks, scheduler="processes", chunksize=1, num_workers=workers,
                optimize_graph=False,
            )  # fmt: skip
        except BrokenProcessPool:
            if log is not None and pool < _POOLS:
                text = "A process was killed, perhaps for lack of memory; others go on."
                log.add("message", level="warning", text=text)
        else:
            return found
    raise ClusterError(
        "Processes were killed again and again, perhaps for lack of memory; go on with --resume, "
        "with fewer --workers."
    )


def _on_cluster(tasks: list[Any], address: str) -> tuple[Any, ...]:
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise ClusterError(
            "--scheduler needs dask.distributed; install napari-clickseg[cluster]."
        ) from error
    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterError(
            f"No dask scheduler answers at {address}; start one with 'dask scheduler', and "
            "workers with 'dask worker'."
        ) from error
    with client:
        try:
            return tuple(client.gather(client.compute(tasks, optimize_graph=False)))
        except KilledWorker as error:
            raise ClusterError(
                "Workers died again and again, perhaps for lack of memory; go on with --resume "
                "on other workers."
            ) from error


@contextlib.contextmanager
def _following(
    log: RunFolder, on_event: Callable[[dict[str, Any]], object] | None
) -> Iterator[None]:
    """Tell each new event, also those that other processes write."""
    if on_event is None:
        yield
        return
    ended = threading.Event()
    start = log.events()[1]
    if log.state == "new":
        start = 0  # what was said at the beginning is news as well

    def follow() -> None:
        offset, last = start, False
        while not last:
            last = ended.wait(_LOOK)
            events, offset = log.events(offset)
            for event in events:
                on_event(event)

    thread = threading.Thread(target=follow, name="clickseg-events", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _stopping(log: RunFolder) -> Iterator[None]:
    """Let SIGTERM and SIGINT end it as the file `stop` does."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda *_: log.request_stop())
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
