"""How good planes are that were filled in between annotated ones, and how many of those it takes.

    python benchmarks/filling_in.py DATA --every 2 3 5

DATA is a project whose groups are stacks, a plane an image, in order. In each run of planes that
have a mask the first one, the last one and every N-th between are taken as they are; the others are
filled in as Fill in does it, and compared with their masks. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from napari_clickseg._napari.annotate.stacks.gaps import Stack, filled
from napari_clickseg.core.plane import Plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.journal.scene import Scene


def main() -> None:
    """Print a row for each N."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--every", type=int, nargs="+", default=[2, 3, 5])
    args = parser.parse_args()
    stacks = read_stacks(args.data)
    say(f"{len(stacks)} stacks, {sum(map(len, stacks))} planes with a mask\n")
    say(
        "| Every N-th | Planes annotated | Dice of those filled in: mean, worst tenth | Of stacks |"
    )
    say("|---|---|---|---|")
    for every in args.every:
        say(row(stacks, every))


def read_stacks(folder: Path) -> list[np.ndarray]:
    """Return the runs of planes of each group that have a mask, bool (Z, Y, X)."""
    groups = defaultdict(list)
    for record in read_project(folder).records:
        groups[record.group].append(read_labels(record.mask) > 0)
    runs = []
    for planes in groups.values():
        there = [False, *(bool(plane.any()) for plane in planes), False]
        edges = [i for i, (a, b) in enumerate(pairwise(there)) if a != b]
        runs += [np.stack(planes[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return runs


def row(stacks: list[np.ndarray], every: int) -> str:
    """Annotate every N-th plane of all stacks, fill in the others, and compare."""
    annotated, planes, whole = 0, [], []
    for truth in stacks:
        given = {*range(0, len(truth), every), len(truth) - 1}
        annotated += len(given)
        labels = np.zeros(truth.shape, np.uint8)
        for at in given:
            labels[at] = truth[at]
        for at in sorted(given):
            plane = Plane((1, 2), (at, 0, 0), truth.shape[1:])
            made = filled(Stack(labels, plane, 0, by_class=False, stop=lambda: False), Scene(), {})
            for write in made.writes:
                labels[write.plane.key(*write.pixels)] = write.new
        planes += [dice(labels[at], truth[at]) for at in range(len(truth)) if at not in given]
        whole.append(dice(labels, truth))
    share = annotated / sum(map(len, stacks))
    worst = np.quantile(planes, 0.1)
    return f"| {every} | {share:.0%} | {np.mean(planes):.3f}, {worst:.3f} | {np.mean(whole):.3f} |"


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return Dice's coefficient of two masks."""
    return float(2 * ((one > 0) & (other > 0)).sum() / ((one > 0).sum() + (other > 0).sum()))


def say(text: str) -> None:
    """Print a line."""
    print(text)


if __name__ == "__main__":
    main()
