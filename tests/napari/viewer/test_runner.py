"""One worker: the latest wins, nothing old is delivered, nothing is left behind."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from napari_clickseg._napari.viewer.runner import Runner


class Superseded(Exception):
    pass


class Delivered:
    """A runner with what it delivered."""

    def __init__(self) -> None:
        self.rung = threading.Event()
        self.results: list[Any] = []
        self.errors: list[Exception] = []
        self.threads: set[int] = set()
        self.runner = Runner(self.rung.set, Superseded)

    def submit(self, key: str, work: Any) -> None:
        def noted(stop: Any) -> Any:
            self.threads.add(threading.get_ident())
            return work(stop)

        self.runner.submit(key, noted, self.results.append, self.errors.append)

    def settle(self) -> None:
        end = time.monotonic() + 30
        while not self.runner.idle:
            assert time.monotonic() < end
            self.runner.deliver()
            time.sleep(0.001)


@pytest.fixture
def given() -> Any:
    made = Delivered()
    yield made
    made.runner.close()
    assert made.runner.join(30)


def test_work_is_done_elsewhere_and_delivered_here(given: Delivered) -> None:
    given.submit("a", lambda _: 1)
    assert given.rung.wait(30)
    assert given.results == [] and given.runner.active("a")
    given.runner.deliver()
    assert given.results == [1] and not given.runner.active("a") and given.runner.idle
    assert given.threads and threading.get_ident() not in given.threads


def test_of_many_pieces_only_the_first_and_the_last_are_done(given: Delivered) -> None:
    gate, done = threading.Event(), []

    def work(i: int) -> Any:
        def piece(_: Any) -> int:
            gate.wait(30)
            done.append(i)
            return i

        return piece

    given.submit("a", work(0))
    while not given.threads:
        time.sleep(0.001)
    for i in range(1, 50):
        given.submit("a", work(i))
    gate.set()
    given.settle()
    assert done == [0, 49] and given.results == [49]


def test_what_runs_is_told_that_it_became_useless(given: Delivered) -> None:
    started, noticed = threading.Event(), threading.Event()

    def long(stop: Any) -> int:
        started.set()
        while not stop():
            time.sleep(0.001)
        noticed.set()
        raise Superseded

    given.submit("a", long)
    assert started.wait(30)
    given.submit("a", lambda _: 2)
    assert noticed.wait(30)
    given.settle()
    assert given.results == [2] and given.errors == []


def test_a_result_that_waits_is_dropped_when_something_newer_was_asked(
    given: Delivered,
) -> None:
    given.submit("a", lambda _: 1)
    assert given.rung.wait(30)
    given.submit("a", lambda _: 2)
    given.settle()
    assert given.results == [2]


def test_keys_do_not_replace_each_other(given: Delivered) -> None:
    for key in "abc":
        given.submit(key, lambda _, key=key: key)
    given.settle()
    assert given.results == ["a", "b", "c"] and len(given.threads) == 1


def test_what_was_cancelled_is_neither_delivered_nor_active(given: Delivered) -> None:
    """Else one waits for ever for a result that was given up while it was worked on."""
    started, gate = threading.Event(), threading.Event()

    def held(_: Any) -> int:
        started.set()
        gate.wait(30)
        return 1

    given.submit("a", held)
    assert started.wait(30)
    assert given.runner.active("a")
    given.runner.cancel("a")
    assert not given.runner.active("a") and given.runner.idle
    gate.set()
    given.submit("b", lambda _: 2)
    given.settle()
    assert given.results == [2]


def test_an_error_is_delivered_and_the_worker_lives_on(given: Delivered) -> None:
    def fails(_: Any) -> None:
        raise MemoryError("full")

    given.submit("a", fails)
    given.submit("b", lambda _: 2)
    given.settle()
    assert [str(error) for error in given.errors] == ["full"] and given.results == [2]


def test_a_slot_that_raises_does_not_hold_up_the_others() -> None:
    """They are announced again, for the one who delivers knows of no others."""
    rings = []
    runner = Runner(lambda: rings.append(1), Superseded)
    results: list[int] = []

    def raises(_: Any) -> None:
        raise RuntimeError("a slot")

    runner.submit("a", lambda _: 1, raises, raises)
    runner.submit("b", lambda _: 2, results.append, raises)
    while len(rings) < 2:
        time.sleep(0.001)
    with pytest.raises(RuntimeError, match="a slot"):
        runner.deliver()
    assert len(rings) == 3
    runner.deliver()
    assert results == [2]
    runner.close()
    assert runner.join(30)


def test_closing_stops_at_once_and_frees_at_the_end(given: Delivered) -> None:
    started, gate, freed = threading.Event(), threading.Event(), []

    def held(_: Any) -> int:
        started.set()
        gate.wait(30)
        return 1

    given.submit("a", held)
    given.submit("b", lambda _: 2)
    assert started.wait(30)
    given.runner.close(lambda: freed.append(threading.get_ident()))
    given.runner.close(lambda: freed.append(0))  # nothing happens any more
    assert freed == [] and given.runner.idle
    gate.set()
    assert given.runner.join(30)
    assert freed == list(given.threads)
    given.runner.deliver()
    given.submit("c", lambda _: 3)
    assert given.results == [] and given.runner.idle


def test_a_runner_that_never_ran_has_no_thread() -> None:
    freed: list[int] = []
    runner = Runner(lambda: None, Superseded)
    assert runner.join(0) and runner.idle
    runner.close(lambda: freed.append(1))
    assert freed == [1]


def test_no_thread_is_left_that_keeps_what_it_worked_on() -> None:
    """Sessions and networks are given back as soon as their work is done."""
    import gc
    import weakref

    class Network:
        pass

    runner = Runner(lambda: None, Superseded)
    network = Network()
    there = weakref.ref(network)
    runner.submit("a", lambda _, network=network: None, lambda _: None, lambda _: None)
    del network
    end = time.monotonic() + 30
    while not runner.idle:
        runner.deliver()
        assert time.monotonic() < end
    gc.collect()
    assert there() is None
    runner.close()
    assert runner.join(30)


def test_what_is_posted_is_done_on_the_main_thread_after_what_was_submitted_before(
    given: Delivered,
) -> None:
    done: list[tuple[str, int]] = []

    def noted(name: str) -> Any:
        return lambda: done.append((name, threading.get_ident()))

    gate = threading.Event()
    given.submit("a", lambda _: gate.wait(30))
    given.runner.post(noted("first"))
    elsewhere = threading.Thread(target=lambda: given.runner.post(noted("second")))
    elsewhere.start()
    elsewhere.join(30)
    assert done == [] and not given.runner.idle
    gate.set()
    given.settle()
    here = threading.get_ident()
    assert given.results == [True] and done == [("first", here), ("second", here)]


def test_of_what_is_posted_under_a_key_the_latest_is_done_and_none_once_it_is_cancelled(
    given: Delivered,
) -> None:
    done: list[int] = []
    gate = threading.Event()
    given.submit("a", lambda _: gate.wait(30))
    for i in range(3):
        given.runner.post(lambda i=i: done.append(i), "same")
        given.runner.post(lambda i=i: done.append(10 + i))
        given.runner.post(lambda i=i: done.append(20 + i), "never")
    given.runner.cancel("never")
    gate.set()
    given.settle()
    assert sorted(done) == [2, 10, 11, 12]


def test_what_has_no_key_is_replaced_by_nothing(given: Delivered) -> None:
    for i in range(5):
        given.runner.submit(None, lambda _, i=i: i, given.results.append, given.errors.append)
    given.settle()
    assert given.results == [0, 1, 2, 3, 4] and not given.errors
    given.runner.close()
    given.runner.submit(None, lambda _: 5, given.results.append, given.errors.append)
    assert given.runner.idle and len(given.results) == 5


def test_an_error_in_what_is_posted_is_not_swallowed(given: Delivered) -> None:
    def wrong() -> None:
        raise ValueError("a slot that fails")

    given.runner.post(wrong)
    with pytest.raises(ValueError, match="a slot"):
        given.settle()


def test_what_gives_way_ends_as_soon_as_anything_else_is_submitted(given: Delivered) -> None:
    """Whether it waits, runs, or has a result to be delivered."""
    began, go_on = threading.Event(), threading.Event()

    def looked(stop: Any) -> str:
        began.set()
        assert go_on.wait(30)
        if stop():
            raise Superseded
        return "preview"

    def look() -> None:
        given.runner.submit(
            "look", looked, given.results.append, given.errors.append, gives_way=True
        )

    look()
    assert began.wait(30)
    given.submit("a", lambda _: 1)
    look()
    given.runner.post(lambda: given.results.append(2))
    go_on.set()
    given.settle()
    look()
    given.rung.clear()
    assert given.rung.wait(30)
    given.submit("a", lambda _: 3)
    given.settle()
    assert given.results == [1, 2, 3] and given.errors == []
    look()
    given.settle()
    assert given.results[-1] == "preview"
