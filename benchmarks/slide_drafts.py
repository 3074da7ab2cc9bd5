"""What it takes to keep what was corrected of a slide, while it is under review.

``python benchmarks/slide_drafts.py [--side 8192]``

Opens the prediction of a black slide in *Review*, without a window, and has the corrections kept as
the widget does now and then: once before anything is done, after an object is painted, and after
nothing. Prints the processor time of each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from large_masks import load, say
from napari.components import ViewerModel

from napari_clickseg._napari.annotate.controller import AnnotateController
from napari_clickseg._napari.review.controller import ReviewController
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192)
    side = parser.parse_args().side
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder, home = Path(place) / "project", Path(place) / "home"
        ProjectWriter(folder).add("slide", np.zeros((side, side), np.uint8))
        labels = np.zeros((side, side), np.uint8)
        labels[100:300, 100:300] = 1
        ReviewQueue(folder).propose("images/slide.png", labels, model="m", uncertainty=0.5)
        annotate = AnnotateController(ViewerModel(), load=load, home=home)
        review = ReviewController(annotate.viewer, lambda: annotate, home)

        def settle() -> None:
            runners = (review.runner, review.looker, annotate.runner)
            while not all(runner.idle for runner in runners):
                review.deliver()
                annotate.deliver()
                time.sleep(0.001)

        for step in (lambda: review.choose_project(str(folder)), review.poll, review.images.next):
            settle()
            step()
        settle()
        image_layers = review.images.image_layers
        assert image_layers is not None, review.state.message

        def paint() -> None:
            rows, columns = np.mgrid[500:700, 500:700].reshape(2, -1)
            image_layers.labels.data_setitem((rows, columns), 2)

        steps: dict[str, Callable[[], object]] = {
            "when it is opened": lambda: None,
            "nothing": lambda: None,
            "an object painted": paint,
            "nothing, then": lambda: None,
        }
        say("| done since it was kept last | processor time of keeping it, s |")
        say("|---|--:|")
        for said, step in steps.items():
            step()
            settle()
            begun = time.process_time()
            review.images.keep()
            settle()
            say(f"| {said} | {time.process_time() - begun:.2f} |")
        review.close()
        annotate.close()


if __name__ == "__main__":
    main()
