"""Long work is stopped, resumed and reported in one way, whatever it is."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg.runs.conduct import Stopped, began_here, carry_out, conducted
from napari_clickseg.runs.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path)


@pytest.fixture
def usual() -> Iterator[list[int]]:
    """A handler that was there before: what it is told."""
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    yield told
    signal.signal(signal.SIGTERM, before)


def kinds(log: EventLog) -> list[str]:
    return [event["event"] for event in log.events()[0]]


def test_the_first_signal_asks_for_the_end_and_the_second_has_its_usual_effect(
    log: EventLog, usual: list[int]
) -> None:
    with conducted(log) as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop() and log.stop_requested() and not usual
        os.kill(os.getpid(), signal.SIGTERM)
        assert usual == [signal.SIGTERM]
    os.kill(os.getpid(), signal.SIGTERM)
    assert len(usual) == 2, "afterwards all is as before"


def test_without_a_log_signals_stop_it_all_the_same(usual: list[int]) -> None:
    with conducted(None) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop() and not usual


def test_a_file_stops_it_and_what_is_resumed_does_not_stop_at_once(log: EventLog) -> None:
    log.request_stop()
    with conducted(log) as stop:
        assert not stop()
        log.request_stop()
        assert stop()


@pytest.mark.parametrize(
    ("error", "says"),
    [(ValueError("choose\nanother"), "choose another"), (ZeroDivisionError(), "ZeroDivisionError")],
)
def test_whatever_it_fails_of_is_in_the_log_in_one_line(
    log: EventLog, error: Exception, says: str
) -> None:
    with pytest.raises(type(error)), conducted(log):
        log.begin()
        raise error
    assert log.events()[0][-1]["message"] == says
    assert log.state == "failed"


def test_to_be_stopped_is_no_failure(log: EventLog) -> None:
    with pytest.raises(Stopped), conducted(log):
        log.begin()
        raise Stopped
    assert kinds(log) == ["started"] and began_here(log)


@pytest.mark.parametrize("several", [False, True])
def test_each_event_is_told(log: EventLog, several: bool) -> None:
    told: list[dict[str, Any]] = []
    with conducted(log, told.append, several=several):
        log.begin()
        EventLog(log.path).add("message", text="of another process")
        log.add("finished", reason="done")
    names = [event["event"] for event in told]
    assert names == (["started", "message", "finished"] if several else ["started", "finished"])


@pytest.mark.parametrize("reason", ["stopped", "paused", "done"])
def test_what_was_stopped_or_paused_can_be_resumed(log: EventLog, reason: str) -> None:
    log.begin()
    assert log.state == "running"
    log.add("finished", reason=reason)
    assert log.state == ("finished" if reason == "done" else "stopped")


def _fail(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def test_a_part_that_fails_says_why_and_lets_the_others_go_on(log: EventLog) -> None:
    assert carry_out(lambda: time.sleep(0), log, "stage", stage="a") == ""
    assert carry_out(_fail(ValueError("no images")), log, "stage", stage="b") == "no images"
    text = carry_out(_fail(KeyError("fold")), log, "stage", stage="c")
    assert text == "KeyError: 'fold'", "nobody foresaw it, so its kind is said"
    ended = [event for event in log.events()[0] if event["state"] != "started"]
    assert [(e["stage"], e["state"], e["message"]) for e in ended] == [
        ("a", "finished", ""), ("b", "failed", "no images"), ("c", "failed", text),
    ]  # fmt: skip
    assert "traceback" in ended[2] and "traceback" not in ended[1]
    with pytest.raises(Stopped):
        carry_out(_fail(Stopped()), log, "stage", stage="d")
    assert log.events()[0][-1]["state"] == "stopped"


def test_in_another_thread_signals_stay_as_they_are(log: EventLog, usual: list[int]) -> None:
    def work() -> None:
        with conducted(log) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            deadline = time.monotonic() + 5
            while not usual and time.monotonic() < deadline:
                time.sleep(0.01)
            asked.append(stop())

    asked: list[bool] = []
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
    assert asked == [False] and usual
