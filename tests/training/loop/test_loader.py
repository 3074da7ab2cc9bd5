from __future__ import annotations

import threading
import time

import pytest

from napari_clickseg.training.loop.loader import Prefetch


@pytest.mark.parametrize("threads", [1, 3])
def test_things_come_in_their_order_however_long_they_take(threads: int) -> None:
    def make(number: int) -> int:
        time.sleep(0.01 if number % 3 else 0.0)
        return number

    assert list(Prefetch(make, 20, ahead=5, threads=threads)) == list(range(20))
    assert list(Prefetch(make, 2, ahead=5, threads=threads)) == [0, 1]


def test_things_are_made_ahead_but_not_all_at_once() -> None:
    made: list[int] = []
    several = Prefetch(lambda i: made.append(i) or i, 100, ahead=4, threads=1)
    assert next(iter(several)) == 0
    assert len(made) <= 8


def test_what_goes_wrong_in_a_thread_is_raised_and_no_thread_stays() -> None:
    def make(number: int) -> int:
        if number == 3:
            raise OSError("gone")
        return number

    with pytest.raises(OSError, match="gone"):
        list(Prefetch(make, 10, ahead=2, threads=2))
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("clickseg-windows") for name in names)


def test_waiting_is_measured() -> None:
    slow = Prefetch(lambda i: time.sleep(0.05), 4, ahead=1, threads=1)
    list(slow)
    assert slow.waited > 0.1
