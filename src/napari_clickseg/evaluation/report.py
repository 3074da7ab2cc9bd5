"""Figures of an evaluation: by set, and their mean over the sets, as JSON or as a table.

Objects are averaged within their set and then the sets, so that a set of many nuclei does not
drown the others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from napari_clickseg import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_clickseg.evaluation.noc import NocSpec, ObjectResult
    from napari_clickseg.evaluation.sweep import ImageResult

THRESHOLDS = (0.80, 0.85, 0.90)
SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)
_LOST = 0.01  # of the IoU: a click that lowers it by more is one too many
_SHORT = 0.02  # of the IoU: an object that ends by more below its best


@dataclass(frozen=True, slots=True)
class SetFigures:
    """Figures of one set, or the mean over several.

    Parameters
    ----------
    objects : int
        Objects clicked on, each counted once however often it was repeated.
    noc : mapping of int to float
        By threshold in percent, the mean number of clicks to reach it.
    failures : mapping of int to float
        By threshold in percent, the share of the objects that never reach it.
    iou : tuple of float
        Mean IoU after each click.
    start_iou : float
        Mean IoU before the first click.
    seconds : float
        Median of the seconds per click; NaN where no click was made.
    worse_clicks : float
        Share of the clicks that lower the IoU by more than 0.01; NaN where none was made.
    worse_ends : float
        Share of the objects whose last IoU is more than 0.02 below their best.
    """

    name: str
    objects: int
    noc: Mapping[int, float]
    failures: Mapping[int, float]
    iou: tuple[float, ...]
    start_iou: float
    seconds: float
    worse_clicks: float
    worse_ends: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures as values that JSON knows."""
        return {
            "objects": self.objects,
            **{f"noc{t}": value for t, value in self.noc.items()},
            **{f"failures{t}": value for t, value in self.failures.items()},
            "start_iou": self.start_iou,
            "iou": {str(n): value for n, value in enumerate(self.iou, 1)},
            "seconds_per_click": self.seconds if self.seconds == self.seconds else None,
            "worse_clicks": self.worse_clicks if self.worse_clicks == self.worse_clicks else None,
            "worse_ends": self.worse_ends,
        }


def figures(name: str, results: Iterable[ImageResult]) -> SetFigures | None:
    """Sum up the objects of a set; None where there is none."""
    objects: list[tuple[str, ObjectResult]] = [
        (image.image, result) for image in results for result in image.objects
    ]
    if not objects:
        return None
    measured = [result for _, result in objects]
    percent = {round(100 * t): t for t in THRESHOLDS}
    seconds = [s for result in measured for s in result.seconds]
    lost = [value for result in measured for value in _losses(result)]
    return SetFigures(
        name,
        len({(image, result.identifier) for image, result in objects}),
        {p: fmean(result.noc(t) for result in measured) for p, t in percent.items()},
        {p: fmean(result.failed(t) for result in measured) for p, t in percent.items()},
        tuple(fmean(values) for values in zip(*(r.ious for r in measured), strict=True)),
        fmean(result.start_iou for result in measured),
        median(seconds) if seconds else float("nan"),
        fmean(value > _LOST for value in lost) if lost else float("nan"),
        fmean(max(result.ious) - result.ious[-1] > _SHORT for result in measured),
    )


def _losses(result: ObjectResult) -> list[float]:
    """Return by how much each click that was made lowered the IoU."""
    ious = (result.start_iou, *result.ious[: len(result.clicks)])
    return [before - after for before, after in pairwise(ious)]


def mean_figures(sets: Sequence[SetFigures]) -> SetFigures:
    """Average over sets, each counting the same; of the seconds, the median of the medians."""
    timed = [s.seconds for s in sets if s.seconds == s.seconds]
    clicked = [s.worse_clicks for s in sets if s.worse_clicks == s.worse_clicks]
    return SetFigures(
        "mean over sets",
        sum(s.objects for s in sets),
        {p: fmean(s.noc[p] for s in sets) for p in sets[0].noc},
        {p: fmean(s.failures[p] for s in sets) for p in sets[0].failures},
        tuple(fmean(values) for values in zip(*(s.iou for s in sets), strict=True)),
        fmean(s.start_iou for s in sets),
        median(timed) if timed else float("nan"),
        fmean(clicked) if clicked else float("nan"),
        fmean(s.worse_ends for s in sets),
    )


def by_set(results: Sequence[ImageResult]) -> list[SetFigures]:
    """Sum up each set that has objects, in the order in which they first come."""
    names = dict.fromkeys(result.dataset for result in results)
    summaries = (figures(name, [r for r in results if r.dataset == name]) for name in names)
    return [one for one in summaries if one is not None]


def report(results: Sequence[ImageResult], spec: NocSpec, **about: Any) -> dict[str, Any]:
    """Put all figures together as values that JSON knows.

    Parameters
    ----------
    results : sequence of ImageResult
        Of any number of sets.
    spec : NocSpec
        How the objects were chosen and clicked on.
    **about
        What was measured, such as model and device; kept as it is.

    Returns
    -------
    dict
        `sets` by name, their `mean`, and `each` object's IoU after each click.
    """
    sets = by_set(results)
    return {
        **about,
        "version": __version__,
        "spec": asdict(spec),
        "sets": {one.name: one.to_json() for one in sets},
        "mean": mean_figures(sets).to_json() if sets else None,
        "each": [_of_object(image, one) for image in results for one in image.objects],
    }


def _of_object(image: ImageResult, result: ObjectResult) -> dict[str, Any]:
    """Return which object it is, and the IoU after each click."""
    return {
        "set": image.dataset,
        "image": image.image,
        "object": result.identifier,
        "repeat": result.repeat,
        "iou": [round(value, 4) for value in result.ious],
    }


def table(results: Sequence[ImageResult]) -> str:
    """Return the figures as a Markdown table, a row for each set and one for their mean."""
    sets = by_set(results)
    if not sets:
        return "No object was large enough to click on."
    rows = [*sets, mean_figures(sets)] if len(sets) > 1 else sets
    clicks = [n for n in SHOWN_CLICKS if n <= len(rows[0].iou)]
    heads = [
        "set",
        "objects",
        *(f"NoC@{p}" for p in rows[0].noc),
        *(f"fail@{p}" for p in rows[0].failures),
        *(f"IoU@{n}" for n in clicks),
        "s/click",
    ]
    lines = [heads, ["---", *("--:" for _ in heads[1:])]]
    lines += [
        [
            row.name,
            str(row.objects),
            *(f"{value:.2f}" for value in row.noc.values()),
            *(f"{value:.0%}" for value in row.failures.values()),
            *(f"{row.iou[n - 1]:.3f}" for n in clicks),
            f"{row.seconds:.3f}",
        ]
        for row in rows
    ]
    return _aligned(lines)


def setbacks(results: Sequence[ImageResult]) -> str:
    """Say in a line how often more clicks are worse, in the mean over sets; "" without clicks."""
    sets = by_set(results)
    if not sets or (mean := mean_figures(sets)).worse_clicks != mean.worse_clicks:
        return ""
    return (
        f"{mean.worse_clicks:.1%} of the clicks lower the IoU by more than {_LOST}; "
        f"{mean.worse_ends:.1%} of the objects end more than {_SHORT} below their best."
    )


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = []
    for line in lines:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        if line[0] == "---":
            cells = [cells[0].replace(" ", "-"), *("-" * (w - 1) + ":" for w in widths[1:])]
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out)
