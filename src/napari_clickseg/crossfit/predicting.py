"""What a fold's baseline makes of the images that it never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import write_mask
from napari_clickseg.engine.segmenter import load_segmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.crossfit.folder import CrossfitFolder


def predict_fold(
    folder: CrossfitFolder, fold: int, tell: Callable[[int, int], object] = lambda *_: None
) -> None:
    """Write the out-of-fold predictions of a fold, those that are not there yet.

    Parameters
    ----------
    folder : CrossfitFolder
        With the fold's baseline.
    fold : int
        From 1.
    tell : callable
        Called with the number of images that are done, and how many there are.
    """
    rows = [row for row in folder.rows if row.fold == fold]
    records = folder.records()
    folder.predictions.mkdir(exist_ok=True)
    model = folder.run(fold, "baseline").model
    segmenter = load_segmenter(model, folder.spec.training.device)
    for done, row in enumerate(rows):
        tell(done, len(rows))
        path = folder.predictions / row.prediction
        if path.exists():
            continue
        plane = read_plane(records[row.image].image)
        probability = segmenter.start(plane.read_all(), rgb=plane.rgb).predict().probability
        write_mask(path, np.rint(probability * 255).astype(np.uint8))
    tell(len(rows), len(rows))
