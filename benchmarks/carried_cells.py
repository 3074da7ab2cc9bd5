"""Measure how an object is carried from plane to plane.

    python benchmarks/carried_cells.py [DATA --stacks 10]

Without DATA, each cell of the sample *Cells over time* that is whole on the first planes is
clicked on in its middle on the first one, and carried on from there as Propagate does it. DATA is
a project whose groups are stacks, a plane an image; of each, the longest run of planes with a mask
is an object, which is carried on both ways from the plane in the middle, as it was drawn there.
Beside it, the object is clicked on in its middle on every plane. Prints the IoU with the object as
it was drawn, and the mean and the lowest of all planes but the one that it was carried from; of
those that are carried, also of the planes before which Propagate would have stopped, unsure.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from clicks_per_volume import read_volumes

from napari_clickseg._napari.project import samples
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.engine.carrying import carry, innermost
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.evaluation.metrics import iou

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def carried(
    segmenter: Any, images: Any, truth: list[Mask], start: Mask | None = None
) -> list[tuple[float, bool]]:
    """Carry an object on from the first plane; return the IoU of the others, and if it was sure.

    Without a mask to start from, it is clicked on there. After a plane that was unsure all are.
    """
    out, sure = [], True
    patch = Patch.of(clicked(segmenter, images[0], truth[0]) if start is None else start)
    for image, mask in zip(images[1:], truth[1:], strict=False):
        if patch:
            answer = carry(segmenter.start(image), patch)
            patch, sure = answer.prediction.patch, sure and answer.sure
        out.append((iou(patch.cut(Box(0, 0, *mask.shape)), mask), sure and bool(patch)))
    return out


def clicked(segmenter: Any, image: Any, mask: Mask) -> Mask:
    """Return what a click in the middle of an object finds."""
    session = segmenter.start(image)
    session.click(*innermost(Patch.of(mask)))
    predicted: Mask = session.predict().mask
    return predicted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, metavar="DATA")
    parser.add_argument("--stacks", type=int, default=10)
    parser.add_argument("--planes", type=int, default=7, help="of the sample")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    segmenter = load_segmenter(args.model, "cpu")
    on: list[tuple[float, bool]] = []
    anew: list[float] = []
    for name, images, truth, start in objects(args):
        on += (one := carried(segmenter, images, truth, start))
        planes = zip(images[1:], truth[1:], strict=False)
        anew += (other := [iou(clicked(segmenter, a, b), b) for a, b in planes])
        unsure = sum(not sure for _, sure in one)
        say(f"{name} carried: {np.round([value for value, _ in one], 3)}, {unsure} unsure")
        say(f"{name} clicked: {np.round(other, 3)}")
    summary("carried", [value for value, _ in on])
    summary("carried, up to where it was unsure", [value for value, sure in on if sure])
    summary("clicked", anew)
    return 0


def objects(args: argparse.Namespace) -> Iterator[tuple[str, Any, list[Mask], Mask | None]]:
    """Give the name, images and masks of each object, and what it is carried on from."""
    if args.data is None:
        images = samples.time_lapse()[0][0]
        for cell, truth in whole_cells(args.planes).items():
            yield f"cell {cell:2d}", images, truth, None
        return
    for n, volume in enumerate(read_volumes(args.data, args.stacks)):
        images, truth = volume.images, list(volume.truth)
        middle = len(images) // 2
        yield f"stack {n:2d} up", images[middle:], truth[middle:], truth[middle]
        yield f"stack {n:2d} down", images[middle::-1], truth[middle::-1], truth[middle]


def summary(way: str, ious: list[float]) -> None:
    """Print what all planes came to."""
    least = [f"{sum(value >= limit for value in ious)} at {limit} or more" for limit in (0.95, 0.8)]
    say(
        f"{way}: {len(ious)} planes, mean {np.mean(ious):.3f}, median {np.median(ious):.3f}, "
        f"lowest {min(ious):.3f}; {', '.join(least)}"
    )


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
