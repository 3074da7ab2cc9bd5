"""What memory stays when images are closed, with the plugin and without it.

``xvfb-run -a -s "-screen 0 1280x1024x24" python benchmarks/closing_images.py [--plain --pending]``

Opens an image in the real viewer, annotates it, and closes all its layers, again and again; prints
how many of them are still there, and the memory that the process has. With `--plain` napari alone
does the same with layers of its own. Widgets that Qt is to delete later, as napari's controls of a
layer, are deleted before that is looked at, as in a program whose event loop runs; `--pending`
leaves them be, as in a test that runs none.
"""

from __future__ import annotations

import argparse
import gc
import weakref
from typing import Any

import napari
import numpy as np
import psutil
import torch
from large_masks import load, say
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication

from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg.engine import segmenter


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--pending", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter.load_segmenter = load
    viewer: Any = napari.Viewer()
    viewer.window.resize(800, 500)
    controller: Any = None

    def pump() -> None:
        for _ in range(3):
            QApplication.processEvents()
            if not args.pending:
                QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        while controller is not None and not controller.runner.idle:
            QApplication.processEvents()

    if not args.plain:
        _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
        controller = widget.context.controller
        while controller.state.model_status != "ready":
            QApplication.processEvents()
    pixels = np.random.default_rng(0).integers(0, 255, (120, 160)).astype(np.uint8)
    made: list[weakref.ref[Any]] = []
    say("| images | layers still there | memory, MiB |")
    say("|--:|--:|--:|")
    for number in range(1, args.images + 1):
        image = viewer.add_image(pixels.copy())
        if controller is not None:
            controller.set_up(image)
            pump()
            controller._clicked((40.0, 60.0), True)
            pump()
            controller.do(Action.ACCEPT)
        else:
            viewer.add_points(ndim=2).add([3, 3])
            viewer.add_points(ndim=2)
            viewer.add_labels(np.zeros((120, 160), np.uint8))
            viewer.add_labels(np.zeros((120, 160), np.uint16)).paint((40, 60), 2)
        pump()
        made += [weakref.ref(layer) for layer in viewer.layers]
        del image
        viewer.layers.clear()
        pump()
        if number % max(1, args.images // 4) == 0:
            gc.collect()
            there = sum(one() is not None for one in made)
            say(f"| {number} | {there} | {psutil.Process().memory_info().rss / 2**20:.0f} |")
    viewer.close()


if __name__ == "__main__":
    main()
