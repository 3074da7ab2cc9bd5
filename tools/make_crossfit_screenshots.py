"""Make the picture of docs/click-training.md: the clicks of a cross-fitting, in napari.

    xvfb-run -a -s "-screen 0 1400x1000x24" .venv/bin/python tools/make_crossfit_screenshots.py \\
        --image 0 [--set epochs=2] [--keep FOLDER]

A real cross-fitting of the sample project (File > Open Sample > A small project of cells, which is
generated) runs until its clicks are placed.
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
    "folds": "3",
    "start": "scratch",
    "encoder": "tu-resnet10t",
    "size": "96",
    "windows": "48",
    "batch": "8",
    "epochs": "2",
    "device": "cpu",
}


def main() -> None:
    """Make the picture."""
    parser = arguments(__doc__)
    parser.add_argument("--image", type=int, default=0, help="number of the image that is shown")
    args = parser.parse_args()
    settings = SETTINGS | dict(text.split("=", 1) for text in args.set)
    with own_home(args.keep) as home:
        place_clicks(home / "runs" / "cells", settings)
        window = Window("dark")
        look_at_clicks(window, args.image)
        window.picture("crossfit-clicks-dark")
        window.close()


def place_clicks(out: Path, settings: dict[str, str]) -> None:
    """Cross-fit until the clicks are placed, unless that was done before."""
    if (out / "clicks.json").exists():
        return
    words = [sys.executable, "-m", "napari_clickseg.cli", "crossfit", str(sample_project())]
    words += ["--out", str(out), "--until", "clicks"]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    subprocess.run(words, check=True)


def look_at_clicks(window: Window, image: int) -> None:
    """Show regions and clicks of an image, with the tool that adds some."""
    widget, viewer = window.widget, window.viewer
    window.press(widget.clicks.show_them)
    window.wait(lambda: widget.context.state.looked is not None)
    widget.clicks.image.value = image
    window.wait(lambda: widget.context.state.looked.index == image)
    window.wait(lambda: not widget.context.state.looked.loading)
    window.scroll_to(widget.clicks)
    viewer.layers["positive clicks"].mode = "add"


class Window(PictureWindow):
    """A napari window with the Train widget.

    Parameters
    ----------
    theme : str
    """

    def __init__(self, theme: str) -> None:
        super().__init__(theme, SIZE)
        self.open("Train")
        self.widget.main.task.widget.value = "crossfit"
        self.wait(lambda: getattr(self.widget.context.state.run, "crossfit", None) is not None)


if __name__ == "__main__":
    main()
