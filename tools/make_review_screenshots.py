"""Make the pictures of the Review widget: a real model predicts what the sample project lacks.

    xvfb-run -a -s "-screen 0 1400x1000x24" .venv/bin/python tools/make_review_screenshots.py \\
        [--set epochs=8] [--keep FOLDER]

The project is that of File > Open Sample > A small project of cells, which is generated.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from picture_window import PictureWindow, arguments, own_home, sample_project

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (1280, 940)
SETTINGS = {
    "task": "binary",
    "start": "scratch",
    "encoder": "tu-resnet10t",
    "size": "96",
    "windows": "96",
    "batch": "8",
    "epochs": "8",
    "device": "cpu",
}


def main() -> None:
    """Make all pictures."""
    args = arguments(__doc__).parse_args()
    settings = SETTINGS | dict(text.split("=", 1) for text in args.set)
    with own_home(args.keep) as home:
        project = sample_project()
        train(project, home / "runs" / "cells", settings)
        predict(project)
        for theme in ("dark", "light"):
            show(project, theme)


def train(project: Path, run: Path, settings: dict[str, str]) -> None:
    """Train a model that needs no click, unless that was done before."""
    if (run / "best.safetensors").exists():
        return
    words = [sys.executable, "-m", "napari_clickseg.cli", "train", str(project), "--out", str(run)]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    subprocess.run(words, check=True)


def predict(project: Path) -> None:
    """Predict the rest, unless that was done before.

    In a window of its own: napari's notice that it is done is not to be in the pictures.
    """
    window = Window("dark", project)
    state = window.widget.context.state
    if state.counts.left:
        window.press(window.widget.predict.predict)
        window.wait(lambda: state.predicting.status == "finished", 1800)
        window.wait(lambda: state.counts.left == 0)
    window.close()


def show(project: Path, theme: str, name: str = "review") -> None:
    """Open the most uncertain image; in the dark one is accepted before."""
    window = Window(theme, project)
    state = window.widget.context.state
    window.press(window.widget.next)
    window.wait(lambda: bool(state.current))
    annotate = window.widget._lease.controller
    window.wait(lambda: annotate.state.model_status == "ready", 300)
    if theme == "dark":
        before = state.current
        window.press(window.widget.accept)
        window.wait(lambda: state.current not in ("", before))
    window.rest(2500)
    window.picture(f"{name}-{theme}")
    window.close()


class Window(PictureWindow):
    """A napari window with the Review widget and a project."""

    def __init__(self, theme: str, project: Path) -> None:
        super().__init__(theme, SIZE)
        self.open("Review")
        self.wait(lambda: self.widget.context.controller.looker.idle)
        self.widget.context.controller.choose_project(str(project))
        state = self.widget.context.state
        self.wait(lambda: bool(state.model) and state.counts.total > 0)


if __name__ == "__main__":
    main()
