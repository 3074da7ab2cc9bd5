"""Clicks that objects cost: the default model beside classical methods, in one run.

    python benchmarks/compare.py DATASET... [--limit N] [--objects N] [--clicks N] [--json F]
        [--resume FOLDER]

GrabCut (OpenCV) and the random walker (scikit-image) get what our model gets: the same simulated
annotator, the same objects, and a window that follows the object (`core.window`), so that they
are neither slow nor led astray by the rest of the image. Flood fill (scikit-image) grows from each
positive click. Prints a Markdown table for each method.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from dask.system import CPU_COUNT
from skimage.segmentation import flood, random_walker

from napari_clickseg.core.intensity import measure, to_channels
from napari_clickseg.core.source import ImageSource
from napari_clickseg.core.window import Box, Window, first_window, object_window
from napari_clickseg.evaluation.noc import NocSpec
from napari_clickseg.evaluation.report import by_set, mean_figures, report, table
from napari_clickseg.evaluation.sweep import SegmenterFactory, list_tasks, sweep
from napari_clickseg.models.checkpoint import sha256
from napari_clickseg.models.registry import find_model

Bool = npt.NDArray[np.bool_]
Method = Any  # (image, positive, negative, previous) -> mask, all of the window
SIZE = 256  # pixels of the window
RADIUS = 4  # of a click's disk in the window: seeds of one pixel do worse


@dataclass(frozen=True)
class Mask:
    """What a session answers."""

    mask: Bool


class WindowedSession:
    """One image; a method sees the window around the object, as a network does."""

    def __init__(self, method: Method, image: np.ndarray) -> None:
        self.method = method
        source = ImageSource(image)
        self.pixels = to_channels(measure(source).apply(source.read_all()), 3)
        self.shape = source.shape
        self.start_from(None)

    def start_from(self, mask: Bool | None) -> None:
        """Begin the next object."""
        self.clicks: list[tuple[float, float, bool]] = []
        self.mask = np.zeros(self.shape, bool) if mask is None else np.array(mask, bool)

    def click(self, y: float, x: float, positive: bool = True) -> None:
        """Add a click."""
        self.clicks.append((y, x, positive))

    def window(self) -> Window:
        """Return the whole image at first, then the object's surroundings."""
        places = [(round(y), round(x)) for y, x, positive in self.clicks if positive]
        if not self.mask.any():
            return first_window(self.shape, places[-1], SIZE, 1024)
        box = Box.of_mask(self.mask).union(
            Box.of_pixels([(round(y), round(x)) for y, x, _ in self.clicks])
        )
        return object_window(self.shape, box, SIZE, margin=1.6, smallest=48, largest=4096)

    def predict(self) -> Mask:
        """Have the method answer, and once more where it found another window."""
        before = self.mask
        for _ in range(2):
            window = self.window()
            self._look(window, before)
            if self.window() == window:
                break
        return Mask(self.mask.copy())

    def _look(self, window: Window, before: Bool) -> None:
        box = window.visible(self.shape)
        origin = float(box.top), float(box.left)
        seen = window.from_image(
            np.ascontiguousarray(self.pixels[box.slices]), origin, (1.0, 1.0), self.shape
        )
        previous = None
        if before.any():
            part = before[box.slices].astype(np.float32)
            previous = window.from_image(part, origin, (1.0, 1.0), self.shape) > 0.5
        seeds = np.zeros((2, SIZE, SIZE), bool)
        y, x = np.mgrid[:SIZE, :SIZE]
        for cy, cx, positive in self.clicks:
            at = window.to_network(cy, cx)
            seeds[0 if positive else 1] |= np.hypot(y - at[0], x - at[1]) <= RADIUS
        seeds[0] &= ~seeds[1]
        labelled = self.method(seen, seeds[0], seeds[1], previous)
        values = window.to_box(labelled.astype(np.float32), box)
        self.mask = np.zeros(self.shape, bool)
        self.mask[box.slices] = values > 0.5


class Windowed:
    """A method as something that is clicked on."""

    def __init__(self, method: Method) -> None:
        self.method = method

    def start(self, image: np.ndarray, *, rgb: bool | None = None) -> WindowedSession:
        """Begin with an image."""
        return WindowedSession(self.method, image)


