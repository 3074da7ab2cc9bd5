"""How long a click takes in napari, and how long the window is held meanwhile.

``xvfb-run -a -s "-screen 0 1280x1024x24" python benchmarks/gui_latency.py [--json FILE]``

Opens the real viewer with the real widget on generated images of 512², 4,096² and 30,000² pixels
(the last a multiscale zarr on disk, read lazily), clicks with the mouse, and measures from the
press of the button until the prediction layer has been refreshed. Then objects are begun by each
gesture, and by clicks with and without a preview. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
import zarr
from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_clickseg._napari.viewer.actions import Action

if TYPE_CHECKING:
    from collections.abc import Callable

CELL = 128  # pixels from one generated object to the next
PAUSE = 0.2  # seconds from an answer to the next click: hands are not quicker
LEFT = Qt.MouseButton.LeftButton
DRAWN = {  # with what is held, and its way around the middle of a generated object
    "box": (Qt.KeyboardModifier.NoModifier, np.linspace((-40, -40), (40, 40), 16)),
    "scribble": (
        Qt.KeyboardModifier.ShiftModifier,
        np.stack([np.linspace(-25, 25, 40), 6 * np.sin(np.linspace(0, 6, 40))], 1),
    ),
    "lasso": (
        Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier,
        45 * np.stack([np.sin(np.linspace(0, 6.2, 60)), np.cos(np.linspace(0, 6.2, 60))], 1),
    ),
}
RESTS = (0.1, 0.6)  # seconds that a pointer rests before it clicks


def tile(size: int) -> np.ndarray:
    """Make a square of bright discs on a noisy ground; it can be laid side by side."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    away = np.hypot(y % CELL - CELL / 2, x % CELL - CELL / 2)
    image = 60 + 110 * (away < 38) + rng.normal(0, 12, (size, size))
    return np.clip(image, 0, 255).astype(np.uint8)


