"""How many clicks a stack costs: plane by plane, filled in between, and carried on.

    python benchmarks/clicks_per_volume.py DATA [--stacks 3] [--target 0.8]

DATA is a project whose groups are stacks, a plane an image, in order; runs of planes that have a
mask are taken as one object each. A simulated annotator (`core.oracle`) clicks on a plane until
the mask has the target IoU with the truth, 20 times at the most; it begins

- on every plane, from nothing;
- on every third plane, the first and the last one; the others are filled in as *Fill in* does it,
  and those below the target are clicked on from what was filled in;
- on the plane in the middle, from which the object is carried on both ways as *Propagate* does it;
  planes below the target are clicked on from what was found there, and carried on from that.

The annotator sees each plane, so what counts is how often it has to click. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from napari_clickseg._napari.annotate.stacks.gaps import Stack, filled
from napari_clickseg.core.oracle import next_click
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.engine.carrying import carry
from napari_clickseg.engine.segmenter import Segmenter, load_segmenter
from napari_clickseg.evaluation.metrics import iou
from napari_clickseg.journal.scene import Scene

MOST = 20  # clicks on a plane
EVERY = 3


@dataclass
class Volume:
    """A run of planes on which an object is.

    Parameters
    ----------
    images : list of array
        (Y, X) or (Y, X, C).
    truth : bool (Z, Y, X)
    """

    images: list[np.ndarray]
    truth: np.ndarray


@dataclass
class Cost:
    """What a way of clicking costs."""

    clicks: int = 0
    planes: list[float] = field(default_factory=list)  # the IoU of each at the end


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--stacks", type=int, default=3)
    parser.add_argument("--target", type=float, default=0.8)
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    segmenter = load_segmenter(args.model, "cpu")
    volumes = read_volumes(args.data, args.stacks)
    planes = sum(len(volume.images) for volume in volumes)
    say(f"{len(volumes)} stacks, {planes} planes; IoU {args.target}\n")
    say("| | Clicks on all | Of every plane's | A plane | IoU: mean, planes below the target |")
    say("|---|--:|--:|--:|--:|")
    ways = {"every plane": plane_by_plane, "filled in": fill_in, "carried": carried_on}
    first = 0
    for name, way in ways.items():
        cost = Cost()
        for volume in volumes:
            way(segmenter, volume, args.target, cost)
        first = first or cost.clicks
        below = sum(value < args.target for value in cost.planes)
        say(
            f"| {name} | {cost.clicks} | {cost.clicks / first:.0%} | {cost.clicks / planes:.1f} "
            f"| {np.mean(cost.planes):.3f}, {below} |"
        )


def read_volumes(folder: Path, most: int) -> list[Volume]:
    """Return the longest run of planes with a mask of each of the first groups."""
    groups = defaultdict(list)
    for record in read_project(folder).records:
        groups[record.group].append(record)
    out = []
    for records in list(groups.values()):
        masks = [read_labels(record.mask) > 0 for record in records]
        there = [False, *(bool(mask.any()) for mask in masks), False]
        edges = [i for i, (a, b) in enumerate(pairwise(there)) if a != b]
        runs = list(zip(edges[::2], edges[1::2], strict=True))
        a, b = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
        if b - a >= 2 * EVERY:
            images = [np.asarray(read_single_plane(record.image).data) for record in records[a:b]]
            out.append(Volume(images, np.stack(masks[a:b])))
        if len(out) == most:
            break
    return out


def clicked(
    segmenter: Segmenter,
    image: np.ndarray,
    truth: np.ndarray,
    start: np.ndarray | None,
    target: float,
    cost: Cost,
) -> np.ndarray:
    """Click on a plane until the mask is good enough; return it."""
    mask = np.zeros(truth.shape, bool) if start is None else start
    session = segmenter.start(image, mask=start if start is not None and start.any() else None)
    clicks: list = []
    while iou(mask, truth) < target and len(clicks) < MOST:
        click = next_click(mask, truth, clicks)
        if click is None:
            break
        clicks.append(click)
        session.click(click.y, click.x, click.positive)
        mask = session.predict().mask
    cost.clicks += len(clicks)
    return mask


def plane_by_plane(segmenter: Segmenter, volume: Volume, target: float, cost: Cost) -> None:
    """Click on every plane from nothing."""
    for image, truth in zip(volume.images, volume.truth, strict=True):
        cost.planes.append(iou(clicked(segmenter, image, truth, None, target, cost), truth))


def fill_in(segmenter: Segmenter, volume: Volume, target: float, cost: Cost) -> None:
    """Click on every third plane, fill in the others, and mend them."""
    depth = len(volume.images)
    given = sorted({*range(0, depth, EVERY), depth - 1})
    labels = np.zeros(volume.truth.shape, np.uint8)
    for at in given:
        labels[at] = clicked(segmenter, volume.images[at], volume.truth[at], None, target, cost)
    for at in given:
        plane = Plane((1, 2), (at, 0, 0), volume.truth.shape[1:])
        made = filled(Stack(labels, plane, 0, by_class=False, stop=lambda: False), Scene(), {})
        for write in made.writes:
            labels[write.plane.key(*write.pixels)] = write.new
    for at, (image, truth) in enumerate(zip(volume.images, volume.truth, strict=True)):
        start = labels[at] > 0
        mask = start if at in given else clicked(segmenter, image, truth, start, target, cost)
        cost.planes.append(iou(mask, truth))


def carried_on(segmenter: Segmenter, volume: Volume, target: float, cost: Cost) -> None:
    """Click on the plane in the middle, and carry the object on both ways."""
    depth = len(volume.images)
    middle = depth // 2
    first = clicked(segmenter, volume.images[middle], volume.truth[middle], None, target, cost)
    cost.planes.append(iou(first, volume.truth[middle]))
    for way in (range(middle + 1, depth), range(middle - 1, -1, -1)):
        before = first
        for at in way:
            image, truth = volume.images[at], volume.truth[at]
            carried = None
            if before.any():
                carried = carry(segmenter.start(image), Patch.of(before)).prediction.mask
            before = clicked(segmenter, image, truth, carried, target, cost)
            cost.planes.append(iou(before, truth))


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
