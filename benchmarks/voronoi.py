"""Placing clicks: our search against the published simulated annealing, on a model's errors.

    python benchmarks/voronoi.py DATA/breast_ultrasound DATA/brain_mri

Every object of the datasets gets one click, by the simulated annotator; what the model gets
wrong then are the regions (`core.regions`): those that would get a click. Or take errors from
`--predictions`, one folder for each dataset: that of a cross-fitting, whose out-of-fold errors
are the real ones, or one with a mask for each image. Masks are brought to a long side of 512
pixels, as the published method has them.

In each region 1 to 5 points are placed three ways: by `place_points`; by its `method="anneal"`,
the published annealing written with numpy; and, for the time only, by steps as they were
published: distances over the whole image for every point, and a loop over the region's pixels
to find those in the box. Seconds are the processor's. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

import napari_clickseg as clickseg
from napari_clickseg.core.oracle import next_click
from napari_clickseg.core.regions import Region, clicks_in, find_regions
from napari_clickseg.core.voronoi import Annealing, energy, place_points
from napari_clickseg.crossfit.folder import crossfit_of
from napari_clickseg.crossfit.truth import read_prediction, read_truth
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import Record, read_records

SIDE = 512
STEPS = Annealing().steps
LEAST = 1e-9  # a ratio of energies nearer to 1 is a tie


@dataclass
class Case:
    """A region in its image, and what the ways of placing `n` points made of it."""

    frame: np.ndarray
    n: int
    ratio: float = 0.0
    ours: float = 0.0  # seconds
    annealed: float = 0.0
    published: float = 0.0
    area: int = field(init=False)

    def __post_init__(self) -> None:
        self.area = int(self.frame.sum())


def objects(labels: np.ndarray, ignore: int | None) -> list[np.ndarray]:
    """The 8-connected parts of every id but 0."""
    ids = [int(one) for one in np.unique(labels) if one not in (0, ignore)]
    parts = [ndimage.label(labels == one, np.ones((3, 3))) for one in ids]
    return [part == k for part, number in parts for k in range(1, number + 1)]


def clicked(record: Record, segmenter: clickseg.Segmenter, ignore: int | None):
    """Yield what one click on each object gives, and the object."""
    plane = read_plane(record.image)
    session = segmenter.start(plane.data, rgb=plane.rgb)
    for truth in objects(read_labels(record.mask), ignore):
        session.start_from(None)
        click = next_click(np.zeros_like(truth), truth)
        session.click(click.y, click.x, click.positive)
        yield session.predict().mask, truth


def saved(record: Record, folder: Path, ignore: int | None):
    """Yield the saved prediction and the truth of one image."""
    crossfit = crossfit_of(folder)
    if crossfit is not None:
        names = {row.image: row.prediction for row in crossfit.rows}
        if record.name in names:  # else it did not take part
            truth = read_truth(record, crossfit.spec.training, ignore).mask
            yield read_prediction(crossfit.predictions / names[record.name], truth.shape)[1], truth
        return
    masks = sorted(folder.glob(f"{record.image.stem}.*"))
    if not masks:
        sys.exit(f"There is no prediction for {record.name} in {folder}.")
    labels = read_labels(record.mask)
    yield read_labels(masks[0]) != 0, (labels != 0) & (labels != ignore)


def resized(mask: np.ndarray) -> np.ndarray:
    """Bring the long side to 512 pixels, each the nearest one."""
    scale = SIDE / max(mask.shape)
    rows, columns = (
        ((np.arange(round(length * scale)) + 0.5) / scale).astype(int) for length in mask.shape
    )
    return mask[rows[:, None].clip(max=mask.shape[0] - 1), columns.clip(max=mask.shape[1] - 1)]


def wrong_regions(pairs) -> list[np.ndarray]:
    """The false positives and negatives that get a click, each in an image of its own."""
    frames = []
    for prediction, truth in pairs:
        prediction, truth = resized(prediction), resized(truth)
        regions = find_regions(prediction, truth)
        numbers = {click.region for click in clicks_in(regions, truth.shape)}
        frames += [frame_of(one, truth.shape) for one in regions if one.number in numbers]
    return frames


def frame_of(region: Region, shape: tuple[int, int]) -> np.ndarray:
    frame = np.zeros(shape, bool)
    frame[region.patch.box.slices] = region.patch.mask
    return frame


def published_step(frame: np.ndarray, state: list, half: np.ndarray, rng) -> tuple[list, float]:
    """One step of the annealing with the operations of the published program."""
    rows, columns = np.nonzero(frame)
    moved = []
    for y, x in state:
        allowed = []
        for k in range(rows.shape[0]):
            if (
                rows[k] <= y + half[0]
                and rows[k] >= y - half[0]
                and columns[k] <= x + half[1]
                and columns[k] >= x - half[1]
            ):
                allowed.append((rows[k], columns[k]))
        moved.append(allowed[rng.integers(len(allowed))])
    yy, xx = np.meshgrid(np.arange(frame.shape[0]), np.arange(frame.shape[1]), indexing="ij")
    distances = np.zeros((*frame.shape, len(moved)))
    for k, (y, x) in enumerate(moved):
        distances[:, :, k] = np.sqrt((yy - y) ** 2 + (xx - x) ** 2)
    distances[distances == 0] = 1
    return moved, float(np.amax(np.dstack([frame] * len(moved)) / distances, axis=2).sum())


def published_seconds(frame: np.ndarray, n: int) -> float:
    """Time one step in the middle of the schedule; all steps cost nearly the same."""
    rng = np.random.default_rng(0)
    pixels = np.argwhere(frame)
    state = [tuple(pixels[k]) for k in rng.integers(len(pixels), size=n)]
    since = time.process_time()
    published_step(frame, state, np.ptp(pixels, axis=0) / 3, rng)
    return STEPS * (time.process_time() - since)


def timed(frame: np.ndarray, n: int, method: str, seed: int) -> tuple[np.ndarray, float]:
    since = time.process_time()
    points = place_points(frame, n, seed=seed, method=method)
    return points, time.process_time() - since


def measure(case: Case, seed: int) -> None:
    points, case.ours = timed(case.frame, case.n, "lloyd", seed)
    reference, case.annealed = timed(case.frame, case.n, "anneal", seed)
    case.ratio = energy(case.frame, points) / energy(case.frame, reference)
    case.published = published_seconds(case.frame, case.n)


def row(name: str, cases: list[Case]) -> str:
    ratios = np.array([case.ratio for case in cases])
    ours, annealed, published = (
        np.array([getattr(case, key) for case in cases])
        for key in ("ours", "annealed", "published")
    )
    return (
        f"| {name} | {len(cases)} | {ratios.mean():.2%} | {ratios.min():.2%} "
        f"| {(ratios < 1 - LEAST).mean():.1%} | {1e3 * np.median(ours):.1f} ms "
        f"| {1e3 * ours.mean():.1f} ms | {1e3 * annealed.mean():.0f} ms | {published.mean():.1f} s "
        f"| {published.sum() / ours.sum():,.0f} | {np.median(published / ours):,.0f} |"
    )


def table(cases: list[Case]) -> str:
    lines = [
        "| points | regions | energy, mean | worst | share worse | ours, median | ours, mean "
        "| annealing, numpy | annealing, as published | faster, all | faster, median |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    counts = sorted({case.n for case in cases})
    lines += [row(str(n), [case for case in cases if case.n == n]) for n in counts]
    for low, high in ((0, 300), (300, 3000), (3000, SIDE**2)):
        some = [case for case in cases if low <= case.area < high]
        if some:
            lines.append(row(f"all, {low:,} to {high:,} px", some))
    return "\n".join([*lines, row("all", cases)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--predictions", type=Path, nargs="+", help="a folder for each dataset")
    parser.add_argument("--regions", type=int, default=150, help="at most, of each dataset")
    parser.add_argument("--images", type=int, default=100, help="at most, of each, with objects")
    parser.add_argument("--points", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--ignore", type=int, help="id of pixels that do not count")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    segmenter = None if args.predictions else clickseg.load_segmenter(args.model, device="cpu")
    rng = np.random.default_rng(args.seed)
    frames = []
    for k, dataset in enumerate(args.datasets):
        records = [one for one in read_records(dataset) if read_labels(one.mask).any()]
        some = rng.permutation(len(records))[: args.images]
        pairs = (
            pair
            for one in some
            for pair in (
                clicked(records[one], segmenter, args.ignore)
                if segmenter
                else saved(records[one], args.predictions[k], args.ignore)
            )
        )
        regions = wrong_regions(pairs)
        regions = [regions[one] for one in rng.permutation(len(regions))[: args.regions]]
        print(f"{dataset.name}: {len(regions)} regions of {len(some)} images", file=sys.stderr)
        frames += regions
    cases = [Case(frame, n) for frame in frames for n in args.points]
    for done, case in enumerate(cases, 1):
        measure(case, args.seed)
        if done % 100 == 0:
            print(f"{done} of {len(cases)}", file=sys.stderr, flush=True)
    areas = np.percentile([frame.sum() for frame in frames], [0, 10, 50, 90, 100])
    print(f"{platform.machine()}, one core, numpy {np.__version__}; {len(frames)} regions of")
    print(" / ".join(f"{area:,.0f}" for area in areas), "pixels (0, 10, 50, 90, 100 %)\n")
    print(table(cases))


if __name__ == "__main__":
    main()
