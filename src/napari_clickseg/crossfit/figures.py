"""What the report says, as numbers."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.evaluation.metrics import Overlap, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

KINDS = {
    "baseline": "baseline",
    "no_clicks": "click-trained, no clicks",
    "clicks": "click-trained, generated clicks",
}
BINS = ((0.5, 0.7), (0.7, 0.9), (0.9, 1.0))  # the baseline's confidence
_OBEYED = 0.5  # share of a region that has to be put right
_TARGETS = (80, 85, 90)


def overlaps(images: Iterable[Mapping[str, Any]], kind: str) -> list[Overlap]:
    """Return the overlap of each image, of one of the `KINDS`."""
    return [Overlap(*image["overlaps"][kind]) for image in images]


def summed_up(images: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return image-wise and pooled IoU and Dice of each of the `KINDS`.

    Also the share of images with an IoU of 0.9 and more (good), and below 0.5 (bad).
    """
    out = {}
    for kind in KINDS:
        overlapping = overlaps(images, kind)
        values = [one.iou for one in overlapping]
        shares = {
            "good": sum(v >= 0.9 for v in values) / max(1, len(values)),
            "bad": sum(v < 0.5 for v in values) / max(1, len(values)),
        }
        out[kind] = summary(overlapping) | shares
    return out


def curve(
    images: Sequence[Mapping[str, Any]], figure: Literal["iou", "dice"] = "iou"
) -> list[float]:
    """Return the mean IoU, or Dice, after 0, 1, … clicks of the simulated annotator."""
    steps = zip(*(image["curve"] for image in images), strict=True)
    if figure == "dice":
        return [fmean(2 * iou / (1 + iou) for iou in values) for values in steps]
    return [fmean(values) for values in steps]


def noc(images: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Return the mean number of clicks to an IoU of 0.80, 0.85, 0.90.

    Zero counts where none is needed, and all of them where they are not enough.
    """
    return {
        target: fmean(
            next(
                (n for n, v in enumerate(image["curve"]) if v >= target / 100),
                len(image["curve"]) - 1,
            )
            for image in images
        )
        for target in _TARGETS
    }


def obedience(images: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Say how many clicks were obeyed: where half of their region or more is right with them.

    A region that the baseline got wrong may be right in the click-trained network's answer
    without a click. So clicks on those that were not are counted separately as well: only these
    show what clicks do.

    Returns
    -------
    list of dict
        Rows with "clicks" (positive, negative, all), "low" and "high" (the confidence of the
        baseline, 0.5 and 1 for all), "count", "obeyed" (share of the clicks) and "right" (mean
        share of the regions that is right); "count_wrong" (those clicks whose region was less
        than half right without them) and "obeyed_wrong" (the share of these that were obeyed).
        Shares are None where there is no such click, the last two also where it was not measured.
    """
    regions = [region for image in images for region in image["regions"]]
    rows = []
    for name, kinds in (("positive", ("fn",)), ("negative", ("fp",)), ("all", ("fn", "fp"))):
        some = [region for region in regions if region["kind"] in kinds]
        rows += [_row(name, low, high, some) for low, high in (*BINS, (0.5, 1.0))]
    return rows


def _row(name: str, low: float, high: float, regions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    inside = [r for r in regions if low <= r["confidence"] < high or r["confidence"] == high == 1.0]
    if (low, high) == (0.5, 1.0):
        inside = list(regions)
    count = sum(region["clicks"] for region in inside)
    obeyed = sum(region["clicks"] for region in inside if region["right"] >= _OBEYED)
    known = all("right_without" in region for region in inside)  # not by earlier versions
    wrong = [r for r in inside if known and r["right_without"] < _OBEYED]
    count_wrong = sum(region["clicks"] for region in wrong)
    obeyed_wrong = sum(region["clicks"] for region in wrong if region["right"] >= _OBEYED)
    return {
        "clicks": name,
        "low": low,
        "high": high,
        "count": count,
        "obeyed": obeyed / count if count else None,
        "right": fmean(region["right"] for region in inside) if inside else None,
        "count_wrong": count_wrong if known else None,
        "obeyed_wrong": obeyed_wrong / count_wrong if count_wrong else None,
    }
