"""What keeps the click model from better masks: its windows, the first look, or the network.

    python benchmarks/limits.py DATASET... [--limit N] [--objects N] [--model M]

For each data set, means over the objects of

- *ceiling*: the IoU of the truth with itself after it went through the object's window and back,
  which no network can exceed there; with windows twice as large besides;
- *first look*: the IoU after the first click as it is, with the best one of the distances that are
  tried instead of the one that is chosen, and with the object's own window, as if its size were
  known;
- *late clicks*: the share of the clicks after the fifth that gain less than 0.001, and that lose
  more than 0.01.

Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import napari_clickseg as clickseg
from napari_clickseg.core.intensity import measure
from napari_clickseg.core.oracle import next_click
from napari_clickseg.core.source import ImageSource
from napari_clickseg.core.window import Box, object_window
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.engine.inference import Estimator
from napari_clickseg.engine.scouting import plausibility
from napari_clickseg.evaluation.metrics import iou
from napari_clickseg.evaluation.noc import NocSpec, click_object, objects_of
from napari_clickseg.evaluation.sweep import list_tasks

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_clickseg.core.window import Window
    from napari_clickseg.engine.estimate import Estimate

    Bool = npt.NDArray[np.bool_]

COLUMNS = (
    "ceiling",
    "ceiling, windows twice as large",
    "first look",
    "best of the looks",
    "object's own window",
    "late clicks that gain nothing",
    "that lose",
)


def window_of(truth: Bool, card: Any, size: int) -> Window:
    """Return the window that an object has once it is found."""
    spec = card.window
    return object_window(
        (truth.shape[0], truth.shape[1]),
        Box.of_mask(truth),
        size,
        margin=spec.margin,
        smallest=spec.smallest_span,
        largest=spec.largest_span,
    )


def ceiling(truth: Bool, window: Window) -> float:
    """Return the IoU of the truth with itself, through the window and back."""
    box = window.visible((truth.shape[0], truth.shape[1]))
    part = truth[box.slices].astype(np.float32)
    seen = window.from_image(part, (float(box.top), float(box.left)), (1.0, 1.0), truth.shape)
    back = np.zeros_like(truth)
    back[box.slices] = window.to_box(seen, box) > 0.5
    return iou(back, truth)


def overlap(estimate: Estimate, truth: Bool) -> float:
    """Return the IoU of an answer with the truth."""
    box = estimate.window.visible((truth.shape[0], truth.shape[1]))
    mask = np.zeros_like(truth)
    mask[box.slices] = estimate.part(box) > 0.5
    return iou(mask, truth)


def limits(segmenter: clickseg.Segmenter, image: Any, truth: Bool, spec: NocSpec) -> list[float]:
    """Return the columns for one object."""
    card, source = segmenter.card, ImageSource(image)
    estimator = Estimator(card, source, measure(source), segmenter.look)
    click = next_click(np.zeros_like(truth), truth, [])
    assert click is not None and card.scouting is not None
    own = window_of(truth, card, card.window.size)
    estimates, described = estimator.scouted((click,), card.scouting)
    if card.scouting.second_look:
        estimates = [estimator.look_again(one, (click,)) for one in estimates]
    overlaps = [overlap(estimate, truth) for estimate in estimates]
    chosen = int(plausibility(described, card.scouting.weights).argmax())
    known = estimator.look(own, (click,), None)
    session = segmenter.start(image)
    ious = click_object(session, truth, spec, spec.rng("limits"))[1]
    gains = np.diff(ious[4:])
    return [
        ceiling(truth, own),
        ceiling(truth, window_of(truth, card, 2 * card.window.size)),
        overlaps[chosen],
        max(overlaps),
        overlap(known, truth),
        float((gains < 0.001).mean()),
        float((gains < -0.01).mean()),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, default=8, help="images of each set")
    parser.add_argument("--objects", type=int, default=2, help="of an image")
    args = parser.parse_args()
    segmenter = clickseg.load_segmenter(args.model, device="cpu")
    if segmenter.card.scouting is None:
        raise SystemExit("This model looks from one distance only; there is nothing to choose.")
    spec = NocSpec(objects=args.objects)
    means = []
    print("| set | objects | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "--:|" * (len(COLUMNS) + 1))
    for folder in args.datasets:
        rows = []
        for task in list_tasks([folder], limit=args.limit):
            image, labels = read_plane(task.record.image).read_all(), read_labels(task.record.mask)
            for identifier in objects_of(labels, spec, spec.rng(task.key)):
                rows.append(limits(segmenter, image, np.asarray(labels == identifier), spec))
        means.append(np.mean(rows, axis=0))
        cells = " | ".join(f"{value:.3f}" for value in means[-1])
        print(f"| {folder.name} | {len(rows)} | {cells} |", flush=True)
    cells = " | ".join(f"{value:.3f}" for value in np.mean(means, axis=0))
    print(f"| **mean over sets** | | {cells} |")


if __name__ == "__main__":
    main()
