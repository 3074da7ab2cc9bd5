"""Count through how many files of the package a gesture passes.

    python tools/trace_gestures.py [--json FILE]

Four gestures are traced in a viewer without a window: the first click on an image, accepting the
object, starting a training, and accepting an image in Review. Counted are the files in which
anything is called, the changes from one file to another along the calls and returns, and how often
the displayed plane is worked out. The widgets' side is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

import napari_clickseg
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = str(Path(napari_clickseg.__file__).parent) + os.sep
PATIENCE = 300  # seconds
POLL = 0.5  # seconds between looks at what goes on
PLANE = "displayed_plane"
NEWS = threading.Event()  # as a widget is told that results wait


@dataclass
class Trace:
    """What a gesture passed: on the main thread, and on the workers."""

    files: int
    changes: int
    worker_files: int
    worker_changes: int
    planes: int


class Tracer:
    """Notes calls within the package while it is entered, each thread by itself.

    Parameters
    ----------
    runners : Runner
        Whose worker threads are looked at, beside this one; they have to be idle.
    """

    def __init__(self, *runners: Any) -> None:
        self.runners = runners
        self.paths: dict[int, list[str]] = {}
        self.planes = 0

    def __enter__(self) -> Self:
        self._profile(self.note)
        return self

    def __exit__(self, *_: object) -> None:
        self._profile(None)

    def _profile(self, function: Any) -> None:
        sys.setprofile(None)
        for runner in self.runners:
            runner.submit("trace", lambda _: sys.setprofile(function), lambda _: None, print)
            while not runner.idle:
                runner.deliver()
                time.sleep(0.01)
        self.paths, self.planes = ({}, 0) if function else (self.paths, self.planes)
        sys.setprofile(function)

    def note(self, frame: Any, event: str, _: Any) -> None:
        if event not in ("call", "return") or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        self.planes += event == "call" and frame.f_code.co_name == PLANE
        own = frame.f_back if event == "return" else frame
        while own is not None and not own.f_code.co_filename.startswith(PACKAGE):
            own = own.f_back  # napari and the like between two of ours
        if own is not None:
            path = self.paths.setdefault(threading.get_ident(), [])
            if not path or path[-1] != own.f_code.co_filename:
                path.append(own.f_code.co_filename)

    def trace(self) -> Trace:
        own = threading.get_ident()
        main = self.paths.get(own, [])
        others = [path for thread, path in self.paths.items() if thread != own]
        return Trace(
            len(set(main)),
            max(0, len(main) - 1),
            len({name for path in others for name in path}),
            sum(len(path) - 1 for path in others),
            self.planes,
        )


def wait(controllers: tuple[Any, ...], until: Callable[[], Any]) -> None:
    """Deliver results until something is so; not counted, but for what is delivered."""
    end = time.monotonic() + PATIENCE
    while not until():
        if time.monotonic() > end:
            raise SystemExit("It took too long.")
        if NEWS.wait(POLL):
            NEWS.clear()
            for controller in controllers:
                controller.deliver()


def project(folder: Path) -> Path:
    """Write a project of four annotated images and three with predictions."""
    from napari_clickseg.data.review import ReviewQueue

    rng, labels = np.random.default_rng(0), np.zeros((60, 80), np.uint8)
    labels[10:30, 10:40] = 1
    writer = ProjectWriter(folder)
    for n in range(4):
        writer.add(f"annotated {n}", rng.integers(0, 255, labels.shape).astype(np.uint8), labels)
    for n in range(3):
        writer.add(f"predicted {n}", rng.integers(0, 255, labels.shape).astype(np.uint8))
        name = f"images/predicted {n}.png"
        ReviewQueue(folder).propose(name, labels, model="m", uncertainty=n / 10)
    return folder


def annotating() -> dict[str, Trace]:
    """Trace the first click on an image, and the accept after it."""
    from napari.components import ViewerModel
    from skimage import data

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.viewer.actions import Action

    controller = AnnotateController(ViewerModel(), notify=NEWS.set)
    image = controller.viewer.add_image(data.coins())
    controller.set_up(image)
    wait((controller,), lambda: controller.segmenter is not None and controller.runner.idle)
    traces: dict[str, Trace] = {}
    with Tracer(controller.runner) as tracer:
        controller._clicked((98.0, 44.0), True)
        wait((controller,), lambda: controller.runner.idle)
    traces["first click"] = tracer.trace()
    with Tracer(controller.runner) as tracer:
        controller.do(Action.ACCEPT)
        wait((controller,), lambda: controller.runner.idle)
    traces["accept"] = tracer.trace()
    controller.close()
    return traces


def training(folder: Path) -> dict[str, Trace]:
    """Trace from the button that starts a training until its first event is shown."""
    from napari.components import ViewerModel

    from napari_clickseg._napari.train.controller import TrainController

    controller = TrainController(ViewerModel(), annotate=lambda _: None, notify=NEWS.set)
    controller.choose_project(str(folder))

    def going() -> bool:
        time.sleep(POLL)
        controller.poll()
        return controller.state.run.status not in ("none", "preparing", "starting")

    with Tracer(controller.runner, controller.reader) as tracer:
        controller.start()
        wait((controller,), going)
    controller.stop()
    wait((controller,), lambda: going() and not controller.state.run.alive)
    controller.close()
    return {"start a training": tracer.trace()}


def reviewing(folder: Path, home: Path) -> dict[str, Trace]:
    """Trace accepting an image in Review, until the next one is open."""
    from napari.components import ViewerModel

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.review.controller import ReviewController
    from napari_clickseg._napari.viewer.actions import Action

    viewer = ViewerModel()
    annotate = AnnotateController(viewer, notify=NEWS.set)
    review = ReviewController(viewer, lambda: annotate, home, notify=NEWS.set)
    both = review, annotate

    def idle() -> bool:
        return all(each.idle for each in (review.runner, review.looker, annotate.runner))

    review.choose_project(str(folder))
    wait(both, lambda: idle() and review.state.queue)
    review.do(Action.NEXT_IMAGE)
    wait(both, lambda: idle() and review.state.current)
    first = review.state.current
    with Tracer(review.runner, review.looker, annotate.runner) as tracer:
        review.do(Action.ACCEPT_IMAGE)
        wait(both, lambda: idle() and review.state.current != first)
    review.close()
    annotate.close()
    return {"accept in Review": tracer.trace()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        os.environ["CLICKSEG_HOME"] = str(home / "home")
        folder = project(home / "project")
        traces = annotating() | reviewing(folder, home) | training(folder)
    print(f"{'':20} {'main thread':>16} {'workers':>16}")
    print(f"{'gesture':20}" + f"{'files':>7} {'changes':>9}" * 2 + f"{'planes worked out':>19}")
    for gesture, trace in traces.items():
        print(
            f"{gesture:20}"
            + "".join(
                f"{n:{w}}" for n, w in zip(asdict(trace).values(), (7, 10, 7, 10, 19), strict=True)
            )
        )
    if args.json:
        figures = {gesture: asdict(trace) for gesture, trace in traces.items()}
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
