"""The demo: a coin, segmented by clicks in a real napari window."""

from __future__ import annotations

import os
import sys
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.project.samples import coin_regions
from napari_clickseg.evaluation.metrics import iou

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg._qt.demo.stage import Stage
    from napari_clickseg.core.clicks import Click

_COIN = (193, 212)  # a pixel of the coin that is segmented, row and column
_CLICKS = 5  # at the most
_ENOUGH = 0.8  # IoU
_GOOD = 0.95  # IoU from which on nothing is corrected


def run(out: Path | None = None) -> int:
    """Show the coins, ready to be clicked on; or segment one without anybody.

    Parameters
    ----------
    out : Path, optional
        Folder to save ``demo.png`` in. With it a coin is segmented by simulated clicks, the
        IoU with a segmentation by edges is printed, and the window closes.

    Returns
    -------
    int
        Exit status: 1 if the IoU is below 0.8 or there is no model.
    """
    import napari

    from napari_clickseg._qt.demo.stage import Stage

    if out is None:
        stage = Stage("coins")
        napari.run()
        return 0
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["CLICKSEG_HOME"] = home  # it is nobody's work, to be offered the next time
        stage = Stage("coins", (1200, 860))
        try:
            return _segment(stage, out)
        finally:
            stage.close()


def _segment(stage: Stage, out: Path) -> int:
    """Segment one coin, save a picture and say how good it is."""
    if not stage.wait_for_the_model():
        _say(stage.state.model_text)
        return 1
    truth = _truth(stage.state.image)
    clicks = _click_until_good(stage, truth)
    stage.press(stage.widget.objects.accept)
    stage.wait(lambda: stage.state.n_objects > 0, 5)
    annotation: Any = stage.state.annotation
    reached = iou(np.asarray(annotation.data) == 1, truth)
    picture = out / "demo.png"
    stage.picture(picture)
    plural = "" if clicks == 1 else "s"
    _say(f"IoU {reached:.3f} after {clicks} click{plural}; the picture is {picture}")
    return 0 if reached >= _ENOUGH else 1


def _click_until_good(stage: Stage, truth: npt.NDArray[np.bool_]) -> int:
    """Click as an annotator would: on the middle of the coin, then on the worst error."""
    from napari_clickseg.core.oracle import next_click

    mask = np.zeros_like(truth)
    clicks: list[Click] = []
    while len(clicks) < _CLICKS and iou(mask, truth) < _GOOD:
        click = next_click(mask, truth, clicks)
        if click is None:
            break
        clicks.append(click)
        stage.click(click.y, click.x, positive=click.positive)
        prediction: Any = stage.state.prediction
        mask = np.asarray(prediction.data) > 0
    return len(clicks)


def _truth(image: Any) -> npt.NDArray[np.bool_]:
    regions = coin_regions(np.asarray(image.data))
    return np.asarray(regions == regions[_COIN])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
