"""One background worker for everything that takes time: the latest wins.

Work is submitted under a key. Of several pieces under one key only the latest is done: one that
waits is replaced, one that runs is told to stop, and a result that comes too late is dropped,
checked once more on the main thread. What the main thread is to do later is posted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_clickseg.util.short_turns import short_turns

Stop = Callable[[], bool]


@dataclass(frozen=True, eq=False, slots=True)
class _Job:
    key: str | None
    generation: int
    work: Callable[[Stop], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    job: _Job
    value: Any = None
    error: Exception | None = None


class Runner:
    """A worker thread with a place for one piece of work under each key.

    Parameters
    ----------
    notify : callable
        Called on the worker thread whenever results wait for `deliver`; it must do nothing but
        have `deliver` called on the main thread.
    superseded : type of Exception
        Raised by work that noticed that it should stop; not an error.
    """

    def __init__(self, notify: Callable[[], None], superseded: type[Exception]) -> None:
        self._notify = notify
        self._superseded = superseded
        self._waiting: OrderedDict[str | _Job, _Job] = OrderedDict()
        self._generations: dict[str, int] = {}
        self._running: _Job | None = None
        self._outcomes: deque[_Outcome] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._last: Callable[[], None] | None = None

    def submit(
        self,
        key: str | None,
        work: Callable[[Stop], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        *,
        gives_way: bool = False,
    ) -> None:
        """Have work done in the background; it replaces what was submitted under its key.

        Parameters
        ----------
        key : str, optional
            Names the kind of work. Without one nothing replaces it, and it can't be cancelled.
        work : callable
            Runs on the worker thread, so it must touch neither layers nor widgets. Is given a
            function that says whether the work has become useless.
        done, failed : callable
            Called by `deliver` with the result or the error.
        gives_way : bool
            Whether it is cancelled as soon as anything else is submitted. It needs a key.
        """
        with self._changed:
            if self._closed:
                return
            for job in self._present():
                if job.gives_way and job.key is not None:
                    self.cancel(job.key)
            if key is None:
                job = _Job(None, 0, work, done, failed)
                self._waiting[job] = job
            else:
                generation = self._generations.get(key, 0) + 1
                self._generations[key] = generation
                self._waiting.pop(key, None)
                self._waiting[key] = _Job(key, generation, work, done, failed, gives_way)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="napari-clickseg", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def post(self, act: Callable[[], object], key: str | None = None) -> None:
        """Have something done later, on the main thread: by `deliver`, in its turn.

        What was submitted before comes first, so what is posted may go by it. May be called on
        any thread.

        Parameters
        ----------
        key : str, optional
            As of work.
        """

        def done(_: None) -> None:
            act()

        self.submit(key, lambda _: None, done, _raise)

    def cancel(self, key: str) -> None:
        """Forget the work under a key; its result, if it still comes, is dropped."""
        with self._changed:
            self._generations[key] = self._generations.get(key, 0) + 1
            self._waiting.pop(key, None)

    @property
    def idle(self) -> bool:
        """Whether no work at all waits, runs, or has a result to be delivered."""
        return not self._present()

    def active(self, key: str) -> bool:
        """Whether work under a key waits, runs, or has a result to be delivered."""
        return any(job.key == key for job in self._present())

    def _present(self) -> list[_Job]:
        with self._changed:
            jobs = [*self._waiting.values(), *(outcome.job for outcome in self._outcomes)]
            if self._running is not None:
                jobs.append(self._running)
            return [job for job in jobs if self._is_current(job)]

    def deliver(self) -> None:
        """Hand waiting results over; to be called on the main thread."""
        try:
            while self._outcomes:
                self._hand_over(self._outcomes.popleft())
        finally:
            if self._outcomes:  # somebody raised: the others must not wait for the next result
                self._notify()

    def _hand_over(self, outcome: _Outcome) -> None:
        with self._changed:
            current = self._is_current(outcome.job)
        if not current:
            return
        if outcome.error is not None:
            outcome.job.failed(outcome.error)
        else:
            outcome.job.done(outcome.value)

    def close(self, last: Callable[[], None] | None = None) -> None:
        """Stop; what runs is told so and its result dropped. Does not wait.

        Parameters
        ----------
        last : callable, optional
            Done on the worker thread when everything else is over, to free what it used.
        """
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._waiting.clear()
            self._generations = {key: n + 1 for key, n in self._generations.items()}
            self._last = last
            started = self._thread is not None
            self._changed.notify()
        self._outcomes.clear()
        if not started and last is not None:
            last()

    def join(self, timeout: float) -> bool:
        """Wait until the thread has ended; return whether it has."""
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _is_current(self, job: _Job) -> bool:
        latest = job.key is None or self._generations.get(job.key) == job.generation
        return not self._closed and latest

    def _next(self) -> _Job | None:
        with self._changed:
            self._running = None
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            _, job = self._waiting.popitem(last=False)
            self._running = job
            return job

    def _run(self) -> None:
        while (job := self._next()) is not None:
            outcome = self._outcome(job)
            if outcome is not None:
                with self._changed:
                    if not self._closed:
                        self._outcomes.append(outcome)
                    self._running = None
                self._notify()
            del job, outcome  # they hold the session and the network
        if self._last is not None:
            self._last()

    def _outcome(self, job: _Job) -> _Outcome | None:
        def stop() -> bool:
            return not self._is_current(job)

        if stop():
            return None
        try:
            with short_turns():
                return _Outcome(job, job.work(stop))
        except self._superseded:
            return None
        except Exception as error:  # noqa: BLE001  (whatever a model raises must reach the user)
            return _Outcome(job, error=error)


def _raise(error: Exception) -> None:
    raise error
