"""Carrying out work that can be followed, stopped and resumed.

Training, cross-fitting, comparing and predicting all go this way: the file `stop` in the log's
folder, SIGTERM or SIGINT stop them, what failed is in the log, and whoever asks is told each event.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from napari_clickseg.util.files import sweep
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_clickseg.runs.log import EventLog

    Listener = Callable[[dict[str, Any]], object]

_LOOK = 0.3  # seconds between looks at the events
_FORESEEN = (ValueError, OSError, MemoryError, RuntimeError)  # their text says what is wrong


class Stopped(Exception):
    """The work was asked to stop, or nobody wants it any more."""


@contextlib.contextmanager
def conducted(
    log: EventLog | None, on_event: Listener | None = None, *, several: bool = False
) -> Iterator[Callable[[], bool]]:
    """Let signals and a file stop the work, tell its events, and write down why it failed.

    A second signal has its usual effect.

    Parameters
    ----------
    log : EventLog, optional
        Of the work; without one only signals stop it.
    on_event : callable, optional
        Is told each new event.
    several : bool
        Several processes write the log: all of what they write is told, by a thread.

    Yields
    ------
    stop : callable
        Whether the work was asked to stop; safe to call from any thread.
    """
    asked = threading.Event()
    with contextlib.ExitStack() as stack:
        if log is not None:
            if several:
                stack.enter_context(_following(log, on_event))
            else:
                log.listener = on_event
            log.clear_stop()
            sweep(log.path)  # what it was writing when it was killed may be large
        stack.enter_context(_signals(asked, log))
        try:
            yield lambda: asked.is_set() or (log is not None and log.stop_requested())
        except Stopped:
            raise
        except Exception as error:  # whatever it is, whoever looks at the log should know
            if log is not None:
                with contextlib.suppress(OSError):  # where the disk is full, this may not fit
                    log.add("failed", message=one_line(error))
            raise


def began_here(log: EventLog) -> bool:
    """Whether this very process began the work last, and was interrupted."""
    started = [event for event in log.events()[0] if event.get("event") == "started"]
    return bool(started) and started[-1].get("pid") == os.getpid()


def carry_out(work: Callable[[], object], log: EventLog, event: str, **known: Any) -> str:
    """Carry out a part of the work, and write how it goes; the other parts go on if it fails.

    Parameters
    ----------
    event : str
        What the events of such a part are called.
    known
        Further values of these events: which part it is.

    Returns
    -------
    str
        Why it failed; "" where it did not.

    Raises
    ------
    Stopped
        If it was asked to stop.
    """
    since = time.perf_counter()

    def tell(state: str, message: str = "", **more: str) -> None:
        seconds = None if state == "started" else time.perf_counter() - since
        log.add(event, **known, state=state, seconds=seconds, message=message, **more)

    tell("started")
    try:
        work()
    except Stopped:
        tell("stopped")
        raise
    except _FORESEEN as error:
        tell("failed", text := one_line(error))
        return text
    except Exception as error:  # noqa: BLE001  (whatever it is, the other parts go on)
        tell("failed", text := one_line(error, kind=True), traceback=traceback.format_exc())
        return text
    tell("finished")
    return ""


@contextlib.contextmanager
def _following(log: EventLog, on_event: Listener | None) -> Iterator[None]:
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
def _signals(asked: threading.Event, log: EventLog | None) -> Iterator[None]:
    """Have the first SIGTERM or SIGINT ask for the end, as the file `stop` does."""
    before: dict[int, Any] = {}

    def ask(number: int, _: object) -> None:
        asked.set()
        if log is not None:
            with contextlib.suppress(OSError):
                log.request_stop()  # for those of its parts that are other processes
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
