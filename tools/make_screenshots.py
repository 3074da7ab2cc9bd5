"""Make the pictures of README and docs: the real program on scikit-image's own images.

    xvfb-run -a -s "-screen 0 1400x1000x24" .venv/bin/python tools/make_screenshots.py [NAME ...]

Names are those of the functions below: without one, all pictures are made.
Every object is segmented by simulated clicks of the mouse, as somebody would who knows where it
is: first on its middle, then on the worst error.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_clickseg._qt.demo.stage import Stage

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = (1280, 860)
TALL = (1280, 960)  # where groups are open
COINS = 6  # are accepted before the picture is taken
CLICKS = 4


def main() -> None:
    """Make all pictures, or some."""
    made = {
        each.__name__: each
        for each in (
            *(annotating, correcting, stack, explaining, crosshair, files),
            *(folder, recovering, sharing),
        )
    }
    # Settings and unsaved work of whoever runs this stay as they are.
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_CONFIG"] = str(Path(home) / "settings.yaml")
        os.environ["CLICKSEG_HOME"] = home
        for name in sys.argv[1:] or made:
            made[name]()


def annotating() -> None:
    """Some coins accepted, one being made, the groups folded."""
    for theme in ("dark", "light"):
        stage = opened("coins", theme)
        accept_coins(stage, COINS)
        segment(stage, coins()[COINS])
        stage.picture(IMAGES / f"annotate-{theme}.png")
        stage.close()


def correcting() -> None:
    """A photograph; the prediction as a contour, with the groups that change it open."""
    stage = opened("astronaut", "dark", TALL)
    stage.state.shown = "contour"
    stage.click(110, 220)
    stage.click(60, 225)
    stage.click(330, 100, positive=False)
    stage.widget.folds["Classes"].collapse(animate=False)
    for name in ("Look", "Mask"):
        stage.widget.folds[name].expand(animate=False)
    stage.picture(IMAGES / "correct.png")
    stage.close()


def stack() -> None:
    """Cells over time, one carried on through the planes."""
    stage = opened("time_lapse", "dark", TALL)
    stage.state.shown = "fill"
    image: Any = stage.state.image
    plane = np.asarray(image.data[stage.viewer.dims.current_step[0]], float)
    middle = ndimage.gaussian_filter(plane, 8)[64:192, 64:192]
    row, column = np.unravel_index(int(middle.argmax()), middle.shape)
    stage.click(float(row) + 64, float(column) + 64)
    stage.widget.folds["Classes"].collapse(animate=False)
    stage.widget.folds["Stack"].expand(animate=False)
    show(stage, stage.widget.stack)
    for _ in range(2):
        stage.press(stage.widget.stack.next)
        stage.rest(100)
        stage.wait(lambda: not stage.state.busy)
    stage.picture(IMAGES / "stack.png")
    stage.close()


def explaining() -> None:
    """A head, and where the decoder speaks for it."""
    from napari_clickseg._napari.viewer.private import open_widget

    stage = opened("astronaut", "dark")
    stage.state.shown = "contour"
    stage.click(110, 220)
    explain = open_widget(stage.viewer, "Explain")
    stage.rest(300)
    for place in ("encoder, deepest", "decoder"):
        explain.place.value = place
        stage.press(explain.heat_map)
        stage.wait(lambda: not explain.state.busy)
    stage.picture(IMAGES / "explain-dark.png")
    stage.close()


def crosshair() -> None:
    """A coin clicked on by keys alone, and what the next click would outline."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    stage = opened("coins", "light")
    canvas = stage.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    shift = Qt.KeyboardModifier.ShiftModifier
    for key, held, times in (
        *((Qt.Key.Key_Q, True, 1), (Qt.Key.Key_Down, True, 1), (Qt.Key.Key_Down, False, 6)),
        *((Qt.Key.Key_Right, False, 8), (Qt.Key.Key_Return, False, 1), (Qt.Key.Key_G, False, 1)),
        *((Qt.Key.Key_Right, True, 2), (Qt.Key.Key_Right, False, 3)),
    ):
        for _ in range(times):
            QTest.keyClick(canvas, key, shift if held else Qt.KeyboardModifier.NoModifier)
            stage.rest(100)
        stage.wait(lambda: stage.widget.context.controller.runner.idle)
    stage.wait(lambda: stage.state.preview is not None)
    stage.picture(IMAGES / "crosshair-light.png")
    stage.close()


