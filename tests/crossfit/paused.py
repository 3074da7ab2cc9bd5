"""A cross-fitting whose clicks are placed, without any training: predictions are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.crossfit.begin import begin
from napari_clickseg.crossfit.clicks import make_clicks
from napari_clickseg.crossfit.crossfitting import graph
from napari_clickseg.crossfit.folder import CrossfitFolder
from napari_clickseg.crossfit.spec import read_crossfit_spec
from napari_clickseg.crossfit.truth import ignored_id, read_truth
from napari_clickseg.data.masks import write_mask
from tests.crossfit.conftest import NETWORK, write_project

if TYPE_CHECKING:
    from pathlib import Path


def paused(path: Path, project: Path, count: int = 4) -> CrossfitFolder:
    """Make a cross-fitting that is paused: each disk is found too far to the right."""
    write_project(project, count, per_group=1)
    fields = NETWORK | {"project": str(project), "folds": 2, "noc_clicks": 1}
    folder = CrossfitFolder(path)
    begin(read_crossfit_spec(None, **fields), folder)
    folder.predictions.mkdir()
    training = folder.spec.training
    for row in folder.rows:
        truth = read_truth(folder.records()[row.image], training, ignored_id(training))
        moved = np.roll(truth.mask, 6, axis=1)
        write_mask(folder.predictions / row.prediction, np.where(moved, 230, 20).astype(np.uint8))
    stages = [{"stage": s, "fold": f, "done": False} for s, f, _ in graph(folder, "clicks")]
    folder.log.add("started", pid=0, folds=2, images=count, resumed=False, stages=stages)
    for stage in stages:
        folder.log.add("stage", stage=stage["stage"], fold=stage["fold"], state="finished",
                       seconds=2.0, message="")  # fmt: skip
    make_clicks(folder)
    folder.log.add("finished", reason="paused", model=None)
    return folder
