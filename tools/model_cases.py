"""Draw good, typical and failing cases of the default model, chosen by rank and not by hand.

    python tools/model_cases.py DATASET... --out docs/images/model-cases.png

All objects of a data set (connected parts of each id) are clicked on by the simulated annotator
and ranked by their IoU after some clicks; those at the given ranks are drawn. Only give images
whose licence allows that they are shown.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from skimage.measure import label

import napari_clickseg as clickseg
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_records
from napari_clickseg.evaluation.noc import NocSpec, click_object

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

RANKS = {"good": 0.9, "typical": 0.5, "failing": 0.1}  # share of the objects that are worse
AROUND = 1.6  # side of what is shown over the object's
LEAST = 64  # pixels of an object


@dataclass(frozen=True)
class Case:
    """An object that was clicked on."""

    image: npt.NDArray[Any]
    truth: npt.NDArray[np.bool_]
    predicted: npt.NDArray[np.bool_]
    clicks: tuple[tuple[float, float, bool], ...]
    iou: float


def cases(folder: Path, segmenter: clickseg.Segmenter, spec: NocSpec) -> list[Case]:
    """Click on every object of a data set; the worst come first."""
    out = []
    for record in read_records(folder):
        image, parts = read_plane(record.image).read_all(), label(read_labels(record.mask))
        session = segmenter.start(image)
        for identifier in np.flatnonzero(np.bincount(parts.ravel()) >= LEAST)[1:]:
            truth = parts == identifier
            _, ious, _, clicks = click_object(session, truth, spec, spec.rng(record.name))
            out.append(Case(image, truth, session.predict().mask, clicks, ious[-1]))
    return sorted(out, key=lambda case: case.iou)


def draw(axes: Axes, case: Case) -> None:
    """Draw an object with its clicks, its outline and what was found."""
    image = case.image
    rows, columns = np.nonzero(case.truth | case.predicted)
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    half = AROUND / 2 * max(np.ptp(rows), np.ptp(columns), 32)
    axes.imshow(image, cmap="gray" if image.ndim == 2 else None, interpolation="nearest")
    axes.contour(case.truth, [0.5], colors="white", linewidths=1.5, linestyles="dotted")
    axes.contour(case.predicted, [0.5], colors="#00c8ff", linewidths=1.5)
    for kind, colour in ((True, "#3be13b"), (False, "#ff4040")):
        at = [(y, x) for y, x, positive in case.clicks if positive == kind]
        if at:
            ys, xs = zip(*at, strict=True)
            axes.scatter(xs, ys, s=28, c=colour, edgecolors="black", linewidths=0.8, zorder=3)
    axes.set_xlim(max(-0.5, middle[1] - half), min(image.shape[1] - 0.5, middle[1] + half))
    axes.set_ylim(min(image.shape[0] - 0.5, middle[0] + half), max(-0.5, middle[0] - half))
    axes.set_xticks([])
    axes.set_yticks([])


def main() -> None:
    """Click, rank, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--clicks", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    mpl.use("agg")
    from matplotlib import pyplot as plt

    segmenter = clickseg.load_segmenter(args.model, device="cpu")
    spec = NocSpec(clicks=args.clicks, objects=0)
    figure, grid = plt.subplots(
        len(args.datasets),
        len(RANKS),
        figsize=(3 * len(RANKS), 3.3 * len(args.datasets)),
        squeeze=False,
        layout="constrained",
    )
    for row, folder in zip(grid, args.datasets, strict=True):
        ranked = cases(folder, segmenter, spec)
        for axes, (name, share) in zip(row, RANKS.items(), strict=True):
            case = ranked[round(share * (len(ranked) - 1))]
            draw(axes, case)
            axes.set_title(
                f"{folder.name}: {name}\nIoU {case.iou:.2f} after {args.clicks} clicks",
                fontsize=9,
            )
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
