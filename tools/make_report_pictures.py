"""Make the pictures of docs/report.md: coins of scikit-image, and generated cells over time.

Usage: python tools/make_report_pictures.py [FOLDER]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from napari_clickseg._napari.project import samples
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.pictures.albums import album_of
from napari_clickseg.pictures.picture_folder import write_pictures

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project, made = Path(folder) / "coins", Path(folder) / "pictures"
        writer = ProjectWriter(project)
        (coins, _, _), (regions, _, _) = samples.coins_with_regions()
        writer.add("coins", coins, regions)
        write_pictures(album_of(project, model="default", clicks=1), made / "coins")
        shutil.copy(made / "coins/panels/coins.png", out / "report-panels.png")
        shutil.copy(made / "coins/overlays/coins.png", out / "report-contours.png")
        writer = ProjectWriter(Path(folder) / "cells")
        ((stack, _, _),) = samples.time_lapse()
        for t, plane in enumerate(stack[:8]):
            writer.add(f"t {t}", plane, _objects(plane), group="cells")
        write_pictures(album_of(writer.folder, model="default", clicks=1), made / "cells")
        shutil.copy(made / "cells/cells.gif", out / "report-stack.gif")


def _objects(plane: np.ndarray) -> np.ndarray:
    """Return what is brighter than half of the faintest cell, piece by piece."""
    from scipy import ndimage

    labels, _ = ndimage.label(ndimage.gaussian_filter(plane.astype(float), 1) > 1400)
    small = np.bincount(labels.ravel()) < 60
    labels[small[labels]] = 0
    return labels


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
