"""Makes what is learned from next in threads, while the network learns."""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Made = TypeVar("Made")


class Prefetch(Generic[Made]):
    """Goes through things that are made in threads, in their order.

    Parameters
    ----------
    make : callable
        Makes the thing of a number; runs on worker threads. What it makes may depend on the
        number only, so that threads change nothing.
    ahead : int
        How many are made before they are asked for.
    threads : int
        0: as the processor has cores, up to four.
    """

    def __init__(
        self, make: Callable[[int], Made], count: int, *, ahead: int = 16, threads: int = 0
    ) -> None:
        self.make, self.count, self.ahead = make, count, ahead
        self.threads = threads or min(4, len(_cores()))
        self.waited = 0.0  # seconds, so far

    def __iter__(self) -> Iterator[Made]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="clickseg-windows")
        waiting: deque[Future[Made]] = deque()
        numbers = iter(range(self.count))
        try:
            for number in numbers:
                waiting.append(pool.submit(self.make, number))
                if len(waiting) >= self.ahead:
                    yield self._next(waiting)
            while waiting:
                yield self._next(waiting)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _next(self, waiting: deque[Future[Made]]) -> Made:
        since = time.perf_counter()
        made = waiting.popleft().result()
        self.waited += time.perf_counter() - since
        return made


def _cores() -> set[int] | range:
    affinity = getattr(os, "sched_getaffinity", None)
    return affinity(0) if affinity is not None else range(os.cpu_count() or 1)