def grabcut(image: np.ndarray, positive: Bool, negative: Bool, previous: Bool | None) -> Bool:
    """Graph cut on colour models; what nothing is known about is probably background."""
    if previous is None:
        # As the rectangle that GrabCut is usually given: the middle of what is seen.
        y, x = np.argwhere(positive).mean(0)
        near = np.hypot(*(np.mgrid[:SIZE, :SIZE] - np.array([y, x])[:, None, None])) < SIZE / 4
    else:
        near = previous
    labels = np.where(near, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[positive], labels[negative] = cv2.GC_FGD, cv2.GC_BGD
    if not (labels % 2 == 0).any():
        labels[:2] = labels[-2:] = cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    pixels = (image * 255).astype(np.uint8)
    cv2.grabCut(pixels, labels, None, *models, 3, cv2.GC_INIT_WITH_MASK)
    return labels % 2 == 1


def walker(image: np.ndarray, positive: Bool, negative: Bool, previous: Bool | None) -> Bool:
    """Random walk from the clicks; the window's border counts as background."""
    labels = np.zeros((SIZE, SIZE), np.int32)
    labels[[0, -1], :] = labels[:, [0, -1]] = 2
    labels[positive], labels[negative] = 1, 2
    walked = random_walker(image, labels, beta=300, mode="cg_j", tol=1e-3, channel_axis=-1)
    return np.asarray(walked) == 1


def filled(image: np.ndarray, positive: Bool, negative: Bool, previous: Bool | None) -> Bool:
    """Grow from each positive click over grey values that differ by a tenth at the most."""
    grey = image.mean(-1)
    out = np.zeros((SIZE, SIZE), bool)
    for y, x in np.argwhere(positive)[:: max(1, int(positive.sum()) // 8)]:
        out |= flood(grey, (int(y), int(x)), tolerance=0.1)
    return out & ~negative


METHODS = {"GrabCut": grabcut, "random walker": walker, "flood fill": filled}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--limit", type=int, default=0, help="images of each set")
    parser.add_argument("--objects", type=int, default=2, help="of an image")
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=CPU_COUNT)
    parser.add_argument("--methods", nargs="+", choices=[*METHODS], default=[*METHODS])
    parser.add_argument("--resume", type=Path, help="folder: keep results, go on from them")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    tasks = list_tasks(args.datasets, limit=args.limit)
    spec = NocSpec(clicks=args.clicks, objects=args.objects, seed=args.seed)
    factories: dict[str, Any] = {
        "ours": SegmenterFactory(args.model, "cpu", max(1, CPU_COUNT // args.workers)),
        **{name: partial(Windowed, METHODS[name]) for name in args.methods},
    }
    labels = {name: name for name in args.methods}
    labels["ours"] = f"model {sha256(find_model(args.model).path)}"
    reports, rows = {}, []
    for name, factory in factories.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        kept = None
        if args.resume:
            args.resume.mkdir(parents=True, exist_ok=True)
            kept = args.resume / f"{labels[name].replace(' ', '-')}.jsonl"
        results = sweep(
            factory,
            tasks,
            spec,
            resume=kept,
            label=labels[name],
            workers=args.workers,
            scheduler="threads",
        )
        print(f"\n{name}\n\n{table(results)}", flush=True)
        reports[name] = report(results, spec, method=name)
        rows.append((name, mean_figures(by_set(results))))
    print("\n| method | NoC@80 | NoC@85 | NoC@90 | IoU@1 | IoU@5 |\n|---|--:|--:|--:|--:|--:|")
    for name, mean in rows:
        noc = " | ".join(f"{mean.noc[t]:.2f}" for t in (80, 85, 90))
        fifth = mean.iou[min(5, len(mean.iou)) - 1]
        print(f"| {name} | {noc} | {mean.iou[0]:.3f} | {fifth:.3f} |")
    if args.json:
        args.json.write_text(json.dumps(reports, indent=2) + "\n")


if __name__ == "__main__":
    main()
