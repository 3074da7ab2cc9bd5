"""Threads take short turns while something is worked out, and usual ones afterwards."""

from __future__ import annotations

import sys
import threading

from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.util.short_turns import short_turns


def test_turns_are_short_while_anything_is_worked_out_and_usual_when_all_is_done() -> None:
    usual = sys.getswitchinterval()
    first, second = short_turns(), short_turns()
    first.__enter__()
    second.__enter__()
    assert sys.getswitchinterval() < usual
    first.__exit__(None, None, None)  # in whatever order they end
    assert sys.getswitchinterval() < usual
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == usual


def test_what_a_runner_works_out_has_short_turns_also_where_it_fails() -> None:
    usual, seen, notified = sys.getswitchinterval(), [], threading.Semaphore(0)
    runner = Runner(notified.release, InterruptedError)

    def fails(_: object) -> None:
        seen.append(sys.getswitchinterval())
        raise ValueError

    runner.submit("look", fails, lambda _: None, lambda _: None)
    assert notified.acquire(timeout=30)
    runner.close()
    assert runner.join(30)
    assert seen[0] < usual and sys.getswitchinterval() == usual