def files() -> None:
    """The widget that takes everything out and in, beside what it would take out."""
    from napari_clickseg._napari.viewer.private import open_widget

    stage = opened("coins", "light")
    accept_coins(stage, 3)
    widget = open_widget(stage.viewer, "Files")
    for fold in widget.folds.values():
        fold.expand(animate=False)
    stage.rest(300)
    stage.picture(IMAGES / "files-light.png")
    stage.close()


def folder() -> None:
    """A project gone through image by image: its list, and the image that is open."""
    from picture_window import PictureWindow, sample_project

    project = sample_project()
    window = PictureWindow("dark", SIZE)
    window.open("Annotate")
    widget = window.widget
    widget.folds["Folder"].expand(animate=False)
    state = widget.folder._state
    widget.folder._folder.open_folder(str(project))
    window.wait(lambda: bool(state.rows) and not state.busy)
    window.press(widget.folder.next)
    window.wait(lambda: bool(state.current) and not state.busy)
    window.wait(lambda: widget.context.state.model_status == "ready", 300)
    window.viewer.reset_view()
    window.rest(1500)
    window.picture("folder-dark")
    window.close()


def recovering() -> None:
    """What is offered where napari ended before anything was saved."""
    from napari_clickseg._qt.demo.stage import Stage

    stage = opened("coins", "light")
    accept_coins(stage, 5)
    stage.rest(2500)  # by then it is on the disk
    stage.close()
    stage = Stage("coins", SIZE)
    stage.wait_for_the_model()
    stage.picture(IMAGES / "recovery-light.png")
    stage.close()


def sharing() -> None:
    """What is asked when a model's file is dropped on the window."""
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent
    from qtpy.QtWidgets import QApplication

    from napari_clickseg._qt.formats.model_dialog import ModelDialog
    from napari_clickseg.models.registry import find_model

    os.environ["CLICKSEG_MODELS"] = str(Path(os.environ["CLICKSEG_HOME"]) / "models")
    stage = opened("coins", "dark")
    path = Path(os.environ["CLICKSEG_HOME"]) / "nuclei-of-a-colleague.safetensors"
    shutil.copy(find_model("nuclei").path, path)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(stage.window.rect().center()), Qt.DropAction.CopyAction, data,
        Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    stage.window._qt_viewer.dropEvent(event)
    stage.rest(500)
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ModelDialog))
    dialog.grab().save(str(IMAGES / "add-model-dark.png"))
    dialog.reject()
    stage.close()


def show(stage: Stage, form: Any) -> None:
    """Scroll the widget until all of a form is seen."""
    stage.rest(300)
    stage.widget._scroll.ensureWidgetVisible(form.widget.native, 0, 8)
    stage.rest(100)


def accept_coins(stage: Stage, count: int) -> None:
    """Segment some coins and accept them."""
    for truth in coins()[:count]:
        segment(stage, truth)
        stage.press(stage.widget.objects.accept)
        stage.rest(200)


def opened(sample: str, theme: str, size: tuple[int, int] = SIZE) -> Stage:
    """Open a sample with the widget, and wait for the model."""
    from napari.settings import get_settings

    from napari_clickseg._qt.demo.stage import Stage

    get_settings().appearance.theme = theme
    # In a place of its own: what one picture left unsaved is not to be offered in the next.
    os.environ["CLICKSEG_HOME"] = tempfile.mkdtemp(dir=os.environ["CLICKSEG_HOME"])
    stage = Stage(sample, size)
    if not stage.wait_for_the_model():
        raise SystemExit(stage.state.model_text)
    return stage


def coins() -> list[npt.NDArray[np.bool_]]:
    """List the coins, the large ones first."""
    from napari_clickseg._napari.project.samples import coin_regions
    from napari_clickseg._napari.project.samples import coins as sample

    regions = coin_regions(sample()[0][0])
    masks = [regions == value for value in np.unique(regions) if value]
    return sorted(masks, key=lambda mask: -int(mask.sum()))


def segment(stage: Stage, truth: npt.NDArray[np.bool_]) -> None:
    """Click on an object until it is good, or four times."""
    from napari_clickseg.core.oracle import next_click
    from napari_clickseg.evaluation.metrics import iou

    mask, clicks = np.zeros_like(truth), []
    while len(clicks) < CLICKS and iou(mask, truth) < 0.93:
        click = next_click(mask, truth, clicks)
        if click is None:
            return
        clicks.append(click)
        stage.click(click.y, click.x, positive=click.positive)
        prediction: Any = stage.state.prediction
        mask = np.asarray(prediction.data) > 0


if __name__ == "__main__":
    main()
