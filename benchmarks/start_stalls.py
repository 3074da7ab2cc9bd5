"""How long napari's window is held while the model loads, from "Annotate" to "ready".

``xvfb-run -a -s "-screen 0 1280x1024x24" python benchmarks/start_stalls.py [--trace FILE]``

A timer of the window rings every 10 ms; what it is late by is a stall. Each run is a process of its
own, as what is imported once is not imported again; the first one only warms the disk's cache up.
``--trace`` writes what all threads were doing whenever the window was held for 100 ms.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import IO, Any

BEAT = 0.010  # seconds
LONG = 0.100  # seconds: a stall that is traced


class Heart:
    """Rings in the window's event loop, and notes how late.

    Parameters
    ----------
    trace : file, optional
        Where stalls are traced.
    """

    def __init__(self, trace: IO[str] | None) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._trace = trace
        self._last: float | None = None
        self.late: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(round(1000 * BEAT))
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Begin."""
        self._last = None
        self._timer.start()

    def stop(self) -> None:
        """End."""
        self._timer.stop()
        faulthandler.cancel_dump_traceback_later()

    def _beat(self) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self.late.append(max(0.0, now - self._last - BEAT))
            if self.late[-1] > LONG and self._trace is not None:
                print(f"--- held for {1000 * self.late[-1]:.0f} ms\n", file=self._trace, flush=True)
        self._last = now
        if self._trace is not None:  # written by a thread that needs no interpreter
            faulthandler.dump_traceback_later(LONG, file=self._trace)


def measure(trace: IO[str] | None) -> dict[str, Any]:
    """Open the widget in a new window, and wait for the model."""
    import napari
    from qtpy.QtTest import QTest

    viewer = napari.Viewer()
    QTest.qWait(2000)  # napari's own first painting is not ours
    heart = Heart(trace)
    began = time.perf_counter()
    _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    QTest.qWait(1)
    opened = time.perf_counter() - began
    heart.start()
    while widget.context.state.model_status == "loading":
        QTest.qWait(20)
    ready = time.perf_counter() - began
    heart.stop()
    status = widget.context.state.model_status
    viewer.close()
    if status != "ready":
        raise SystemExit(widget.context.state.model_text)
    return {"opened": opened, "ready": ready, "late": heart.late}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        with (args.trace or Path("/dev/null")).open("a") as trace:
            print(json.dumps(measure(trace if args.trace else None)))
        return
    command = [sys.executable, __file__, "--here"]
    command += ["--trace", str(args.trace)] if args.trace else []
    print("| run | open | ready | median | longest | over 100 ms | over 300 ms |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for run in range(args.runs + 1):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        times = json.loads(done.stdout.splitlines()[-1])
        late = times["late"]
        print(
            f"| {run or 'cold'} | {times['opened']:.2f} s | {times['ready']:.1f} s "
            f"| {1000 * median(late):.1f} ms | {1000 * max(late):.0f} ms "
            f"| {sum(one > LONG for one in late)} | {sum(one > 0.3 for one in late)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
