"""Tasks spread over processes, or over the workers of a dask cluster."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg.runs.log import EventLog

ONE_AT_A_TIME = threading.Lock()  # torch's generator is the process's: one training in each
_PATIENCE = 20  # seconds until a scheduler answers
_LOOK = 0.5  # seconds between looks at whether to stop
_POOLS = 3  # of processes of our own: so often all are started anew where one was killed


class ClusterError(ValueError):
    """A cluster, or processes, that can't be worked on; the message says what to do."""


def compute(
    tasks: Sequence[Any], scheduler: str, workers: int, log: EventLog | None = None
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
    log : EventLog, optional
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
    results: tuple[Any, ...] = run(  # type: ignore[no-untyped-call]
        *tasks, scheduler="sync", optimize_graph=False
    )
    return results


def _in_processes(tasks: Sequence[Any], workers: int, log: EventLog | None) -> tuple[Any, ...]:
    from concurrent.futures.process import BrokenProcessPool

    from dask.base import compute as run

    for pool in range(1, _POOLS + 1):
        try:
            # By default six tasks go to one process at once, which then trains one after the other.
            results: tuple[Any, ...] = run(  # type: ignore[no-untyped-call]
                *tasks, scheduler="processes", chunksize=1, num_workers=workers,
                optimize_graph=False,
            )  # fmt: skip
        except BrokenProcessPool:
            if log is not None and pool < _POOLS:
                text = "A process was killed, perhaps for lack of memory; others go on."
                log.add("message", level="warning", text=text)
        else:
            return results
    raise ClusterError(
        "Processes were killed again and again, perhaps for lack of memory; go on with --resume, "
        "with fewer --workers."
    )


def each_on_cluster(
    work: Callable[[str], Any],
    names: Sequence[str],
    address: str,
    *,
    done: Callable[[str, Any], object],
    stop: Callable[[], bool],
) -> None:
    """Have the workers of a cluster do something with each name.

    Where a worker is killed others do what it was at. What one of them raises ends it all.

    Parameters
    ----------
    work : callable
        It can be sent to other processes, which can import it.
    names : sequence of str
        Each once.
    address : str
        Of a dask.distributed scheduler.
    done : callable
        Is given a name and what came of it, in this thread, as it ends; a ClusterError where
        workers died of it again and again.
    stop : callable
        Whether what was not begun is not wanted any more.

    Raises
    ------
    ClusterError
        If the scheduler does not answer.
    """
    with _client(address) as client:
        from distributed import wait

        futures = client.map(work, names, pure=False)
        left = dict(zip(futures, names, strict=True))
        while left and not stop():
            with contextlib.suppress(TimeoutError):
                wait(list(left), timeout=_LOOK, return_when="FIRST_COMPLETED")
            for future in [one for one in left if one.done()]:
                done(left.pop(future), _result(future))
        client.cancel(list(left))


def _result(future: Any) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        return ClusterError("workers died of it again and again, perhaps for lack of memory")


def _on_cluster(tasks: list[Any], address: str) -> tuple[Any, ...]:
    with _client(address) as client:
        from distributed import KilledWorker

        try:
            return tuple(client.gather(client.compute(tasks, optimize_graph=False)))
        except KilledWorker as error:
            raise ClusterError(
                "Workers died again and again, perhaps for lack of memory; go on with --resume "
                "on other workers."
            ) from error


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            "--scheduler needs dask.distributed; install napari-clickseg[cluster]."
        ) from error
    try:
        return Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterError(
            f"No dask scheduler answers at {address}; start one with 'dask scheduler', and "
            "workers with 'dask worker'."
        ) from error
