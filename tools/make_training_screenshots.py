"""Make the pictures of a training, for the tutorial and docs/finetuning.md: a real one.

    xvfb-run -a -s "-screen 0 1400x1000x24" .venv/bin/python tools/make_training_screenshots.py \\
        --set epochs=8 --set windows=64 [--keep FOLDER]

The images are those of File > Open Sample > A small project of cells, which are generated.
With the default settings this takes as long as a training takes.
"""

from __future__ import annotations

import json
import shutil
from typing import Any

from picture_window import IMAGES, PictureWindow, arguments, own_home

SIZE = (1280, 900)


def main() -> None:
    """Make all pictures."""
    args = arguments(__doc__).parse_args()
    settings = dict(text.split("=", 1) for text in args.set)
    with own_home(args.keep) as home:
        spec = {key: _value(text) for key, text in settings.items()}
        train(Window("dark"), spec)
        show(Window("light"))
        (run,) = (home / "runs").iterdir()
        shutil.copy(run / "curves.png", IMAGES / "run-curves.png")


def train(window: Window, settings: dict[str, Any]) -> None:
    """Check what is open, and train, unless that was done before."""
    state = window.widget.context.state
    state.settings = settings
    if not state.runs:
        check(window)
        window.press(window.widget.run.train)
        window.wait(lambda: len(state.run.curves.loss) > state.run.epochs // 2 > 0, 7200)
        window.scroll_to(window.widget.curves)
        window.picture("train-running-dark")
        window.wait(lambda: not state.run.alive, 7200)
    window.close()


def check(window: Window) -> None:
    """Have the widget say what it found."""
    window.viewer.reset_view()
    window.press(window.widget.source.check)
    window.wait(lambda: window.widget.context.state.check is not None, 300)
    window.picture("train-check-dark")


def show(window: Window) -> None:
    """Show what came of it."""
    state = window.widget.context.state
    window.wait(lambda: bool(state.run.previews))
    print(state.run.status, state.message, state.run.table)
    window.press(window.widget.runs.previews)
    window.wait(lambda: "validation predictions" in window.viewer.layers, 60)
    window.look_at_predictions()
    window.scroll_to(window.widget.helped)
    window.picture("train-done-light")
    window.close()


class Window(PictureWindow):
    """A napari window with the sample project and the Train widget."""

    def __init__(self, theme: str) -> None:
        super().__init__(theme, SIZE)
        self.viewer.open_sample("napari-clickseg", "project")
        self.viewer.dims.set_current_step(0, 0)
        self.open("Train")
        self.wait(lambda: self.widget.context.controller.reader.idle)
        self.wait(lambda: bool(self.widget.context.state.offers))

    def look_at_predictions(self) -> None:
        """Fill the canvas with the predictions."""
        import numpy as np

        for layer in self.viewer.layers:
            layer.visible = layer.name.startswith("validation")
        box = np.asarray(self.viewer.layers["validation images"].extent.world)
        camera, canvas = self.viewer.scene.camera, self.viewer.window._qt_viewer.canvas.native
        camera.center = tuple(box.mean(axis=0))
        camera.zoom = 0.95 * min(
            canvas.height() / (box[1] - box[0])[0], canvas.width() / (box[1] - box[0])[1]
        )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
