"""Measure how a cell of the sample *Cells over time* is carried from plane to plane.

    python benchmarks/carried_cells.py

Each cell that is whole on the first planes is clicked on in its middle on the first one, and
carried on from there as Propagate does it; beside it, it is clicked on in its middle on every
plane. Prints the IoU with the cell as it was drawn, and the mean and the lowest of all planes but
the first.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg._napari.project import samples
from napari_clickseg.core.patch import Patch
from napari_clickseg.engine.carrying import carry, innermost
from napari_clickseg.engine.segmenter import load_segmenter

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

_SIDE, _STEPS = 256, 12  # of the sample


def whole_cells(planes: int) -> dict[int, list[Mask]]:
    """Return the masks, plane by plane, of cells that never touch the border."""
    drawn = [samples._cells(_SIDE, phase=t / _STEPS) for t in range(planes)]
    masks = {
        cell: [one[cell] > 0.5 * one[cell].max() for one in drawn] for cell in range(len(drawn[0]))
    }
    return {
        cell: there
        for cell, there in masks.items()
        if not any(m[0].any() or m[-1].any() or m[:, [0, -1]].any() for m in there)
    }


def found(segmenter: Any, images: Any, truth: list[Mask], *, carried: bool) -> list[float]:
    """Find a cell on all planes; return the IoU on each but the first."""
    ious, patch = [], None
    for image, mask in zip(images, truth, strict=False):
        session = segmenter.start(image)
        if carried and patch is not None:
            prediction = carry(session, patch).prediction
        else:
            session.click(*innermost(Patch.of(mask)))
            prediction = session.predict()
        patch = prediction.patch
        ious.append(float((prediction.mask & mask).sum() / (prediction.mask | mask).sum()))
    return ious[1:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=7)
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    images, segmenter = samples.time_lapse()[0][0], load_segmenter(args.model)
    every: dict[str, list[float]] = {"carried": [], "clicked": []}
    for cell, truth in whole_cells(args.planes).items():
        for way, ious in every.items():
            one = found(segmenter, images, truth, carried=way == "carried")
            ious += one
            sys.stdout.write(f"cell {cell:2d} {way}: {np.round(one, 3)}\n")
            sys.stdout.flush()
    for way, ious in every.items():
        n = sum(iou >= 0.95 for iou in ious)
        sys.stdout.write(
            f"{way}: mean {np.mean(ious):.3f}, lowest {min(ious):.3f}, "
            f"{n} of {len(ious)} planes at 0.95 or more\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
