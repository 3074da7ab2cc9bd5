"""What it costs to accept objects on a slide, beside a photograph, and how much memory many take.

``xvfb-run -a -s "-screen 0 1280x1024x24" python benchmarks/large_masks.py [--many 5000]``
``python benchmarks/large_masks.py --many 5000 --no-window``

Opens the real viewer with the real widget on a photograph of 2,048² pixels and on a slide (a
pyramid of zarr arrays that is read lazily), and accepts objects of 200² pixels on both, in turns:
how long the slot takes, and how long until the window is painted again, as time of the processor
for the window's thread, since waiting for other programs is nobody's cost. Then each is undone and
redone. With `--many`, so many are accepted on the slide, with the memory that the process has
after each tenth of them; with `--no-window` all that is drawn is left out of it. The network is a
stand-in that outlines a square around each click, as what is measured comes after its answer.
Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
import zarr
from gui_latency import Driver
from napari.components import ViewerModel
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from napari_clickseg._napari.annotate.controller import AnnotateController
from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg.engine import segmenter
from napari_clickseg.models.card import ModelCard

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 256  # from one object to the next


class Squares(nn.Module):
    """Outlines a square around each positive click."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits: (N, C, Y, X) in, (N, 1, Y, X) out."""
        return 20 * (max_pool2d(inputs[:, -3:-2], 21, 1, 10) - 0.5)


def load(*_: Any, **__: Any) -> segmenter.Segmenter:
    """Return the stand-in."""
    card = ModelCard.model_validate(
        {
            "name": "squares",
            "architecture": "unet",
            "encoder": "mobilenet_v2",
            "options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]},
            "window": {"size": 64, "first_span": 512},
        }
    )
    return segmenter.Segmenter(Squares(), card, device="cpu")


def slide(side: int) -> list[Any]:
    """Return the levels of a lazy image of `side`² pixels."""
    shape, levels = (side, side), []
    while shape[0] >= 512:
        levels.append(
            zarr.create_array({}, shape=shape, chunks=(512, 512), dtype="uint8", fill_value=90)
        )
        shape = (shape[0] // 2, shape[1] // 2)
    return levels


def timed(driver: Driver, act: Callable[[], object]) -> tuple[float, float]:
    """Return how long a slot takes, and how long until all is painted, in ms."""
    began = time.thread_time()
    act()
    slot = time.thread_time() - began
    driver.app.processEvents()  # paints
    painted = time.thread_time() - began
    driver.wait(lambda: driver.controller.runner.idle)
    driver.app.processEvents()
    return 1000 * slot, 1000 * painted


def accepted(driver: Driver, y: float, x: float) -> dict[str, tuple[float, float]]:
    """Click on an object and accept it; return what that took."""
    driver.look_at(y, x, 1.0)
    driver.timed(lambda: driver.click(y, x))
    driver.rest(0.05)
    return {"accept": timed(driver, lambda: driver.controller.do(Action.ACCEPT))}


def measure(driver: Driver, image: Any, places: np.ndarray) -> dict[str, np.ndarray]:
    """Accept objects, undo them all, and redo them; return slot and painted, in ms, of each."""
    driver.image = image
    driver.controller.set_up(image)
    driver.controller.choose(image)
    driver.rest(0.5)
    took: dict[str, list[tuple[float, float]]] = {"accept": [], "undo": [], "redo": []}
    for y, x in places:
        took["accept"].append(accepted(driver, y, x)["accept"])
    for name in ("undo", "redo"):
        action = Action(name)
        for step in range(2 * len(places)):  # a click and an accept for each
            one = timed(driver, lambda action=action: driver.controller.do(action))
            if step % 2 == (name == "redo"):
                took[name].append(one)
    return {name: np.array(all_) for name, all_ in took.items()}


def places(side: int, count: int) -> np.ndarray:
    """Return middles of objects that don't touch, in a random order."""
    across = (side - 1024) // STEP
    cells = np.random.default_rng(0).choice(across**2, count, replace=False)
    return np.stack(np.divmod(cells, across), 1) * STEP + 512.0


def compare(driver: Driver, side: int, count: int) -> None:
    """Print a table of a photograph and a slide."""
    say("| | accepting: slot, painted | undo | redo |")
    say("|---|--:|--:|--:|")
    for name, data, of in (
        ("photograph, 2,048²", np.full((2048, 2048), 90, np.uint8), 2048),
        (f"slide, {side:,}²", slide(side), side),
    ):
        layer = driver.viewer.add_image(
            data, name=name, contrast_limits=(0, 255), multiscale=isinstance(data, list)
        )
        driver.canvas = driver.viewer.window._qt_viewer.canvas.native
        took = measure(driver, layer, places(of, count))
        cells = [
            ", ".join(f"{value:.1f}" for value in np.median(part[3:], axis=0)) + " ms"
            for part in took.values()
        ]
        say(f"| {name} | {' | '.join(cells)} |")
        driver.viewer.layers.clear()
        driver.rest(0.5)


def many(driver: Driver, side: int, count: int) -> None:
    """Accept so many objects on a slide; print memory and time after each tenth."""
    layer = driver.viewer.add_image(
        slide(side), name="slide", contrast_limits=(0, 255), multiscale=True
    )
    driver.canvas = driver.viewer.window._qt_viewer.canvas.native
    driver.image = layer
    driver.controller.set_up(layer)
    driver.rest(0.5)
    say("\n| objects | memory, MiB | accepting: slot, painted |")
    say("|--:|--:|--:|")
    took = []
    for number, (y, x) in enumerate(places(side, count + 100)):
        driver.look_at(y, x, 1.0)
        driver.timed(lambda y=y, x=x: driver.click(y, x))
        took.append(timed(driver, lambda: driver.controller.do(Action.ACCEPT)))
        if number == 99 or (number >= 100 and (number - 99) % (count // 10) == 0):
            gc.collect()
            slot, painted = np.median(took, axis=0)
            used = psutil.Process().memory_info().rss / 2**20
            say(f"| {number + 1:,} | {used:.0f} | {slot:.1f}, {painted:.1f} ms |")
            took.clear()


def many_without_window(side: int, count: int) -> None:
    """Accept so many objects on a slide that nobody sees; print memory after each tenth."""
    viewer = ViewerModel()
    home = tempfile.TemporaryDirectory()  # nothing is left there of an earlier time
    controller = AnnotateController(viewer, load=load, home=Path(home.name))
    image = viewer.add_image(slide(side), contrast_limits=(0, 255), multiscale=True)
    controller.set_up(image)

    def settle() -> None:
        controller.deliver()
        while not controller.runner.idle:
            time.sleep(0.0005)
            controller.deliver()

    settle()
    say("| objects | memory, MiB | processor, an object |")
    say("|--:|--:|--:|")
    began = time.process_time()
    for number, (y, x) in enumerate(places(side, count), 1):
        controller._clicked((y, x), True)
        settle()
        controller.do(Action.ACCEPT)
        settle()
        if number == 100 or number % (count // 10) == 0:
            controller.autosave.flush()
            gc.collect()
            used = psutil.Process().memory_info().rss / 2**20
            each = 1000 * (time.process_time() - began) / number
            say(f"| {number:,} | {used:.0f} | {each:.0f} ms |")
    controller.close()
    controller.autosave.thread.close()
    home.cleanup()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=14)
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--no-window", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.no_window:
        many_without_window(args.side, args.many)
        return
    segmenter.load_segmenter = load
    driver = Driver()
    if args.many:
        many(driver, args.side, args.many)
    else:
        compare(driver, args.side, args.objects)
    driver.viewer.close()


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