def pyramid(folder: Path, side: int) -> list[Any]:
    """Write a multiscale image of `side`² pixels, block by block, and open it lazily."""
    block, levels, factor = tile(1024), [], 1
    while side // factor >= 512:
        n = side // factor
        array = zarr.create_array(
            str(folder / f"{factor}.zarr"), shape=(n, n), chunks=(512, 512), dtype="uint8"
        )
        part = block[factor // 2 :: factor, factor // 2 :: factor]
        while part.shape[0] < 512:
            part = np.tile(part, (2, 2))
        step = part.shape[0]
        for top in range(0, n, step):
            for left in range(0, n, step):
                bottom, right = min(n, top + step), min(n, left + step)
                array[top:bottom, left:right] = part[: bottom - top, : right - left]
        levels.append(array)
        factor *= 2
    return levels


class Driver:
    """A viewer with the widget, clicked on as a hand would."""

    def __init__(self) -> None:
        self.viewer = napari.Viewer(show=True)
        self.app = QApplication.instance()
        for _ in range(50):  # napari's own first painting is not ours
            self.app.processEvents()
            time.sleep(0.02)
        began = time.perf_counter()
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
        self.app.processEvents()
        self.opened = time.perf_counter() - began
        self.controller = self.widget.context.controller
        self.wait(lambda: self.controller.state.model_status == "ready", 180)

    def wait(self, done: Any, seconds: float = 60) -> None:
        """Let the window work until something is true."""
        end = time.perf_counter() + seconds
        while not done():
            if time.perf_counter() > end:
                raise TimeoutError
            self.app.processEvents()
            time.sleep(0.0005)

    def open(self, data: Any, **arguments: Any) -> None:
        """Open an image and set it up."""
        self.image = self.viewer.add_image(data, **arguments)
        self.controller.set_up(self.image)
        self.app.processEvents()
        self.canvas = self.viewer.window._qt_viewer.canvas.native

    def look_at(self, y: float, x: float, zoom: float) -> None:
        """Centre the view on a pixel."""
        camera = self.viewer.scene.camera
        camera.center, camera.zoom = (0, y, x), zoom
        for _ in range(20):
            self.app.processEvents()
            time.sleep(0.01)

    def point(self, y: float, x: float) -> QPoint:
        """Where a pixel is on the canvas."""
        camera = self.viewer.scene.camera
        _, cy, cx = camera.center
        return QPoint(
            round((x - cx) * camera.zoom + self.canvas.width() / 2),
            round((y - cy) * camera.zoom + self.canvas.height() / 2),
        )

    def click(self, y: float, x: float, button: Any = LEFT) -> None:
        """Press and release a button of the mouse over a pixel."""
        QTest.mouseClick(self.canvas, button, Qt.KeyboardModifier.NoModifier, self.point(y, x))

    def rest(self, seconds: float) -> None:
        """Let the window work for a while."""
        end = time.perf_counter() + seconds
        self.wait(lambda: time.perf_counter() > end)

    def move(self, y: float, x: float) -> None:
        """Bring the pointer over a pixel, in a few steps."""
        self.viewer.mouse_over_canvas = True  # as napari notes when a real pointer comes
        for off in (30, 20, 10, 5, 0):
            QTest.mouseMove(self.canvas, self.point(y, x) + QPoint(off, off))
            self.app.processEvents()

    def drag(self, way: np.ndarray, held: Any) -> None:
        """Press the left button over the first pixel of a way, and go along it; don't let go."""
        QTest.mousePress(self.canvas, LEFT, held, self.point(*way[0]))
        for pixel in way[1:]:
            self.go(*pixel, held)

    def go(self, y: float, x: float, held: Any) -> None:
        """Move to a pixel with the left button pressed."""
        at = QPointF(self.point(y, x))
        there = QPointF(self.canvas.mapToGlobal(at.toPoint()))
        event = QMouseEvent(QEvent.Type.MouseMove, at, there, Qt.MouseButton.NoButton, LEFT, held)
        self.app.sendEvent(self.canvas, event)
        self.app.processEvents()

    def release(self, y: float, x: float, held: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Let the left button go over a pixel."""
        QTest.mouseRelease(self.canvas, LEFT, held, self.point(y, x))

    def timed(self, act: Callable[[], object]) -> float:
        """Do something, and return the seconds until the prediction layer is refreshed."""
        shown: list[float] = []
        loop = QEventLoop()  # sleeps until something happens, as napari does; asking would not
        pairing = self.controller.pairing.display
        original = pairing.show

        def show(*arguments: Any) -> None:
            original(*arguments)
            shown.append(time.perf_counter())
            loop.quit()

        pairing.show = show
        began = time.perf_counter()
        act()
        if not shown:
            QTimer.singleShot(60_000, loop.quit)
            loop.exec()
        pairing.show = original
        if not shown:
            raise TimeoutError
        self.wait(lambda: not self.controller.state.busy)
        return shown[-1] - began


def measure(driver: Driver, side: int, objects: int) -> dict[str, float]:
    """Click on objects of the open image: three positive clicks and a negative one on each."""
    network: list[float] = []
    segmenter = driver.controller.segmenter
    look = segmenter.look

    def timed(inputs: Any, sight: Any) -> Any:
        began = time.perf_counter()
        out = look(inputs, sight)
        network.append(time.perf_counter() - began)
        return out

    segmenter.look = timed
    seconds, share = [], []
    rng = np.random.default_rng(1)
    across = side // CELL
    cells = rng.choice(across**2, min(objects + 2, across**2), replace=False)
    for number, cell in enumerate(cells):
        # Never the same clicks twice: those are remembered.
        y, x = np.array(divmod(int(cell), across)) * CELL + CELL / 2 + rng.integers(-6, 7, 2)
        driver.look_at(y, x, 2.0)
        plan = [(0, 0, True), (12, 10, True), (0, 52, False), (-20, 5, True)]
        for dy, dx, positive in plan:
            network.clear()
            button = Qt.MouseButton.LeftButton if positive else Qt.MouseButton.RightButton
            driver.rest(PAUSE)  # the answer before is painted meanwhile
            took = driver.timed(partial(driver.click, y + dy, x + dx, button))
            if number >= 2:  # the first are for warming up
                seconds.append(took)
                share.append(sum(network) / took)
        driver.controller.do(Action.CLEAR)
    segmenter.look = look
    return {
        "median_ms": 1000 * float(np.median(seconds)),
        "p95_ms": 1000 * float(np.percentile(seconds, 95)),
        "network_share": float(np.median(share)),
        "clicks": len(seconds),
    }


def first_gestures(driver: Driver, side: int, objects: int) -> dict[str, list[float]]:
    """Begin objects in turn by each gesture; return how long the answers took, in ms.

    A gesture that is drawn is said when the button is released; a click after a rest, with and
    without a preview, when it is pressed.
    """
    kinds: list[tuple[str, Any]] = [("click", None), *((kind, None) for kind in DRAWN)]
    kinds += [
        (f"click, rested {rest} s, preview {on}", (rest, on))
        for rest in RESTS
        for on in ("off", "on")
    ]
    took: dict[str, list[float]] = {name: [] for name, _ in kinds}
    rng, across, state = np.random.default_rng(3), side // CELL, driver.controller.state
    before = state.previews
    for number, cell in enumerate(rng.permutation(across**2)[: (objects + 1) * len(kinds)]):
        name, rested = kinds[number % len(kinds)]
        state.previews = rested is not None and rested[1] == "on"
        middle = np.array(divmod(int(cell), across)) * CELL + CELL / 2 + rng.integers(-6, 7, 2)
        driver.look_at(*middle, 2.0)
        driver.rest(PAUSE)
        if name in DRAWN:
            modifiers, way = DRAWN[name]
            driver.drag(middle + way, modifiers)
            act = partial(driver.release, *(middle + way[-1]), modifiers)
        else:
            driver.move(*middle)
            driver.rest(PAUSE if rested is None else rested[0])
            act = partial(driver.click, *middle)
        seconds = driver.timed(act)
        if number >= len(kinds):  # the first of each are for warming up
            took[name].append(1000 * seconds)
        driver.controller.do(Action.CLEAR)
        driver.wait(lambda: driver.controller.runner.idle)
    state.previews = before
    return took


def long_scribble(driver: Driver, points: int = 2000) -> dict[str, float]:
    """Draw a scribble of many points; return how long slots of ours held the window, in ms."""
    slots, own = [], []
    tool = driver.controller.tool
    dragged = tool._dragged

    def watched(*arguments: Any) -> None:
        began, busy = time.perf_counter(), time.thread_time()
        dragged(*arguments)
        slots.append(1000 * (time.perf_counter() - began))
        own.append(1000 * (time.thread_time() - busy))

    tool._dragged = watched
    driver.look_at(256, 256, 1.5)
    turns = np.linspace(0, 60, points)
    way = np.stack([256 + 3 * turns * np.sin(turns), 256 + 3 * turns * np.cos(turns)], 1)
    held = Qt.KeyboardModifier.ShiftModifier
    driver.drag(way[:2], held)
    for pixel in itertools.cycle(way):  # napari skips moves that come before it has painted
        driver.go(*pixel, held)
        drawn = driver.controller.state.drawing
        if drawn is not None and len(drawn.points) >= points:
            break
    driver.timed(partial(driver.release, *pixel, held))
    del tool._dragged
    driver.controller.do(Action.CLEAR)
    return {
        "points": points,
        "slots_max_ms": max(slots),
        "slots_cpu_max_ms": max(own),
        "slots_median_ms": float(np.median(slots)),
    }


def held(driver: Driver, *, slow: float) -> dict[str, float]:
    """Make 200 quick clicks; return how long slots of ours held the window at the most, ms."""
    controller, ours, own, gaps = driver.controller, [], [], []
    segmenter = controller.segmenter
    look = segmenter.look
    if slow:
        segmenter.look = lambda *asked: (time.sleep(slow), look(*asked))[1]

    def watched(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            began, busy = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments)
            finally:
                ours.append(time.perf_counter() - began)
                own.append(time.thread_time() - busy)

        return call

    clicked, runner = controller.tool.clicked, controller.runner
    click, deliver = watched(controller._clicked), runner.deliver
    clicked.disconnect(controller._clicked)
    clicked.connect(click)
    runner.deliver = watched(deliver)
    last = [time.perf_counter()]

    def beat() -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(0)
    rng = np.random.default_rng(2)
    driver.look_at(256, 256, 1.5)
    for number in range(200):
        y, x = 256 + rng.uniform(-150, 150, 2)
        left = number % 3 != 2
        driver.click(y, x, Qt.MouseButton.LeftButton if left else Qt.MouseButton.RightButton)
        end = time.perf_counter() + 0.02
        while time.perf_counter() < end:
            driver.app.processEvents()
            time.sleep(0.0005)
    driver.wait(lambda: not controller.state.busy, 300)
    timer.stop()
    clicked.disconnect(click)
    clicked.connect(controller._clicked)
    runner.deliver = deliver
    segmenter.look = look
    controller.do(Action.CLEAR)
    return {
        "slots_max_ms": 1000 * max(ours),
        "slots_cpu_max_ms": 1000 * max(own),
        "slots_p95_ms": 1000 * float(np.percentile(ours, 95)),
        "loop_p95_ms": 1000 * float(np.percentile(gaps, 95)),
        "loop_max_ms": 1000 * max(gaps),
    }


def memory() -> float:
    """Return the resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure_clicks(driver: Driver, objects: int) -> dict[str, Any]:
    """Click on images of all sizes, and quickly on one."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for side in (512, 4096, 30_000):
            data = tile(512 if side == 512 else 1024)
            if side == 4096:
                data = np.tile(data, (4, 4))
            if side == 30_000:
                data = pyramid(Path(folder), side)
            driver.viewer.layers.clear()
            before = memory()
            driver.open(data, **({"multiscale": True} if side == 30_000 else {}))
            results[str(side)] = measure(driver, side, objects)
            results[str(side)]["memory_mib"] = memory() - before
            print(side, results[str(side)], file=sys.stderr)
        for name, slow in (("held", 0.0), ("held_slow_model", 0.3)):
            driver.viewer.layers.clear()
            driver.open(tile(512))
            results[name] = held(driver, slow=slow)
    return results


def measure_gestures(driver: Driver, objects: int) -> dict[str, Any]:
    """Begin objects by each gesture, and draw a long scribble."""
    driver.viewer.layers.clear()
    driver.open(np.tile(tile(1024), (4, 4)))
    first = first_gestures(driver, 4096, objects)
    driver.viewer.layers.clear()
    driver.open(tile(512))
    return {"first": first, "long_scribble": long_scribble(driver)}


def print_clicks(results: dict[str, Any]) -> None:
    """Print what was measured of clicks."""
    print("| image | median | p95 | network's share | memory above before |")
    print("|---|---|---|---|---|")
    for side in (512, 4096, 30_000):
        r = results[str(side)]
        print(
            f"| {side:,}² | {r['median_ms']:.0f} ms | {r['p95_ms']:.0f} ms "
            f"| {r['network_share']:.0%} | {r['memory_mib']:.0f} MiB |"
        )
    print(
        "\n| 200 quick clicks | our slots, longest | its processor time | p95 "
        "| whole event loop, p95 | longest |"
    )
    print("|---|---|---|---|---|---|")
    for name in ("held", "held_slow_model"):
        r = results[name]
        print(
            f"| {name.replace('_', ' ')} | {r['slots_max_ms']:.1f} ms | "
            f"{r['slots_cpu_max_ms']:.1f} ms | "
            f"{r['slots_p95_ms']:.1f} ms | {r['loop_p95_ms']:.0f} ms | "
            f"{r['loop_max_ms']:.0f} ms |"
        )


def print_gestures(results: dict[str, Any]) -> None:
    """Print what was measured of gestures, beside a click in the same run."""
    click = float(np.median(results["first"]["click"]))
    print("| an object's first gesture | median | p95 | median, in clicks |")
    print("|---|--:|--:|--:|")
    for name, took in results["first"].items():
        median, late = np.percentile(took, (50, 95))
        print(f"| {name} | {median:.0f} ms | {late:.0f} ms | {median / click:.2f} |")
    r = results["long_scribble"]
    print(
        f"\nA scribble of {r['points']} points: our slots {r['slots_median_ms']:.1f} ms "
        f"(median), {r['slots_max_ms']:.1f} ms (longest), {r['slots_cpu_max_ms']:.1f} ms of the "
        "processor."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--objects", type=int, default=14, help="objects on each image")
    parser.add_argument("--part", choices=("clicks", "gestures"), help="measure only this")
    args = parser.parse_args()
    driver = Driver()
    results: dict[str, Any] = {"widget_open_ms": 1000 * driver.opened}
    if args.part != "gestures":
        results |= measure_clicks(driver, args.objects)
        print_clicks(results)
    if args.part != "clicks":
        results |= measure_gestures(driver, args.objects)
        print_gestures(results)
    print(f"\nWidget open to usable: {results['widget_open_ms']:.0f} ms")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")
    driver.widget.close()
    driver.viewer.close()


if __name__ == "__main__":
    main()
