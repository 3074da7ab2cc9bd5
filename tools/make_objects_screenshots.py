"""Make the pictures of finding all objects: a real model learns from the sample project.

    xvfb-run -a -s "-screen 0 1400x1000x24" .venv/bin/python tools/make_objects_screenshots.py \\
        [--set epochs=8] [--keep FOLDER]

The project is that of File > Open Sample > A small project of cells, which is generated.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from make_review_screenshots import SETTINGS, SIZE, predict, show, train
from picture_window import PictureWindow, arguments, own_home, sample_project

if TYPE_CHECKING:
    from pathlib import Path

# It begins with what comes along, and keeps its network.
OWN = {"task": "instances", "start": "nuclei", "encoder": "", "epochs": "8"}
LOWER = 0.03  # seed height at which the cells that touch are told apart


def main() -> None:
    """Make all pictures."""
    args = arguments(__doc__).parse_args()
    settings = SETTINGS | OWN | dict(text.split("=", 1) for text in args.set)
    with own_home(args.keep) as home:
        shutil.rmtree(home / "journals", ignore_errors=True)  # of an earlier call
        project = sample_project()
        train(project, home / "runs" / "cells", settings)
        finding(project, "dark")
        predict(project)
        show(project, "light", "review-objects")


def finding(project: Path, theme: str) -> None:
    """Find all objects of an image that nobody annotated; keep them, and list them."""
    window = PictureWindow(theme, SIZE)
    image = sorted((project / "images").iterdir())[-1]
    window.viewer.open(image, plugin="napari")
    window.open("Annotate")
    widget = window.widget
    window.wait(lambda: widget.images.start.enabled)
    window.press(widget.images.start)
    state = widget.context.state
    window.wait(lambda: state.model_status == "ready", 300)
    for name in ("Classes", "Model"):
        widget.folds[name].collapse(animate=False)
    widget.folds["All objects"].expand(animate=False)
    window.scroll_to(widget.all_objects.widget.native)
    window.press(widget.all_objects.find)
    window.wait(lambda: state.new_objects is not None and not state.finding, 300)
    first = state.new_objects.new
    widget.all_objects.height.value = LOWER  # as the slider's handle does
    window.wait(lambda: not state.new_objects.dividing and state.new_objects.new > first)
    window.viewer.reset_view()
    window.rest(1500)
    window.picture(f"find-all-{theme}")
    window.press(widget.all_objects.keep)
    widget.all_objects.by_score.value = True
    widget.folds["All objects"].collapse(animate=False)
    widget.folds["Object list"].expand(animate=False)
    window.scroll_to(widget.listed)
    window.rest(2500)
    window.picture(f"object-list-{theme}")
    window.close()


if __name__ == "__main__":
    main()
