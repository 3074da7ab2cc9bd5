"""Make the picture of docs/click-training.md: the clicks of a cross-fitting, in napari.

    xvfb-run -a -s "-screen 0 1400x1000x24" .venv/bin/python tools/make_crossfit_screenshots.py \\
        OUT --image 36

OUT is the folder of a cross-fitting whose clicks are placed, as `clickseg crossfit` makes it; it is
only read. The one in docs/ shows breast ultrasound, see click-training.md for settings and source.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from picture_window import PictureWindow

SIZE = (1280, 940)


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--image", type=int, default=0, help="number of the image that is shown")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # Settings and runs of whoever runs this stay as they are.
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["CLICKSEG_HOME"] = folder
        prepare(args.out.resolve(), Path(folder) / "runs" / "breast-ultrasound")
        window = Window("dark")
        look_at_clicks(window, args.image)
        window.picture("crossfit-clicks-dark")
        window.close()


def prepare(out: Path, there: Path) -> None:
    """Put the cross-fitting among the runs, as it was when its clicks were placed."""
    from napari_clickseg.crossfit.editing import begin_copy
    from napari_clickseg.crossfit.folder import CrossfitFolder

    there.parent.mkdir(parents=True)
    begin_copy(CrossfitFolder(out), CrossfitFolder(there))


def look_at_clicks(window: Window, image: int) -> None:
    """Show regions and clicks of an image, with the tool that adds some."""
    widget, viewer = window.widget, window.viewer
    window.press(widget.clicks.show_them)
    window.wait(lambda: widget.context.state.looked is not None)
    widget.clicks.image.value = image
    window.wait(lambda: widget.context.state.looked.index == image)
    window.wait(lambda: not widget.context.state.looked.loading)
    widget._scroll.ensureWidgetVisible(widget.clicks, 0, 8)
    viewer.layers["positive clicks"].mode = "add"


class Window(PictureWindow):
    """A napari window with the Train widget.

    Parameters
    ----------
    theme : str
    """

    def __init__(self, theme: str) -> None:
        super().__init__(theme, SIZE)
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-clickseg", "Train")
        self.widget.main.task.widget.value = "crossfit"
        self.wait(lambda: self.widget.context.state.run.crossfit is not None)


if __name__ == "__main__":
    main()
